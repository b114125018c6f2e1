"""A problem goes over the wire and comes out as itself."""

import json
from datetime import UTC, datetime

import pytest

from prism.errors import KNOWN, Conflict, Denied, Invalid, NotFound, Problem, Unavailable
from prism.kit import envelope
from prism.kit.envelope import BY_CODE, from_wire, headers_of, status_of, to_wire

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Overdrawn(Denied, code="TEST_OVERDRAWN"):
    """There is not enough left."""


def test_what_is_on_the_wire():
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


@pytest.mark.parametrize("data", [None, {}, {"fields": [{"field": "a", "why": "b"}]}])
def test_every_known_problem_comes_back_as_its_class(data):
    for code, kind in KNOWN.items():
        problem = kind("m", details="d", remediation="r", data=data)
        back = from_wire(status_of(problem), to_wire(problem, AT))
        assert (type(back), back.code) == (kind, code)
        assert (back.message, back.details, back.remediation) == ("m", "d", "r")
        assert back.data == (data or None)


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Conflict),
        (410, Conflict),
        (422, Invalid),
        (424, Unavailable),
        (500, Problem),
        (502, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_code_of_a_room_that_is_not_here_comes_back_as_its_family(status, family):
    body = to_wire(Overdrawn("m"), AT).replace(b"TEST_OVERDRAWN", b"NEVER_HEARD_OF")
    back = from_wire(status, body)
    assert (type(back), back.code, back.message) == (family, "NEVER_HEARD_OF", "m")
    for garbage in (b"", b"<html>", b"\xff", b'{"error": 5}'):
        assert type(from_wire(status, garbage)) is family
        assert str(status) in from_wire(status, garbage).message


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
def test_the_statuses_of_the_contract(kind, status):
    assert status_of(KNOWN[kind]()) == status


@pytest.mark.parametrize(("code", "status"), BY_CODE.items())
def test_a_code_of_its_own_status_keeps_it_whatever_its_family(code, status):
    for family in (Invalid, Conflict, Unavailable, Denied):
        problem = family()
        problem.code = code
        assert status_of(problem) == status


def test_headers_that_belong_to_a_status():
    assert headers_of(envelope.Unauthenticated()) == {"WWW-Authenticate": "Bearer"}
    assert headers_of(Unavailable()) == {"Retry-After": "5"}
    assert headers_of(Unavailable(data={"retry_after": 30})) == {"Retry-After": "30"}
    assert headers_of(NotFound()) == {}
