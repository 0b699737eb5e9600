import time
from typing import Any, Self

import httpx2
import msgspec

from local.errors import DemoError

REQUEST_SECONDS_MAX = 30.0  # Above the wait asked for below.
WAIT_SECONDS = 10  # What a job is waited for in one request.
PATIENCE_SECONDS = 60.0  # For one submission or one job: a worker that died is back within seconds.
RETRY_SECONDS = 0.5
BUSY = (429, 503)


class Problem(msgspec.Struct, frozen=True):
    """The part of an RFC 9457 body, or of a job's error, that we act on or pass on."""

    code: str = ""
    detail: str = ""


class Job(msgspec.Struct, frozen=True):
    id: str
    kind: str
    state: str
    result: dict[str, Any] | None = None
    error: Problem | None = None

    @property
    def code(self) -> str:
        return self.error.code if self.error else ""


class Client:
    """A client of the API that repeats what was not answered; idempotency keys make that safe."""

    def __init__(self, api_url: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.key = ""
        self._patience_seconds = patience_seconds
        # No proxy of the environment stands between us and this machine.
        self._http = httpx2.Client(base_url=api_url, timeout=REQUEST_SECONDS_MAX, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def status(self, path: str, key: str) -> int:
        return self.send("GET", path, bearer(key)).status_code

    def submit(self, path: str, body: dict[str, Any], idempotency_key: str, key: str) -> Job:
        """Queue a job.

        A used idempotency key with another body is an outcome, not an error: a rejected job without an id.

        Raises:
            DemoError: the API refused the request.

        """
        headers = bearer(key) | {"Idempotency-Key": idempotency_key}
        response = self.send("POST", path, headers, body)
        if response.status_code == 422:
            problem = msgspec.json.decode(response.content, type=Problem)
            return Job(id="", kind=path, state="rejected", error=problem)
        return _job(response)

    def finish(self, job: Job) -> Job:
        """Wait until the job has ended.

        Raises:
            DemoError: it did not.

        """
        deadline = time.monotonic() + self._patience_seconds
        headers = bearer(self.key) | {"Prefer": f"wait={WAIT_SECONDS}"}
        while job.state == "queued":
            if time.monotonic() > deadline:
                raise DemoError(f"job {job.id} ({job.kind}) is still queued: see the workers' logs")
            job = _job(self.send("GET", f"/v1/jobs/{job.id}", headers))
        return job

    def send(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None = None
    ) -> httpx2.Response:
        """Return the answer, whatever it says, unless it is 429 or 503.

        Raises:
            DemoError: there was none but these.

        """
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                response = self._http.request(method, path, headers=headers, json=body)
            except httpx2.TransportError as error:
                reason = str(error)
            else:
                if response.status_code not in BUSY:
                    return response
                reason = _refusal(response)
            if time.monotonic() > deadline:
                raise DemoError(f"{method} {path}: no answer: {reason}")
            time.sleep(RETRY_SECONDS)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _job(response: httpx2.Response) -> Job:
    if response.is_success:
        return msgspec.json.decode(response.content, type=Job)
    raise DemoError(f"{response.request.method} {response.request.url.path}: {_refusal(response)}")


def _refusal(response: httpx2.Response) -> str:
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.MsgspecError:  # Of something in front of the API.
        return f"status {response.status_code}"
    return f"{problem.code}: {problem.detail}"
