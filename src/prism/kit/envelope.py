"""Problems as JSON, and the problems of HTTP itself.

Nothing here needs a web framework, so clients raise what the daemon raised.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from prism.errors import (
    Conflict,
    Denied,
    Invalid,
    InvalidJson,
    NotFound,
    Problem,
    Unavailable,
)

RETRY_AFTER_SECONDS = 5  # seconds, where the problem's own data does not say


class InvalidRequest(Invalid, code="INVALID_REQUEST"):
    """Prism cannot read this request."""


class EndpointNotFound(NotFound, code="ENDPOINT_NOT_FOUND"):
    """There is no such address."""


class MethodNotAllowed(Invalid, code="METHOD_NOT_ALLOWED"):
    """The address does not accept that method."""


class Unauthenticated(Denied, code="UNAUTHENTICATED"):
    """You are not signed in."""


class BodyTooLarge(Invalid, code="BODY_TOO_LARGE"):
    """The body is larger than 1 MiB."""


class HeadTooLarge(Invalid, code="HEAD_TOO_LARGE"):
    """The address and the headers of a request are larger than 64 KiB together."""


class RequestTooSlow(Unavailable, code="REQUEST_TOO_SLOW"):
    """The request did not arrive in time."""


class TooManyConnections(Unavailable, code="TOO_MANY_CONNECTIONS"):
    """Too many connections are open."""


class UnsupportedMediaType(Invalid, code="UNSUPPORTED_MEDIA_TYPE"):
    """The body is not `application/json`."""


class HostInvalid(Invalid, code="HOST_INVALID"):
    """A request needs exactly one Host header."""


class HostRejected(Invalid, code="HOST_REJECTED"):
    """Prism does not answer to that host name."""


class OriginRejected(Denied, code="ORIGIN_REJECTED"):
    """Requests from another site are refused."""


class HttpsRequired(Denied, code="HTTPS_REQUIRED"):
    """Prism answers at that address by `https://` only."""


class PeerRejected(Denied, code="PEER_REJECTED"):
    """Requests from another user of this computer, or from a workspace, are refused."""


class ProxyRejected(Denied, code="PROXY_REJECTED"):
    """A daemon for one person does not answer requests that a proxy passes on."""


class Bug(Problem, code="INTERNAL_ERROR"):
    """Something went wrong inside Prism."""


# A code's own status wins; else the nearest ancestor decides.
BY_CODE: dict[str, int] = {
    "INVALID_PORT": 400,
    "AWS_CREDENTIALS_MISSING": 424,
    "UPGRADE_REQUIRED": 426,
    "SERVICE_ANSWER_INVALID": 502,
    "HEAD_TOO_LARGE": 431,
    "REQUEST_TOO_SLOW": 408,
    "INVITATION_EXPIRED": 410,
    "RANGE_NOT_SATISFIABLE": 416,
    "TOO_MANY_ATTEMPTS": 429,
}
BY_CLASS: dict[type[Problem], int] = {
    InvalidJson: 400,
    InvalidRequest: 400,
    HostInvalid: 400,
    Unauthenticated: 401,
    MethodNotAllowed: 405,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    HostRejected: 421,
    Invalid: 422,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    Unavailable: 503,
    Problem: 500,
}


class ErrorBody(Struct, frozen=True):
    """An error, as the API reference defines it; `data` has the same facts for programs."""

    code: str
    message: str
    details: str
    remediation: str
    timestamp: datetime
    data: dict[str, Any] | UnsetType = UNSET


class ErrorEnvelope(Struct, frozen=True):
    """The body of every answer that reports an error."""

    error: ErrorBody


def status_of(problem: Problem) -> int:
    """The HTTP status of the problem's class, else of its nearest ancestor with a status."""
    if (status := BY_CODE.get(problem.code)) is not None:
        return status
    return next(BY_CLASS[kind] for kind in type(problem).__mro__ if kind in BY_CLASS)


def headers_of(problem: Problem) -> dict[str, str]:
    """The HTTP headers of the problem."""
    status = status_of(problem)
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status == 416:
        return {"Content-Range": f"bytes */{(problem.data or {})['size']}"}
    if status in {429, 503}:
        return {"Retry-After": str((problem.data or {}).get("retry_after", RETRY_AFTER_SECONDS))}
    return {}


def to_wire(problem: Problem, at: datetime) -> bytes:
    """The body for a problem that happened `at`."""
    words = (problem.code, problem.message, problem.details, problem.remediation)
    data = UNSET if problem.data is None else problem.data
    at = at.replace(microsecond=0)
    return msgspec.json.encode(ErrorEnvelope(ErrorBody(*words, timestamp=at, data=data)))
