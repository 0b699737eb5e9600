"""The callers of the API's own tests, for those who mean no good."""

from tests.api.conftest import ann, anyone, bob, new_customer, new_key, operator, owner, sink, sql

__all__ = ["ann", "anyone", "bob", "new_customer", "new_key", "operator", "owner", "sink", "sql"]
