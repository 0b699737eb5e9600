"""The ways between processes, which faults bend: each leads through a link, by the setting that says where it goes."""

from sqlalchemy import make_url

from local.stack import Stack
from tests.flows.links import HOST, Link, Links

API, WORKERS, REDIS, CLIENTS = "DATABASE_API_URL", "DATABASE_WORKER_URL", "REDIS_URL", "API_PORT"


class Ways(dict[str, Link]):
    """The links of the world that runs."""

    def __init__(self, links: Links) -> None:
        super().__init__()
        self._links = links

    def lead(self, stack: Stack) -> str:
        """Lead all ways through links, and return where clients find the API."""
        for name in (API, WORKERS, REDIS):
            url = make_url(stack.env[name])
            assert url.port is not None
            self[name] = self._links.open(url.port)
            stack.env[name] = url.set(port=self[name].port).render_as_string(hide_password=False)
        self[CLIENTS] = self._links.open(int(stack.env["API_PORT"]))
        return f"http://{HOST}:{self[CLIENTS].port}"
