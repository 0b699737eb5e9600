"""nginx itself judges its configuration, with certificates made for the occasion."""

from pathlib import Path

import pytest

from local import ports
from tests.programs.gateway.nginx import Nginx
from tests.workers.certificates import Authority


@pytest.mark.parametrize("entry", ["plain", "tls"])
def test_nginx_finds_nothing_wrong_with_it(entry: str, tmp_path: Path) -> None:
    Authority(tmp_path).serving("127.0.0.1")
    [pem] = tmp_path.glob("*.pem")
    nginx = Nginx(tmp_path / "nginx", (ports.free(), ports.free()), ports.free(), entry=entry)
    for name in ("tls.crt", "tls.key"):
        (nginx.folder / "tls" / name).write_bytes(pem.read_bytes())
    judged = nginx.test()
    assert judged.returncode == 0, judged.stderr
    assert "[warn]" not in judged.stderr


def test_nginx_does_find_what_is_wrong(tmp_path: Path) -> None:
    nginx = Nginx(tmp_path / "nginx", (ports.free(), ports.free()), ports.free(), entry="tls")
    assert "cannot load certificate" in nginx.test().stderr
