"""Who reaches whom in a cluster: every pod of ours against everybody around it, each way and port in one table."""

from typing import NamedTuple

import pytest

from local import processes
from tests.programs.cluster.rendered import OVERLAYS, Manifest, of_kind, pods, selects

WORKERS = frozenset(f"worker-{queue}" for queue in processes.QUEUES)
LASTING = WORKERS | {"api", "sweeper", "beat", "flower"}
ALL = LASTING | {"migrate", "operator"}
NAME_LABEL = "kubernetes.io/metadata.name"


class Pod(NamedTuple):
    """Somebody to reach; without a namespace, a pod of ours."""

    namespace: str | None
    labels: dict[str, str]


OURS = {"app.kubernetes.io/name": "tekana"}
# Labels as clusters have them: CoreDNS's own deployment, and kubeadm's, call it k8s-app=kube-dns.
NAMES = Pod("kube-system", {"k8s-app": "kube-dns"})
PLACES = {
    "names": NAMES,
    "system": Pod("kube-system", {"k8s-app": "metrics-server"}),
    "servers": Pod("databases", {"app": "any"}),
    "monitoring": Pod("monitoring", {"app": "any"}),
    "controller": Pod("ingress", {"app": "any"}),
    "api": Pod(None, OURS | {"app.kubernetes.io/component": "api"}),
    "worker": Pod(None, OURS | {"app.kubernetes.io/component": "worker-wallets"}),
    "operator": Pod(None, OURS | {"app.kubernetes.io/component": "operator"}),
    "elsewhere": Pod("elsewhere", {"k8s-app": "kube-dns", **OURS}),
}
TO = {
    ("names", 53): ALL,
    ("servers", 5432): ALL - {"beat", "flower"},
    ("servers", 6379): LASTING | {"operator"},
    ("api", 8000): frozenset({"operator"}),
    ("monitoring", 4317): WORKERS | {"api", "sweeper"},
    ("monitoring", 4318): WORKERS | {"api", "sweeper"},
}
FROM = {
    ("operator", 8000): frozenset({"api"}),
    ("controller", 8000): frozenset({"api"}),
    ("monitoring", 8000): frozenset({"api"}),
    ("monitoring", 9100): WORKERS | {"sweeper", "beat"},
}

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@each_overlay
def test_a_pod_speaks_to_those_it_needs_and_to_nobody_else(overlay: str) -> None:
    assert _ways(overlay, "egress") == TO


@each_overlay
def test_a_pod_is_spoken_to_by_those_who_need_it_and_by_nobody_else(overlay: str) -> None:
    open_to = _ways(overlay, "ingress")
    having = {way: {name for name, pod in pods(overlay).items() if _has_port(pod, way[1])} for way in open_to}
    assert {way: names & having[way] for way, names in open_to.items()} == FROM


@each_overlay
def test_names_are_asked_by_either_protocol(overlay: str) -> None:
    [rule] = of_kind(overlay, "NetworkPolicy")["everybody-to-names"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]


def _ways(overlay: str, direction: str) -> dict[tuple[str, int], frozenset[str]]:
    """Return for each place and port the pods of ours that a policy opens the way for."""
    found: dict[tuple[str, int], set[str]] = {}
    for name, pod in pods(overlay).items():
        for rule in _rules(overlay, pod, direction):
            for place in _places(rule["to" if direction == "egress" else "from"]):
                for port in rule["ports"]:
                    found.setdefault((place, port["port"]), set()).add(name)
    return {way: frozenset(names) for way, names in found.items()}


def _rules(overlay: str, pod: Manifest, direction: str) -> list[Manifest]:
    policies = of_kind(overlay, "NetworkPolicy").values()
    chosen = [one["spec"] for one in policies if selects(one["spec"]["podSelector"], pod)]
    return [rule for spec in chosen for rule in spec.get(direction, [])]


def _places(peers: list[Manifest]) -> list[str]:
    """Return the places that any peer of a rule is; addresses (ipBlock) are none, and have their own tests."""
    return [name for name, place in PLACES.items() if any(_is_at(peer, place) for peer in peers)]


def _is_at(peer: Manifest, place: Pod) -> bool:
    """Whether a peer of a policy is a pod there; a peer without a namespace is a pod of ours."""
    if "ipBlock" in peer or ("namespaceSelector" in peer) != (place.namespace is not None):
        return False
    namespace = {"metadata": {"labels": {NAME_LABEL: place.namespace}}}
    pod = {"metadata": {"labels": place.labels}}
    return selects(peer.get("namespaceSelector", {}), namespace) and selects(peer.get("podSelector", {}), pod)


def _has_port(pod: Manifest, number: int) -> bool:
    return number in {port["containerPort"] for port in pod["spec"]["containers"][0].get("ports", [])}
