import pytest
from sqlalchemy import Connection, text

import db.roles


@pytest.mark.parametrize("role", ["api_tx", "worker_tx"])
def test_the_roles_of_the_api_and_the_workers_are_safe(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    assert db.roles.unsafe(connection) == []


def test_the_owners_role_is_not(tx: Connection) -> None:
    found = db.roles.unsafe(tx)
    assert [sentence.partition(";")[0] for sentence in found] == [
        "the role tekana is a superuser",
        "the role tekana owns tables",
    ]


@pytest.mark.parametrize(("value", "is_safe"), [("on", True), ("remote_apply", True), ("off", False), ("local", False)])
def test_a_commit_that_is_not_on_disk_is_not_safe(api_tx: Connection, value: str, is_safe: object) -> None:
    api_tx.execute(text("SELECT set_config('synchronous_commit', :value, true)"), {"value": value})
    assert (db.roles.unsafe(api_tx) == []) is is_safe
