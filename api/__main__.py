"""`python -m api`: serve the API on API_HOST and API_PORT, one process."""

from granian import Granian
from granian.constants import Interfaces

from settings import settings

STOP_SECONDS = 28  # Above the longest answer (a stream of 25 s), below the supervisor's patience.


def main() -> None:
    config = settings()
    Granian(
        "api.app:create_app",
        factory=True,
        interface=Interfaces.ASGI,
        address=config.api_host,
        port=config.api_port,
        workers=1,
        workers_kill_timeout=STOP_SECONDS,
        websockets=False,
        log_access=False,
    ).serve()


if __name__ == "__main__":
    main()
