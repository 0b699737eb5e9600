"""`python -m api`: serve the API on API_HOST and API_PORT, one process."""

import sys

import uvicorn

import db.roles
import process
import tracing
from api.arrivals import Arrivals
from db.engine import engine
from db.roles import Side
from settings import Settings

# How long the thread that rings may hold up the event loop, once that wants to go on: Python's own 5 ms are as many
# requests as come in them (decision 64).
SWITCH_SECONDS = 0.0005
STOP_SECONDS = 28  # Above the longest answer (a stream of 25 s), below the supervisor's patience.
KEEP_ALIVE_SECONDS = 75  # Longer than a load balancer's 60, so that it never sends into a closed connection.
NEEDED = ("database_api_url", "redis_url", "token_key", "index_key", "pii_keys", "webhook_keys")


def main() -> None:
    with process.running("api", *NEEDED) as config, tracing.traced(config, "api"):
        refuse_unsafe(config)
        sys.setswitchinterval(SWITCH_SECONDS)
        trusted = config.trusted_networks
        uvicorn.run(
            "api.app:create_app",
            factory=True,
            host=config.api_host,
            port=config.api_port,
            http=Arrivals,
            ws="none",
            lifespan="on",
            log_config=None,  # As all other libraries; `api.access_log` writes a line an answer.
            access_log=False,
            # Whoever is behind X-Forwarded-For can write it: limits and `/metrics` go by the connection, unless it is
            # a load balancer's that was named. Then by the last address in it that is none of theirs.
            proxy_headers=bool(trusted),
            forwarded_allow_ips=",".join(trusted),
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )


def refuse_unsafe(config: Settings) -> None:
    """Refuse a role that could move money or edit history, before anybody listens.

    Raises:
        SettingsError: with a reason for each thing that is wrong with it.

    """
    urls = [name for name in ("database_api_url", "database_read_url") if getattr(config, name)]
    db.roles.refuse_unsafe(config, dict.fromkeys(urls, Side.API))
    for name in urls:
        engine(getattr(config, name)).dispose()  # The application has an engine of its own.


if __name__ == "__main__":
    main()
