"""A real nginx on the configuration of deploy/nginx, with ports of this machine in the place of the containers'."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from local import ports

ROOT = Path(__file__).parents[3]
CONFIGURATION = ROOT / "deploy/nginx"
COMPOSE_API = ("10.231.17.11:8000", "10.231.17.12:8000")
COMPOSE_FLOWER = "10.231.17.13:5555"
PLAIN, TLS = 8080, 8443  # The ports that nginx listens on in its container.
START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 50.0  # Above worker_shutdown_timeout.


class Nginx:
    """Runs until the end of the `with` block. `apis` and `flower` are ports on the loopback.

    `entry` is the file that it starts with; `changes` are further texts and what stands in their place.
    """

    def __init__(
        self, folder: Path, apis: tuple[int, int], flower: int, *, entry: str = "plain", **changes: str
    ) -> None:
        self.folder = folder
        self.port, self.tls_port = ports.free(), ports.free()
        self.url = f"http://{ports.HOST}:{self.port}"
        self.log = folder / "access.log"
        self._entry = folder / "nginx" / f"{entry}.conf"
        replaced = {
            **{place: f"{ports.HOST}:{port}" for place, port in zip(COMPOSE_API, apis, strict=True)},
            COMPOSE_FLOWER: f"{ports.HOST}:{flower}",
            f"listen {PLAIN};": f"listen {ports.HOST}:{self.port};",
            f"listen {TLS} ": f"listen {ports.HOST}:{self.tls_port} ",
            "/run/nginx": str(folder / "run"),
            "/run/secrets/tls": str(folder / "tls"),
            **changes,
        }
        _render(folder / "nginx", replaced)
        for name in ("run", "tls"):
            (folder / name).mkdir()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def admit_to_flower(self, user: str, password: str) -> None:
        """Fill in the template as the image's entry point does."""
        template = (CONFIGURATION / "templates/flower.htpasswd.template").read_text(encoding="ascii")
        filled = template.replace("${FLOWER_USER}", user).replace("${FLOWER_PASSWORD}", password)
        (self.folder / "run/flower.htpasswd").write_text(filled, encoding="ascii")

    def start(self) -> None:
        with self.log.open("ab") as log, (self.folder / "error.log").open("ab") as errors:
            self._process = subprocess.Popen(self._argv(), stdout=log, stderr=errors)
        deadline = time.monotonic() + START_SECONDS_MAX
        while ports.is_free(self.port):
            assert self._process.poll() is None, self.errors()
            assert time.monotonic() < deadline, self.errors()
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS_MAX)

    def test(self) -> subprocess.CompletedProcess[str]:
        """Have nginx judge its configuration."""
        return subprocess.run([*self._argv(), "-t"], capture_output=True, text=True, check=False)

    def errors(self) -> str:
        return (self.folder / "error.log").read_text(encoding="utf-8")

    def _argv(self) -> list[str]:
        # Root's nginx would hand requests to another account, which cannot read a test's folder.
        globally = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
        return [program(), "-c", str(self._entry), "-g", globally]


def program() -> str:
    """Return where nginx is: Debian keeps it from the PATH of ordinary users."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert found, "nginx is missing; on Debian and Ubuntu: apt-get install nginx-light"
    return found


def _render(folder: Path, replaced: Mapping[str, str]) -> None:
    """Copy the configuration; everything that is replaced must be there, or the copy tells of something else."""
    shutil.copytree(CONFIGURATION, folder)
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.conf")))
    missing = [place for place in replaced if place not in text]
    assert missing == [], missing
    pattern = re.compile("|".join(map(re.escape, replaced)))
    for path in folder.glob("*.conf"):
        path.write_text(
            pattern.sub(lambda match: replaced[match[0]], path.read_text(encoding="utf-8")), encoding="utf-8"
        )
