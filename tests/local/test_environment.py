import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

import settings
from local import environment, ports, processes
from local.errors import StackError
from local.kept import Kept

SEALING = "k1:" + "A" * 43 + "="  # 32 bytes.
URLS = {"DATABASE_URL": "postgresql+psycopg://owner:pw@db:5432/tekana", "REDIS_URL": "redis://:pw@queue:6379/0"}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept.json")


def test_what_is_left_open_is_generated_well_enough_for_the_settings(kept: Kept) -> None:
    result = settings.read(_complete({}, kept))
    settings.require(result, "token_key", "index_key", "seal_key", "pii_keys", "webhook_keys", "flower_password")
    assert result.mode == "development"


def test_generated_secrets_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    first = _complete({}, Kept(tmp_path / "kept.json"))
    assert _complete({}, Kept(tmp_path / "kept.json")) == first


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"TOKEN_KEY": "k" * 32}, "TOKEN_KEY", "k" * 32),
        ({"DATABASE_API_URL": "postgresql://api@db/x"}, "DATABASE_API_URL", "postgresql://api@db/x"),
        ({}, "POSTS_PER_MINUTE_MAX", "0"),
        ({"POSTS_PER_MINUTE_MAX": ""}, "POSTS_PER_MINUTE_MAX", "0"),
        ({"POSTS_PER_MINUTE_MAX": "7"}, "POSTS_PER_MINUTE_MAX", "7"),
        ({"DATABASE_URL": "postgres://o:p@db/x"}, "DATABASE_URL", "postgresql+psycopg://o:p@db/x"),
        ({"UNRELATED": "stays"}, "UNRELATED", "stays"),
        ({"WEBHOOK_KEYS": SEALING}, "WEBHOOK_KEYS", SEALING),
        ({}, "WEBHOOK_ALLOW_LOOPBACK", "true"),
        ({"WEBHOOK_ALLOW_LOOPBACK": "false"}, "WEBHOOK_ALLOW_LOOPBACK", "false"),
        ({}, "LOG_FORMAT", "text"),
        ({"LOG_FORMAT": "json"}, "LOG_FORMAT", "json"),
    ],
)
def test_what_the_user_sets_wins(kept: Kept, given: dict[str, str], name: str, expected: str) -> None:
    assert _complete(given, kept)[name] == expected


def test_a_secret_given_as_a_file_is_used(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("f" * 40)
    result = _complete({"TOKEN_KEY_FILE": str(tmp_path / "key")}, kept)
    assert settings.read(result).token_key == "f" * 40


@pytest.mark.parametrize("role", ["tekana_api", "tekana_worker"])
def test_role_addresses_are_the_owners_with_another_name_and_password(kept: Kept, role: str) -> None:
    variable = f"DATABASE_{role.removeprefix('tekana_').upper()}_URL"
    url = _complete({}, kept)[variable]
    password = kept.get(f"{role}_password")
    assert url == f"postgresql+psycopg://{role}:{password}@db:5432/tekana"


@pytest.mark.parametrize("variable", ["API_PORT", "FLOWER_PORT"])
def test_a_port_that_is_taken_is_named_with_its_variable(kept: Kept, variable: str) -> None:
    with socket.create_server((ports.HOST, 0)) as listening:
        taken = listening.getsockname()[1]
        given = settings.read({"API_PORT": "0", "FLOWER_PORT": "0"} | {variable: str(taken)})
        with pytest.raises(StackError, match=f"port {taken} is taken .* set {variable}"):
            environment.resolve_ports(given, kept)


def test_a_broker_without_a_password_will_do_on_this_machine() -> None:
    assert environment.given({"REDIS_URL": "redis://127.0.0.1/0"}).redis_url == "redis://127.0.0.1/0"


def test_nobody_else_is_given_a_port_that_is_kept(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free()
    given = settings.read({"API_PORT": str(port), "FLOWER_PORT": "0"})
    monkeypatch.setattr(ports, "_promised", set())
    environment.resolve_ports(given, kept)
    monkeypatch.setattr(ports, "FIRST", port)
    monkeypatch.setattr(ports, "LAST", port)
    with pytest.raises(OSError, match="no free port"):
        ports.free()


def test_port_0_means_a_free_one_that_is_kept(kept: Kept) -> None:
    given = settings.read({"API_PORT": "0", "FLOWER_PORT": "0"})
    first = environment.resolve_ports(given, kept)
    assert all(ports.FIRST <= port <= ports.LAST for port in first)
    assert environment.resolve_ports(given, kept) == first


@pytest.mark.parametrize(("user", "password"), [("a:b", "pw"), ("a", "p,w"), ("a", "pä")])
def test_what_flower_would_misread_is_refused(user: str, password: str) -> None:
    with pytest.raises(StackError, match="FLOWER_USER and FLOWER_PASSWORD"):
        environment.flower_basic_auth({"FLOWER_USER": user, "FLOWER_PASSWORD": password})


API = {"DATABASE_API_URL", "REDIS_URL", "TOKEN_KEY", "INDEX_KEY", "PII_KEYS", "WEBHOOK_KEYS"}
WEBHOOK_WORKER = {"DATABASE_WORKER_URL", "REDIS_URL", "WEBHOOK_KEYS"}
WORKER = {"DATABASE_WORKER_URL", "REDIS_URL", "SEAL_KEY"}


@pytest.mark.parametrize(
    ("process", "known"),
    [
        ("api", API),
        ("worker-customers", WORKER),
        ("worker-wallets", WORKER),
        ("worker-transactions", WORKER),
        ("worker-webhooks", WEBHOOK_WORKER),
        ("worker-maintenance", WORKER),
        ("sweeper", WORKER),
        ("beat", {"REDIS_URL"}),
        ("flower", {"REDIS_URL"}),
    ],
)
def test_a_process_knows_the_secrets_it_needs_and_no_other(
    kept: Kept, tmp_path: Path, process: str, known: set[str]
) -> None:
    env = _complete({"BATCH_MAX": "7"}, kept)
    [child] = [one for one in processes.children(env, tmp_path) if one.name == process]
    assert environment.CONFIDENTIAL & set(child.env) == known
    assert {name: env[name] for name in known}.items() <= child.env.items()
    assert (child.env["MODE"], child.env["BATCH_MAX"]) == ("development", "7")


def test_only_the_api_knows_the_replica(kept: Kept, tmp_path: Path) -> None:
    env = _complete({"DATABASE_READ_URL": "postgresql+psycopg://api:pw@replica/x"}, kept)
    knowing = {one.name for one in processes.children(env, tmp_path) if "DATABASE_READ_URL" in one.env}
    assert knowing == {"api"}


def test_each_process_that_does_not_serve_has_a_port_for_its_metrics_and_prometheus_knows_it(
    kept: Kept, tmp_path: Path
) -> None:
    given = {one.name: one.env["METRICS_PORT"] for one in processes.children(_complete({}, kept), tmp_path)}
    targets = msgspec.json.decode((tmp_path / "targets.json").read_bytes())
    told = {one["labels"]["process"]: one["targets"][0].partition(":")[2] for one in targets}
    assert {name for name, port in given.items() if port == "0"} == {"api", "flower"}
    assert {name: port for name, port in given.items() if port != "0"} == {
        name: port for name, port in told.items() if name != "api"
    }


def test_what_killed_workers_have_counted_is_removed_at_the_next_start(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "tmp" / "tekana-metrics-x").mkdir(parents=True)
    [temporary] = {one.env["TMPDIR"] for one in processes.children(_complete({}, kept), tmp_path)}
    assert list(Path(temporary).iterdir()) == []


def test_no_process_but_flower_knows_its_password(kept: Kept, tmp_path: Path) -> None:
    env = _complete({"FLOWER_PASSWORD": "only-flower"}, kept)
    knowing = {one.name for one in processes.children(env, tmp_path) if "only-flower" in str(one.env)}
    assert knowing == {"flower"}


def test_no_process_knows_the_file_of_a_secret_it_does_not_need(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("f" * 40)
    env = _complete({"SEAL_KEY_FILE": str(tmp_path / "key")}, kept)
    assert "f" * 40 in environment.confined(env, "SEAL_KEY").values()
    assert environment.confined({"SEAL_KEY_FILE": "key", "LANG": "C"}, "TOKEN_KEY") == {"LANG": "C"}


def test_what_was_read_from_a_file_is_passed_on_in_its_place(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "pilot").write_text("ann@example.com\n@example.org\n")
    env = _complete({"COHORT_MEMBERS_FILE": str(tmp_path / "pilot"), "SSL_CERT_FILE": "theirs"}, kept)
    assert env["COHORT_MEMBERS"] == "ann@example.com\n@example.org"
    assert "COHORT_MEMBERS_FILE" not in env
    assert env["SSL_CERT_FILE"] == "theirs"


def test_every_setting_without_a_default_is_confidential() -> None:
    open_ended = {name.upper() for name, value in msgspec.structs.asdict(settings.Settings()).items() if value == ""}
    assert open_ended == environment.CONFIDENTIAL


def _complete(given: Mapping[str, str], kept: Kept) -> dict[str, str]:
    given = URLS | dict(given)
    settled = msgspec.structs.replace(environment.given(given), data_dir=Path("/data"))
    return environment.complete(given, settled, kept)
