import pytest
from sqlalchemy import Connection, make_url, text

import db.admission
from local.stack import Stack
from settings import SettingsError


def test_a_role_that_does_not_exist_is_named_with_its_variables(tx: Connection, servers: Stack) -> None:
    nobody = make_url(servers.env["DATABASE_API_URL"]).set(username="nobody").render_as_string(hide_password=False)
    with pytest.raises(SettingsError, match="DATABASE_API_URL or DATABASE_WORKER_URL names nobody"):
        db.admission.admit(tx, nobody)


def test_no_statement_holds_a_password(tx: Connection, servers: Stack) -> None:
    url = make_url(servers.env["DATABASE_API_URL"])
    tx.execute(text("SET LOCAL log_statement = 'all'"))
    db.admission.admit(tx, url.set(password="in-no-log-5f1c").render_as_string(hide_password=False))
    stored = tx.scalar(text("SELECT rolpassword FROM pg_authid WHERE rolname = :name"), {"name": url.username})
    log = (servers.data_dir / "log" / "postgres.log").read_text()
    assert str(stored).startswith("SCRAM-SHA-256$")
    assert str(stored) in log
    assert "in-no-log-5f1c" not in log
