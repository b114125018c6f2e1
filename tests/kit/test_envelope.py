"""A problem as JSON, its status and its headers."""

import json
from datetime import UTC, datetime

import pytest

from prism.errors import PROBLEMS, Conflict, Denied, Invalid, NotFound, Unavailable
from prism.kit import envelope
from prism.kit.envelope import BY_CODE, headers_of, status_of, to_wire

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Overdrawn(Denied, code="TEST_OVERDRAWN"):
    """There is not enough left."""


def test_problem_is_encoded_as_an_error_envelope():
    problem = Overdrawn("Too dear", details="d", remediation="Spend less", data={"cap": 1})
    assert json.loads(to_wire(problem, AT)) == {
        "error": {
            "code": "TEST_OVERDRAWN",
            "message": "Too dear",
            "details": "d",
            "remediation": "Spend less",
            "timestamp": "2026-01-02T03:04:05Z",
            "data": {"cap": 1},
        }
    }
    assert "data" not in json.loads(to_wire(Overdrawn(), AT))["error"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("INVALID_JSON", 400),
        ("INVALID_REQUEST", 400),
        ("HOST_INVALID", 400),
        ("UNAUTHENTICATED", 401),
        ("PEER_REJECTED", 403),
        ("ORIGIN_REJECTED", 403),
        ("ENDPOINT_NOT_FOUND", 404),
        ("METHOD_NOT_ALLOWED", 405),
        ("BODY_TOO_LARGE", 413),
        ("UNSUPPORTED_MEDIA_TYPE", 415),
        ("HOST_REJECTED", 421),
        ("VALIDATION_FAILED", 422),
        ("INTERNAL_ERROR", 500),
        ("UNAVAILABLE", 503),
    ],
)
def test_problem_code_has_the_status_of_the_contract(kind, status):
    assert status_of(PROBLEMS[kind]()) == status


@pytest.mark.parametrize(("code", "status"), BY_CODE.items())
def test_code_with_its_own_status_has_it_in_every_family(code, status):
    for family in (Invalid, Conflict, Unavailable, Denied):
        problem = family()
        problem.code = code
        assert status_of(problem) == status


def test_headers_follow_from_the_problem():
    assert headers_of(envelope.Unauthenticated()) == {"WWW-Authenticate": "Bearer"}
    assert headers_of(Unavailable()) == {"Retry-After": "5"}
    assert headers_of(Unavailable(data={"retry_after": 30})) == {"Retry-After": "30"}
    assert headers_of(NotFound()) == {}
