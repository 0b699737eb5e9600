"""Every error a client can see, and the one place that turns it into an answer (RFC 9457).

    ApiError
    ├── Invalid               400, with `errors: [{field, message}]`
    │   └── IdempotencyKeyMissing
    ├── BadRequest            400, for what is no HTTP
    ├── Unauthenticated       401
    │   └── InvalidCredentials, InvalidRefreshToken
    ├── Forbidden             403
    │   └── NotAdmitted, CustomerFrozen, CustomerClosed
    ├── NotFound              404, also for what is not the caller's
    ├── RequestTimeout        408
    ├── JobFinished           409
    ├── EndpointDisabled      409
    ├── TooManyEndpoints      409
    ├── UnsupportedMediaType  415
    ├── IdempotencyKeyReused  422
    ├── TooManyRequests       429, with Retry-After
    │   └── LoginLocked, TooManyOpenJobs
    ├── HeaderTooLarge        431
    ├── Unavailable           503, with Retry-After
    └── Overloaded            503, with Retry-After

The class's docstring is the sentence that the client reads.
"""

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from db.engine import is_retryable, is_unavailable
from domain.errors import InvalidField

PROBLEM = "application/problem+json"
# RFC 9110's names of two statuses, for which Python's differ from version to version.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
RETRY_SECONDS = 1
OVERLOADED_SECONDS = 5  # A queue at its mark is seconds deep: whoever comes again at once finds the same.

log = structlog.get_logger()


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error (RFC 9457). `code` is stable: programs may compare it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[FieldError] = []


class ApiError(Exception):
    """Something went wrong."""

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal_error"

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None) -> None:
        super().__init__(detail or self.__doc__)
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.errors: list[FieldError] = []


class Invalid(ApiError):
    """The request breaks a rule of a field."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_request"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.errors = [FieldError(field=field, message=message)]


class IdempotencyKeyMissing(Invalid):
    """This route needs an Idempotency-Key header of 1 to 255 visible ASCII characters."""

    code = "idempotency_key_missing"

    def __init__(self) -> None:
        super().__init__("Idempotency-Key", "required: 1 to 255 visible ASCII characters")


class BadRequest(ApiError):
    """This is not a request of HTTP/1.1."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"


class Unauthenticated(ApiError):
    """No credentials, or none that are valid."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__()
        self.headers = {"WWW-Authenticate": "Bearer"}  # RFC 9110, section 11.6.1.


class InvalidCredentials(Unauthenticated):
    """The e-mail or the password is wrong."""

    code = "invalid_credentials"


class InvalidRefreshToken(Unauthenticated):
    """The refresh token is unknown, expired, revoked or was used before."""

    code = "invalid_refresh_token"


class Forbidden(ApiError):
    """These credentials do not allow this."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class NotAdmitted(Forbidden):
    """Customers come over in steps, and this one's turn has not come: the previous platform still serves them."""

    code = "not_admitted"


class CustomerFrozen(Forbidden):
    """This customer is frozen and cannot log in; an operator may lift that."""

    code = "customer_frozen"


class CustomerClosed(Forbidden):
    """This customer is closed for good and cannot log in."""

    code = "customer_closed"


class NotFound(ApiError):
    """There is no such object, or it is not yours."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"

    def __init__(self, field: str | None = None) -> None:
        super().__init__(None if field is None else f"{field}: {self.__doc__}")
        self.errors = [] if field is None else [FieldError(field=field, message="not found, or not yours")]


class RequestTimeout(ApiError):
    """The request did not arrive in time, or not to its end."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request_timeout"


class JobFinished(ApiError):
    """The job has ended; it can no longer be canceled."""

    status = HTTPStatus.CONFLICT
    code = "job_finished"


class EndpointDisabled(ApiError):
    """The webhook endpoint is switched off or deleted; nothing is sent to it."""

    status = HTTPStatus.CONFLICT
    code = "endpoint_disabled"


class TooManyEndpoints(ApiError):
    """This API key has as many webhook endpoints as it may have."""

    status = HTTPStatus.CONFLICT
    code = "too_many_endpoints"


class UnsupportedMediaType(ApiError):
    """The body must be application/json."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class IdempotencyKeyReused(ApiError):
    """This Idempotency-Key was used for another route or body."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "idempotency_key_reused"


class TooManyRequests(ApiError):
    """Too many requests; wait for as long as Retry-After says."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"


class LoginLocked(TooManyRequests):
    """Too many logins for this e-mail have failed; wait for as long as Retry-After says."""

    code = "login_locked"


class TooManyOpenJobs(TooManyRequests):
    """Too many of your jobs are still queued; wait until some have ended."""

    code = "too_many_open_jobs"


class HeaderTooLarge(ApiError):
    """The head has more than 32 kB, or what stands between the chunks of the body and after them has."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "header_too_large"


class Unavailable(ApiError):
    """A dependency is down; nothing was done that a retry with the same Idempotency-Key could double."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=RETRY_SECONDS)


class Overloaded(ApiError):
    """Too many jobs wait in this queue, and enough of them are yours or it is full; nothing was accepted."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after=OVERLOADED_SECONDS)


def to_problem(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer any exception with a problem document."""
    known = _known(request, error)
    if known.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        # The path is the client's and may hold anything; the route is ours.
        log.error("request failed", route=request.scope.get("path_template"), exc_info=error)
    return problem(request, known)


def problem(request: Request[Any, Any, Any], error: ApiError) -> Response[Any]:
    # The path is not of `request.url`: its host is the client's, and may be none.
    body = document(error, request.scope["path"], request.scope["state"].get("request_id", ""))
    headers = {**error.headers, "Cache-Control": "no-store"}
    return Response(body, status_code=error.status.value, media_type=PROBLEM, headers=headers)


def document(error: ApiError, path: str, request_id: str) -> bytes:
    """Return the body of the answer."""
    body = Problem(
        type=f"/docs#{error.code}",
        title=title(error.status),
        status=error.status.value,
        detail=str(error),
        instance=path,
        code=error.code,
        request_id=request_id,
        errors=error.errors,
    )
    return msgspec.json.encode(body)


def title(status: HTTPStatus) -> str:
    """Return the status's name (RFC 9110, section 15)."""
    return TITLES.get(status.value, status.phrase)


def _known(request: Request[Any, Any, Any], error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, InvalidField):
        return Invalid(error.field, error.message)
    if isinstance(error, ValidationException):
        return _invalid_parameter(request, error)
    if isinstance(error, HTTPException):
        return _http(error)
    if is_unavailable(error) or is_retryable(error):
        return Unavailable("The database is not answering, or busy.")
    return ApiError("An unexpected error; it was logged under this request_id.")


def _invalid_parameter(request: Request[Any, Any, Any], error: ValidationException) -> ApiError:
    """Litestar names each bad parameter in `extra`; the body, which it calls `data`, is empty here."""
    extra = error.extra if isinstance(error.extra, list) else []
    result = Invalid("body", "required: a JSON object")
    found = [_field_error(request, item) for item in extra if isinstance(item, dict)]
    if found:
        result = Invalid(found[0].field, found[0].message)
        result.errors = found
    return result


def _field_error(request: Request[Any, Any, Any], item: dict[str, Any]) -> FieldError:
    key = str(item.get("key", "body"))
    if key == "data":
        return FieldError(field="body", message="required: a JSON object")
    message = str(item.get("message", "invalid")).replace("`", "")
    return FieldError(field=_parameter_name(request, key), message=message)


def _parameter_name(request: Request[Any, Any, Any], key: str) -> str:
    """Return what the client calls the handler's parameter: `from`, a word of Python's, is `posted_from` there."""
    handler: Any = request.route_handler
    field = handler.parsed_fn_signature.parameters.get(key)
    return getattr(field and field.kwarg_definition, "name", None) or key


def _http(error: HTTPException) -> ApiError:
    status = HTTPStatus(error.status_code)
    result = ApiError(error.detail or status.description)
    result.status, result.code = status, HTTP_CODES.get(status.value, status.name.lower())
    result.headers = dict(error.headers or {})
    if status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # The rest of the body is not read (RFC 9110, section 15.5.14): a next request on the connection would be lost.
        result.headers["Connection"] = "close"
    return result


# What Litestar itself refuses: an unknown path and a body over the limit; any other code is its phrase.
HTTP_CODES = {404: "not_found", 413: "too_large"}
