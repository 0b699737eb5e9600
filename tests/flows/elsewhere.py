"""What shows the rest: inputs and events that are no fault of a process, a server or a link, and the tests of them."""

ELSEWHERE = {
    "history is edited by an application's role; an unbalanced insert": (
        "tests/db/test_privileges.py",
        "tests/db/test_privileges_by_table.py",
    ),
    "a byte of the ledger is changed": ("tests/db/test_audit.py", "tests/db/test_sealed.py"),
    "what was posted is changed, taken away or put in between": ("tests/db/test_chain.py",),
    "webhook receivers that fail, hang, drip, redirect, reset; thousands of events": ("tests/flows/test_webhooks.py",),
    "webhook addresses that lead inside": ("tests/domain/test_addresses.py", "tests/workers/test_guard.py"),
    "requests made from the OpenAPI description": (
        "tests/api/test_schemathesis.py",
        "tests/attacks/test_described.py",
    ),
    "bodies that are big, deep, doubled or out of range": (
        "tests/api/test_bodies.py",
        "tests/api/test_memory.py",
        "tests/attacks/test_injections.py",
    ),
    "bytes at random, given to each parser": ("tests/attacks/test_fuzzed_parsers.py",),
    "each caller, each operation, each object of the others": ("tests/attacks/test_object_access.py",),
    "tokens that are forged, replayed or have ended": ("tests/attacks/test_forged_tokens.py",),
    "requests that are slow, endless or none": ("tests/attacks/test_raw_requests.py",),
    "limits of what leaves a wallet, by many at once": ("tests/workers/test_velocity.py",),
    "rate limits with several API processes": ("tests/api/test_limits.py",),
    "secrets in logs, messages, traces, Flower and dumps": ("tests/flows/test_secrets.py",),
    "a backup restored to a moment; a replica promoted": (
        "tests/operations/test_restore.py",
        "tests/operations/test_promote.py",
    ),
    "API processes killed and rolled behind nginx": ("tests/programs/rollout/test_rollout.py",),
    "each migration, on a filled database": ("tests/db/test_schema.py",),
    "three times as many requests as are settled": ("bench/overload.py",),
    "half an hour of steady load: memory and latency": ("bench/soak.py",),
}
