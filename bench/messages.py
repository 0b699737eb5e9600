"""How many messages announced money movements: by the API, and by the sweeper where a ring was lost."""

import httpx2
import msgspec

from bench.scene import Scene
from local.scraping import TARGETS

RINGERS = {"api", "sweeper"}  # Workers ring for webhooks only.
RINGS = 'tekana_rings_total{queue="transactions"}'


class Target(msgspec.Struct, frozen=True):
    targets: list[str]
    labels: dict[str, str]


def sent(scene: Scene) -> float:
    """Add up what they say; each message that was sent is consumed by the time nothing is queued."""
    listed = msgspec.json.decode((scene.stack.data_dir / TARGETS).read_bytes(), type=list[Target])
    addresses = [address for one in listed if one.labels["process"] in RINGERS for address in one.targets]
    return sum(map(_rings, addresses))


def _rings(address: str) -> float:
    page = httpx2.get(f"http://{address}/metrics", timeout=10, trust_env=False).text
    return rings(page)


def rings(page: str) -> float:
    """Return the count on a page of metrics; 0 where there is none."""
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(RINGS))
