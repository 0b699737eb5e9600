"""The log of operators' actions: what is recorded is read again, and belongs to the transaction that did it."""

from uuid import UUID

import pytest
from sqlalchemy import Connection
from uuid_utils.compat import uuid7

import db.actions
from db.actions import Filter
from domain.actions import Action, NewAction
from domain.states import KINDS
from tests.databases import refused_by


def done(action: Action = Action.KEY_CREATE, object_: str = "o", job_id: UUID | None = None) -> NewAction:
    return NewAction(actor="cli:ada", action=action, object=object_, details={"name": "n"}, job_id=job_id)


def test_an_action_is_read_as_it_was_recorded(tx: Connection) -> None:
    one = done(Action.WALLET_FREEZE, "w", uuid7())
    db.actions.record(tx, one)
    [found] = db.actions.page(tx, Filter(), None, 10)
    assert {name: getattr(found, name) for name in NewAction.__struct_fields__} == {
        name: getattr(one, name) for name in NewAction.__struct_fields__
    }
    assert found.at.utcoffset() is not None


def test_nothing_is_recorded_for_nothing(tx: Connection) -> None:
    db.actions.record(tx)
    assert db.actions.page(tx, Filter(), None, 10) == []


@pytest.mark.parametrize(
    ("wanted", "objects"),
    [
        (Filter(), ["c", "b", "a"]),
        (Filter(action=Action.KEY_CREATE), ["b", "a"]),
        (Filter(object="b"), ["b"]),
        (Filter(action=Action.KEY_REVOKE, object="c"), ["c"]),
        (Filter(action=Action.KEY_REVOKE, object="a"), []),
    ],
)
def test_a_list_is_narrowed_and_newest_first(tx: Connection, wanted: Filter, objects: list[str]) -> None:
    db.actions.record(tx, done(object_="a"), done(object_="b"))
    db.actions.record(tx, done(Action.KEY_REVOKE, "c"))
    assert [one.object for one in db.actions.page(tx, wanted, None, 10)] == objects


def test_a_list_goes_on_where_a_page_ended(tx: Connection) -> None:
    db.actions.record(tx, *(done(object_=str(number)) for number in range(5)))
    first = db.actions.page(tx, Filter(), None, 3)
    rest = db.actions.page(tx, Filter(), first[-1].id, 3)
    assert [one.object for one in [*first, *rest]] == ["4", "3", "2", "1", "0"]


OF_JOBS = {Action(kind) for kind in KINDS}
OF_API = {
    Action.JOB_CANCEL,
    Action.WEBHOOK_ENDPOINT_UPDATE,
    Action.WEBHOOK_ENDPOINT_DELETE,
    Action.WEBHOOK_SECRET_ROTATE,
    Action.CALLBACK_SECRET_ROTATE,
}


@pytest.mark.parametrize(("role", "its_own"), [("tx", set(Action)), ("api_tx", OF_API), ("worker_tx", set())])
def test_each_role_records_what_it_does(request: pytest.FixtureRequest, role: str, its_own: set[Action]) -> None:
    connection: Connection = request.getfixturevalue(role)
    for action in its_own:
        db.actions.record(connection, done(action))
    for action in set(Action) - its_own:
        with refused_by("operator_actions_by_who_does_them"), connection.begin_nested():
            db.actions.record(connection, done(action))


@pytest.mark.parametrize("role", ["tx", "worker_tx"])
def test_who_ends_jobs_records_what_they_did(request: pytest.FixtureRequest, role: str) -> None:
    connection: Connection = request.getfixturevalue(role)
    db.actions.record(connection, *(done(action, job_id=uuid7()) for action in OF_JOBS))


def test_a_job_is_recorded_once(worker_tx: Connection) -> None:
    job_id = uuid7()
    db.actions.record(worker_tx, done(job_id=job_id))
    with refused_by("operator_actions_once_per_job"):
        db.actions.record(worker_tx, done(job_id=job_id))


def test_the_api_records_nothing_in_the_name_of_a_job(api_tx: Connection) -> None:
    with refused_by("operator_actions_of_jobs_by_workers"):
        db.actions.record(api_tx, done(job_id=uuid7()))
