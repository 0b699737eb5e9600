"""What a cluster is given: valid, with no more rights, secrets and ways than needed, able to be watched and moved."""

import ipaddress
import re
from pathlib import Path

import kubernetes_validate
import pytest

from api.__main__ import STOP_SECONDS
from domain.addresses import PORTS
from local import processes
from local.environment import CONFIDENTIAL
from settings import Settings
from tests.addresses import FORBIDDEN_ADDRESSES
from tests.programs.cluster.rendered import (
    OVERLAYS,
    Manifest,
    containers,
    manifests,
    of_kind,
    pods,
    selects,
    text,
)
from workers.app import TASK_SECONDS_MAX

PRODUCTION = "overlays/production"
KEDA = "overlays/production-keda"
CLUSTER_VERSION = "1.32"  # The oldest that is promised; the newest is tried as well.
FOREIGN = {"QUEUE", "FLOWER_BASIC_AUTH", "RES_OPTIONS"}  # Not settings of ours.
NETWORK_BITS_MIN = 24  # A node's share of the pods' addresses, as most network plugins cut them.
WORKERS = tuple(f"worker-{queue}" for queue in processes.QUEUES)
SECRETS = {
    "api": {*processes.API, "COHORT_PERCENT"},
    **{worker: set(processes.WORKER) for worker in WORKERS},
    "worker-webhooks": set(processes.WEBHOOK_WORKER),
    "sweeper": set(processes.WORKER),
    "beat": set(processes.BROKER),
    "flower": {*processes.BROKER, "FLOWER_PASSWORD"},
    "migrate": {"DATABASE_URL", "DATABASE_API_URL", "DATABASE_WORKER_URL"},
    "operator": {*CONFIDENTIAL, "COHORT_PERCENT"},
}
PLACED = [(overlay, name) for overlay in OVERLAYS for name in pods(overlay)]

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
each_pod = pytest.mark.parametrize(("overlay", "name"), PLACED)


@each_overlay
@pytest.mark.parametrize("version", [CLUSTER_VERSION, kubernetes_validate.latest_version()])
def test_each_manifest_is_strictly_valid(overlay: str, version: str) -> None:
    unknown = set()
    for one in manifests(overlay):
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(one["kind"])
    assert unknown == ({"ScaledObject"} if overlay == KEDA else set())


def test_an_invalid_manifest_is_noticed() -> None:
    [broken] = [one for one in manifests("base") if one["metadata"]["name"] == "beat"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**broken, "spec": {**broken["spec"], "replica": 1}}, CLUSTER_VERSION, strict=True)


@each_pod
def test_a_pod_is_unprivileged_and_holds_nothing_of_the_cluster(overlay: str, name: str) -> None:
    spec = pods(overlay)[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False


@each_pod
def test_a_pod_is_not_told_of_services_in_variables_that_are_settings_of_ours(overlay: str, name: str) -> None:
    assert pods(overlay)[name]["spec"]["enableServiceLinks"] is False


@each_pod
def test_a_container_can_neither_change_itself_nor_gain_anything(overlay: str, name: str) -> None:
    for container in containers(pods(overlay)[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/run/tekana", "/tmp"}  # noqa: S108 - the container's


@each_pod
def test_a_container_says_what_it_needs_and_cannot_take_a_nodes_memory(overlay: str, name: str) -> None:
    for container in containers(pods(overlay)[name]):
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@each_pod
def test_a_pod_has_time_to_end_what_it_has_begun(overlay: str, name: str) -> None:
    spec = pods(overlay)[name]["spec"]
    assert spec["terminationGracePeriodSeconds"] > max(TASK_SECONDS_MAX, STOP_SECONDS) + 10


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "base"])
def test_an_image_has_a_version(overlay: str) -> None:
    images = {container["image"] for pod in pods(overlay).values() for container in containers(pod)}
    assert all(re.fullmatch(r"tekana:\d+\.\d+\.\d+", image) for image in images)


@each_pod
def test_what_a_container_is_told_is_a_setting(overlay: str, name: str) -> None:
    known = {setting.upper() for setting in Settings.__struct_fields__} | FOREIGN
    for container in containers(pods(overlay)[name]):
        assert {one["name"] for one in container.get("env", [])} - known == set()
    for config in of_kind(overlay, "ConfigMap").values():
        assert config["data"].keys() - known == set()


@each_pod
def test_a_container_knows_the_secrets_it_needs_and_no_other(overlay: str, name: str) -> None:
    [main] = pods(overlay)[name]["spec"]["containers"]
    referred = {one["name"] for one in main["env"] if "secretKeyRef" in one.get("valueFrom", {})}
    assert referred == SECRETS[name]
    for container in containers(pods(overlay)[name]):
        assert all(_is_reference(one) for one in container["env"] if one["name"] in CONFIDENTIAL)


def _is_reference(variable: Manifest) -> bool:
    """Whether a variable's value is that of a secret under its own name."""
    return bool(variable["valueFrom"]["secretKeyRef"]["key"] == variable["name"])


@each_overlay
def test_who_is_served_is_said_where_operators_change_it(overlay: str) -> None:
    told = {one["name"]: one for container in containers(pods(overlay)["api"]) for one in container["env"]}
    for name in ("COHORT_PERCENT", "COHORT_MEMBERS"):
        assert told[name]["valueFrom"]["secretKeyRef"] == {"name": "tekana-api", "key": name, "optional": True}


@each_overlay
def test_no_secret_is_in_a_manifest(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == {}
    assert re.search(r"://[^\s/]*:[^\s/]+@", text(overlay)) is None


@each_overlay
@pytest.mark.parametrize("queue", processes.QUEUES)
def test_a_worker_is_started_as_everywhere_else(overlay: str, queue: str, tmp_path: Path) -> None:
    env = {"REDIS_URL": "", "FLOWER_USER": "a", "FLOWER_PASSWORD": "b", "FLOWER_PORT": "0", "API_PORT": "0"}
    [child] = [one for one in processes.children(env, tmp_path) if one.name == f"worker-{queue}"]
    [container] = pods(overlay)[f"worker-{queue}"]["spec"]["containers"]
    [named] = [one["value"] for one in container["env"] if one["name"] == "QUEUE"]
    assert [word.replace("$(QUEUE)", named) for word in container["command"]] == ["python", *child.argv[1:]]


@each_overlay
def test_no_pod_with_all_secrets_runs_unless_somebody_asks_for_it(overlay: str) -> None:
    assert of_kind(overlay, "Deployment")["operator"]["spec"]["replicas"] == 0


@each_overlay
def test_flower_only_shows(overlay: str) -> None:
    [container] = pods(overlay)["flower"]["spec"]["containers"]
    assert "--read-only" in container["command"]


@each_overlay
def test_whoever_speaks_to_the_database_waits_for_its_schema_as_itself(overlay: str) -> None:
    waiting = {
        name: pod["spec"]["initContainers"] for name, pod in pods(overlay).items() if "initContainers" in pod["spec"]
    }
    assert waiting.keys() == {"api", "sweeper", *WORKERS}
    for name, [container] in waiting.items():
        assert container["command"] == ["tekana", "migrate", "--wait"]
        assert {one["name"] for one in container["env"]} == {
            "DATABASE_API_URL" if name == "api" else "DATABASE_WORKER_URL"
        }


@each_overlay
def test_a_worker_and_a_clock_are_alive_when_they_finish_work_and_a_server_when_it_answers(overlay: str) -> None:
    serving = {name: one for name, one in of_kind(overlay, "Deployment").items() if name != "operator"}
    for name, deployment in serving.items():
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        asks = container["livenessProbe"].get("exec", {}).get("command")
        assert asks == (None if name in {"api", "flower"} else ["python", "-m", "alive"])
        assert "readinessProbe" in container


@each_overlay
def test_the_api_is_not_taken_away_for_what_all_its_replicas_share(overlay: str) -> None:
    [container] = pods(overlay)["api"]["spec"]["containers"]
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {"/health/live"}


@each_overlay
def test_what_customers_wait_for_is_never_moved_all_at_once(overlay: str) -> None:
    budgets = of_kind(overlay, "PodDisruptionBudget")
    covered = {
        name for name, pod in pods(overlay).items() for one in budgets.values() if selects(one["spec"]["selector"], pod)
    }
    assert covered == budgets.keys() == {"api", "sweeper", *WORKERS}
    for name in covered:
        preferred = pods(overlay)[name]["spec"]["affinity"]["podAntiAffinity"]
        terms = [one["podAffinityTerm"] for one in preferred["preferredDuringSchedulingIgnoredDuringExecution"]]
        assert terms[0]["topologyKey"] == "kubernetes.io/hostname"
        assert all(selects(term["labelSelector"], pods(overlay)[name]) for term in terms)


@each_overlay
def test_every_service_leads_to_a_port_of_one_kind_of_pod(overlay: str) -> None:
    for service in of_kind(overlay, "Service").values():
        [pod] = [pod for pod in pods(overlay).values() if selects({"matchLabels": service["spec"]["selector"]}, pod)]
        named = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


@each_overlay
def test_every_scaler_has_something_to_scale(overlay: str) -> None:
    scalers = of_kind(overlay, "HorizontalPodAutoscaler") | of_kind(overlay, "ScaledObject")
    deployments = of_kind(overlay, "Deployment")
    for name, scaler in scalers.items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployments[name]["spec"]
    assert scalers.keys() == {"api"} | (
        {"worker-customers", "worker-wallets", "worker-transactions"} if overlay == KEDA else set()
    )


def test_workers_are_scaled_by_how_long_the_oldest_job_of_their_queue_waits() -> None:
    for name, scaler in of_kind(KEDA, "ScaledObject").items():
        [trigger] = scaler["spec"]["triggers"]
        assert (
            f'tekana:queue_oldest_job_age_seconds:max{{queue="{name.removeprefix("worker-")}"}}'
            in trigger["metadata"]["query"]
        )
        assert trigger["metricType"] == "AverageValue"  # With another, KEDA has no fallback.
        assert scaler["spec"]["fallback"]["replicas"] == scaler["spec"]["minReplicaCount"] == 2


@each_overlay
def test_the_way_in_is_for_clients_only(overlay: str) -> None:
    [ingress] = of_kind(overlay, "Ingress").values()
    [rule] = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/v1", "/docs", "/openapi.json"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


@each_overlay
def test_no_more_than_a_controllers_network_is_believed_what_it_says_of_clients(overlay: str) -> None:
    [config] = of_kind(overlay, "ConfigMap").values()
    trusted = [one for one in config["data"]["TRUSTED_PROXIES"].split(",") if one != "none"]
    assert bool(trusted) is (overlay != "base")
    assert all(ipaddress.ip_network(one).prefixlen >= NETWORK_BITS_MIN for one in trusted)


@each_overlay
def test_nobody_speaks_to_anybody_unless_it_is_said(overlay: str) -> None:
    closed = of_kind(overlay, "NetworkPolicy")["nobody"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("address", [address for address, _ in FORBIDDEN_ADDRESSES if "%" not in address])
def test_no_address_that_webhooks_may_not_go_to_is_open_to_them(address: str) -> None:
    assert not _is_open(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111"])
def test_webhooks_reach_what_is_public(address: str) -> None:
    assert _is_open(address)


def test_webhooks_go_to_the_ports_that_they_may_go_to() -> None:
    assert {str(one["port"]) for one in _strangers()["ports"]} == PORTS


def _strangers() -> Manifest:
    [rule] = of_kind(PRODUCTION, "NetworkPolicy")["webhooks-to-strangers"]["spec"]["egress"]
    result: Manifest = rule
    return result


def _is_open(address: str) -> bool:
    one = ipaddress.ip_address(address)
    return any(
        one in ipaddress.ip_network(block["cidr"])
        and not any(one in ipaddress.ip_network(hole) for hole in block["except"])
        for block in (to["ipBlock"] for to in _strangers()["to"])
        if ipaddress.ip_network(block["cidr"]).version == one.version
    )
