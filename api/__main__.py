"""`python -m api`: serve the API on API_HOST and API_PORT, one process."""

import uvicorn

import process
import tracing
from api import proxies

STOP_SECONDS = 28  # Above the longest answer (a stream of 25 s), below the supervisor's patience.
KEEP_ALIVE_SECONDS = 75  # Longer than a load balancer's 60, so that it never sends into a closed connection.


def main() -> None:
    with process.running("api") as config, tracing.traced(config, "api"):
        trusted = proxies.trusted(config.trusted_proxies)
        uvicorn.run(
            "api.app:create_app",
            factory=True,
            host=config.api_host,
            port=config.api_port,
            http="httptools",
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


if __name__ == "__main__":
    main()
