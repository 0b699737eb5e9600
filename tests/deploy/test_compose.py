"""docker-compose.yml: each container has what it needs, and as little as possible of anything else."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from local import processes, tuning
from local.environment import CONFIDENTIAL
from settings import Settings, SettingsError
from tests.deploy import compose
from workers.app import TASK_SECONDS_MAX

ENV = compose.made()
SERVICES = compose.services(ENV)
OURS = compose.our_services()
INTERNAL = {name for name, network in compose.document(ENV)["networks"].items() if network.get("internal")}
SERVERS = ("postgres", "valkey")
# Not settings of ours, but of the programs that are given them.
OPENTELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
FOREIGN = {"FLOWER_BASIC_AUTH", "RES_OPTIONS", *OPENTELEMETRY}
# Settings that .env cannot change here, each for a reason.
FIXED = {
    "MODE": "it is production",
    "DATA_DIR": "the image says it, and a tmpfs is there",
    "LOG_FORMAT": "what collects logs reads JSON",
    "API_HOST": "nginx must reach it",
    "API_PORT": "nginx's upstreams name it",
    "TRUSTED_PROXIES": "nginx has a fixed address",
    "METRICS_HOST": "Prometheus must reach it",
    "METRICS_PORT": "Prometheus' configuration names it",
    "FLOWER_PORT": "nginx's upstreams name it",
    "WEBHOOK_ALLOW_LOOPBACK": "production refuses it",
}
ROOTS = {"otel-collector"}  # It reads Docker's log files, which are root's.

each_service = pytest.mark.parametrize("name", SERVICES)
each_of_ours = pytest.mark.parametrize("name", OURS)


def test_it_is_what_the_compose_specification_describes() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    files = [str(compose.ROOT / name) for name in ("docker-compose.yml", "deploy/compose.tls.yml")]
    checked = subprocess.run([*check, *files], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@each_service
def test_a_container_can_neither_change_itself_nor_gain_anything(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert (str(service.get("user", "1")).partition(":")[0] == "0") is (name in ROOTS)


@each_service
def test_a_container_has_limits(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] > 0
    if name != "tekana":
        assert service["logging"]["options"].keys() >= {"max-size", "max-file"}


@each_service
def test_a_container_has_time_to_end_what_it_has_begun(name: str) -> None:
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > TASK_SECONDS_MAX + 10


@each_service
def test_an_image_has_a_version_and_can_be_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.search(r":(?!latest)[\w.-]+$", image)
    assert f"_IMAGE:-{image}}}" in compose.text()


@each_of_ours
def test_what_a_container_of_ours_is_told_is_a_setting(name: str) -> None:
    known = {setting.upper() for setting in Settings.__struct_fields__} | FOREIGN
    assert compose.environment(SERVICES[name]).keys() - known == set()


@pytest.mark.parametrize("setting", [name.upper() for name in Settings.__struct_fields__ if name.upper() not in FIXED])
def test_what_is_set_in_env_reaches_whoever_reads_it(setting: str) -> None:
    changed = compose.services(ENV | {setting: "as-changed"})
    told = {name for name in SERVICES if compose.environment(changed[name]).get(setting) == "as-changed"}
    assert told == {name for name in SERVICES if setting in compose.environment(SERVICES[name])} != set()


def test_what_cannot_be_set_in_env_is_a_setting() -> None:
    assert FIXED.keys() <= {setting.upper() for setting in Settings.__struct_fields__}


@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("api-1", processes.API),
        ("api-2", processes.API),
        *((f"worker-{queue}", processes.WORKER) for queue in compose.QUEUES if queue != "webhooks"),
        ("worker-webhooks", processes.WEBHOOK_WORKER),
        ("sweeper", processes.WORKER),
        ("beat", processes.BROKER),
        ("flower", (*processes.BROKER, "FLOWER_PASSWORD")),
        ("migrate", ("DATABASE_URL", "DATABASE_API_URL", "DATABASE_WORKER_URL")),
        ("nginx", ("FLOWER_PASSWORD",)),
        ("tekana", tuple(CONFIDENTIAL)),
    ],
)
def test_a_container_knows_the_secrets_it_needs_and_no_other(name: str, secrets: tuple[str, ...]) -> None:
    assert compose.environment(SERVICES[name]).keys() & CONFIDENTIAL == set(secrets)


def test_no_secret_stands_in_a_container_under_another_name() -> None:
    secrets = {name: value for name, value in ENV.items() if len(value) > 20}
    holders = {
        name: {one for one, service in SERVICES.items() if value in str(service)} for name, value in secrets.items()
    }
    assert holders["POSTGRES_PASSWORD"] == {"postgres", "migrate", "tekana"}
    assert holders["SEAL_KEY"] == {
        "sweeper",
        "tekana",
        *(f"worker-{queue}" for queue in compose.QUEUES if queue != "webhooks"),
    }
    assert holders["TOKEN_KEY"] == holders["PII_KEYS"] == holders["INDEX_KEY"] == {"api-1", "api-2", "tekana"}


@each_of_ours
def test_with_the_secrets_that_are_made_production_starts(name: str) -> None:
    assert settings.read(compose.environment(SERVICES[name])).mode == "production"


@pytest.mark.parametrize("variable", [name for name, value in ENV.items() if len(value) > 20])
def test_without_one_of_its_secrets_nothing_starts(variable: str) -> None:
    with pytest.raises(compose.Unset, match=f"{variable}: make up makes .env"):
        compose.services(ENV | {variable: ""})


@pytest.mark.parametrize("variable", [name for name, value in ENV.items() if len(value) > 20 and "GRAFANA" not in name])
def test_with_a_default_secret_whoever_uses_it_refuses_to_start(variable: str) -> None:
    spoiled = compose.services(ENV | {variable: "changeme" * 5})
    refusing = []
    for name in OURS:
        try:
            settings.read(compose.environment(spoiled[name]))
        except SettingsError:
            refusing.append(name)
    assert refusing == [name for name in OURS if "changeme" in str(spoiled[name]["environment"])] != []


def test_secrets_are_new_each_time_they_are_made() -> None:
    again = compose.made()
    assert [name for name, value in ENV.items() if len(value) > 20 and again[name] == value] == []


def test_what_is_made_is_kept_out_of_the_repository() -> None:
    assert ".env" in (compose.ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("queue", compose.QUEUES)
def test_a_worker_is_started_as_everywhere_else(queue: str, tmp_path: Path) -> None:
    env = {"REDIS_URL": "", "FLOWER_USER": "a", "FLOWER_PASSWORD": "b", "FLOWER_PORT": "0", "API_PORT": "0"}
    [child] = [one for one in processes.children(env, tmp_path) if one.name == f"worker-{queue}"]
    assert shlex.split(SERVICES[f"worker-{queue}"]["command"]) == ["python", *child.argv[1:]]


def test_operators_verbs_run_when_they_are_asked_for_and_find_the_api() -> None:
    service = SERVICES["tekana"]
    assert (service["profiles"], service["entrypoint"], service["restart"]) == (["operator"], ["tekana"], "no")
    assert service["environment"]["API_HOST"] in SERVICES
    assert set(service["networks"]) & set(SERVICES[service["environment"]["API_HOST"]]["networks"])


def test_a_key_that_a_verb_prints_is_in_no_log() -> None:
    assert SERVICES["tekana"]["logging"] == {"driver": "none"}


def test_flower_only_shows() -> None:
    assert "--read-only" in shlex.split(SERVICES["flower"]["command"])


def test_there_are_two_of_what_must_not_be_missing() -> None:
    assert SERVICES["sweeper"]["deploy"]["replicas"] == 2
    one, other = ({**SERVICES[name], "networks": sorted(SERVICES[name]["networks"])} for name in ("api-1", "api-2"))
    assert one == other


@pytest.mark.parametrize("name", [name for name in OURS if name not in {"migrate", "tekana"}])
def test_everybody_waits_for_the_migration(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_the_migration_waits_for_its_database_and_runs_once() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"


@pytest.mark.parametrize("name", SERVERS)
def test_servers_are_reached_by_no_network_but_their_own(name: str) -> None:
    assert SERVICES[name]["networks"] == ["data"]
    assert "data" in INTERNAL
    assert "ports" not in SERVICES[name]


def test_nobody_but_the_webhook_worker_and_what_is_published_has_a_way_out() -> None:
    outward = {name for name, service in SERVICES.items() if set(service["networks"]) - INTERNAL}
    assert outward == {"worker-webhooks", "nginx", "prometheus", "grafana", "jaeger"}


@each_service
def test_nothing_is_published_in_clear_beyond_this_machine(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


def test_whoever_wants_to_can_publish_nginx() -> None:
    [port] = compose.services(ENV | {"HTTP_ADDRESS": "0.0.0.0"})["nginx"]["ports"]  # noqa: S104 - the container's
    assert port == "0.0.0.0:8080:8080"


def test_with_tls_a_redirected_browser_finds_the_published_port() -> None:
    published = (compose.ROOT / "deploy/compose.tls.yml").read_text(encoding="utf-8")
    assert "return 308 https://$host$request_uri;" in (compose.ROOT / "deploy/nginx/tls.conf").read_text(
        encoding="utf-8"
    )
    assert "${HTTPS_PORT:-443}:8443" in published


def test_postgresql_runs_as_on_a_developers_machine() -> None:
    flags = shlex.split(SERVICES["postgres"]["command"])
    said = dict(flag.split("=", 1) for flag in flags if "=" in flag)
    local_only = {"listen_addresses", "unix_socket_directories", "log_line_prefix"}
    expected = {name: value.strip("'") for name, value in tuning.POSTGRES.items() if name not in local_only}
    assert said == expected | {"log_connections": "authorization"}  # Since 18; `on` would log each look of pg_isready.


def test_valkey_runs_as_on_a_developers_machine() -> None:
    lines = (compose.ROOT / "deploy/valkey/valkey.conf").read_text(encoding="utf-8").splitlines()
    said = dict(line.split(" ", 1) for line in lines if not line.startswith("#"))
    shared = tuning.REDIS.keys() - {"bind", "daemonize", "set-proc-title"}
    assert {name: said[name] for name in shared} == {name: tuning.REDIS[name] for name in shared}
    assert said["maxmemory"] == "384mb"


def test_nginx_finds_its_servers_at_their_addresses_and_is_believed_by_its_own() -> None:
    upstreams = (compose.ROOT / "deploy/nginx/upstreams.conf").read_text(encoding="utf-8")
    named = re.findall(r"server ([\d.]+):(\d+)", upstreams)
    fixed = [SERVICES[name]["networks"]["edge"]["ipv4_address"] for name in ("api-1", "api-2", "flower")]
    assert list(dict.fromkeys(named)) == list(zip(fixed, ["8000", "8000", "5555"], strict=True))
    assert SERVICES["api-1"]["environment"]["TRUSTED_PROXIES"] == SERVICES["nginx"]["networks"]["edge"]["ipv4_address"]


def test_prometheus_asks_containers_that_are_there_on_their_ports() -> None:
    config: dict[str, Any] = yaml.safe_load((compose.ROOT / "deploy/prometheus/prometheus.yml").read_text())
    asked = [one for job in config["scrape_configs"] for one in job.get("dns_sd_configs", [])]
    names = {name for one in asked for name in one["names"]}
    assert names == {name for name in OURS if name not in {"flower", "migrate", "tekana"}}
    assert all("metrics" in SERVICES[name]["networks"] for name in (*names, "prometheus"))
    assert {one["port"] for one in asked} == {8000, SERVICES["sweeper"]["environment"]["METRICS_PORT"]}


@pytest.mark.parametrize(
    "file", sorted(compose.ROOT.glob("deploy/*/*.yml")) + sorted(compose.ROOT.glob("deploy/grafana/*/*/*.yml"))
)
def test_each_file_that_is_mounted_can_be_read(file: Path) -> None:
    assert yaml.safe_load(file.read_text(encoding="utf-8"))
