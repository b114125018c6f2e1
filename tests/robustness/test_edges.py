"""Extreme values in every path, query and body: refused with an error envelope, never with 5xx."""

import json

import pytest

from prism.access.model import NewToken, Scope
from tests.robustness.raw import JSON, send_requests
from tests.robustness.world import LISTS, OPERATIONS, populate, subject_names
from tests.shapes import failed

MIB = 1024 * 1024
WORDS = [
    *("..", ".", "%2e%2e", "%2E%2E%2F%2E%2E", "%2F", "%2Fetc%2Fpasswd", "..%5c..", "%00", "a%00b"),
    *("%ff%fe", "%C3%28", "%F0%9F%90%A0", "%E2%80%AEexe", "e%CC%81%CC%81%CC%81", "%0d%0aX: y"),
    *("%25", "%", "%zz", "+", "%20", ";", "'", "%22", "a" * 10_240, "%C3%A9" * 3000, "-1", "0"),
    *("99999999999999999999", "NaN", "null", "undefined", "{name}", "%7Bname%7D", "$(id)"),
]
VALUES = [
    *("", "0", "-1", "-0", "1e308", "NaN", "Infinity", "0x10", "1_000", "%D9%A3", "1.0", "true"),
    *(
        "99999999999999999999",
        "9223372036854775807",
        "9223372036854775808",
        "%00",
        "%ff",
        "%F0%9F",
    ),
    *("0001-01-01", "0001-01-29", "9999-12-31", "0000-01-01", "2026-02-30", "2026-W01-1"),
    *("0000-01", "0001-01", "9999-12", "2026-13", "%D9%A2%D9%A0%D9%A2%D9%A6-01", "2026-1"),
    *("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00.9999999Z"),
    *("evt_" + "z" * 30, "evt_9223372036854775808", "json", "csv", "markdown", "a" * 10_240),
]
PIECES = [
    *(
        '""',
        '" "',
        '"x"',
        '"\\u0000"',
        '"a\\u202eb"',
        '"e\\u0301\\u0301"',
        '"\\ud800"',
        '"\\udc00"',
    ),
    *('"\\ud83d\\udc20"', '"\\r\\nX: y"', '"../../etc"', '"a@b"', '"%s"', '"{0}"', '"$(id)"'),
    *(
        f'"{"x" * 10_240}"',
        f'"{"é" * 200}"',
        "null",
        "true",
        "false",
        "[]",
        "{}",
        "[[]]",
        "[null]",
    ),
    *("0", "-0.0", "-1", "1", "0.000001", "0.0000001", "5e-324", "1e308", "1e999", "-1e308"),
    *("1e11", "1e12", "999999999999.99", "2147483648", "9223372036854775807", "NaN", "Infinity"),
    *("9223372036854775808", "1" + "0" * 400, "0.1" + "0" * 400 + "1", "1.0", '"1"', '"NaN"'),
    *('"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00+14:00"'),
    *('"9999-12-31T23:59:59-14:00"', '"2026-02-30T00:00:00Z"', '"2026-01-01T25:00:00Z"'),
    *('"2026-01-01T00:00:60Z"', '"2026-01-01"', '"1"', '{"a": {"a": {}}}', '["x", "x", "x"]'),
]
LITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def wrong_answers(requests, answers):
    """The answers with a 5xx status, or refused without an error envelope."""
    errors = []
    for request, answer in zip(requests, answers, strict=True):
        refused = answer.status >= 400 and b"proxy/" not in str(request[1]).encode()
        if answer.status >= 500 or not answer.status or (refused and not answer.code):
            errors.append((*request[:2], request[3:], answer.status, answer.body[:300]))
    return errors


def checked_answers(app, requests):
    """The answers, after an assertion that none is wrong."""
    answers = send_requests(app, *requests)
    assert wrong_answers(requests, answers) == []
    return answers


def assert_readable(app, things):
    """Assert that all stored values can be read."""
    reads = [
        operation
        for operation in OPERATIONS
        if operation.method == "GET" and "-proxy/" not in operation.path
    ]
    checked_answers(app, [("GET", read.at(**subject_names(things, read))) for read in reads])


@LITE
def test_path_parameter_with_an_extreme_value_is_never_answered_5xx(daemon):
    requests = [
        (
            operation.method,
            operation.at(**{name: word}),
            JSON,
            b"{}" if operation.body is not None else b"",
        )
        for operation in OPERATIONS
        for name in operation.parameters
        for word in WORDS
    ]
    checked_answers(daemon.app, requests)


@pytest.mark.postgres
def test_query_parameter_with_an_extreme_value_is_never_answered_5xx(daemon, http):
    things = populate(http)
    requests = [
        ("GET", f"{operation.at(**subject_names(things, operation))}?{name}={value}")
        for operation in OPERATIONS
        for name in operation.queries
        for value in VALUES
        if operation.method == "GET" and "-proxy/" not in operation.path and "packages" not in name
    ]
    assert len(requests) > 1000
    checked_answers(daemon.app, requests)


def test_body_field_with_an_extreme_value_is_never_answered_5xx_and_readable(daemon, http):
    things = populate(http)
    taken = number = 0
    for operation in OPERATIONS:
        if not operation.body:
            continue
        target = operation.at(**subject_names(things, operation))
        example = {k: v for k, v in operation.example().items() if k in operation.body}
        requests = []
        for name in operation.body:
            rest = json.dumps({k: v for k, v in example.items() if k != name})[1:-1]
            number += 1  # on SQLite a fifth of the values, in turn; on PostgreSQL all
            for piece in PIECES if daemon.db.shared else PIECES[number % 5 :: 5]:
                body = f'{{"{name}": {piece}{", " if rest else ""}{rest}}}'
                requests.append((operation.method, target, JSON, body.encode()))
        if now := sum(answer.status < 300 for answer in checked_answers(daemon.app, requests)):
            taken += now
            if daemon.db.shared or number % 4 == 0:
                assert_readable(daemon.app, things)
    assert_readable(daemon.app, things)
    assert taken > 20, "too few values were accepted and read again"


@LITE
def test_malformed_body_is_refused(daemon):
    deep = b"[" * 100_000
    bodies = [
        *(deep, deep + b"]" * 100_000, b'{"a":' * 100_000, b'"\xff"', b'{"name": "\xc3"}'),
        *(b"\x00", b"{\x00}", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00"),
        *(
            b"{}{}",
            b"{'a': 1}",
            b"{,}",
            b"// {}",
            b"nul",
            b'"',
            b"\\",
            b"\r\n\r\n",
            b"-",
            b"1e",
            b"[1,]",
        ),
        *(b'{"": 1}', b'{"__class__": {}}', b'{"\\u0000": 1}', b'{"name": {"$ne": null}}'),
        json.dumps({f"f{n}": n for n in range(20_000)}).encode(),
    ]
    requests = [
        (operation.method, operation.at(), JSON, body)
        for operation in OPERATIONS
        for body in bodies
        if operation.method != "GET" and "-proxy/" not in operation.path
    ]
    assert not [answer for answer in checked_answers(daemon.app, requests) if answer.status < 400]


@LITE
def test_duplicate_body_field_has_the_last_value(http):
    sent = {
        "content": '{"name": "a", "name": "b"}',
        "headers": {"content-type": "application/json"},
    }
    assert http("POST", "/api/v1/projects", **sent).json()["name"] == "b"


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (MIB - 1, 422, "VALIDATION_FAILED"),
        (MIB, 422, "VALIDATION_FAILED"),
        (MIB + 1, 413, "BODY_TOO_LARGE"),
    ],
)
@LITE
def test_body_of_more_than_one_mebibyte_is_refused(http, size, status, code):
    frame = '{"name": "%s"}'
    body = frame % ("a" * (size - len(frame) + 2))
    assert len(body) == size
    sent = {"content": body, "headers": {"content-type": "application/json"}}
    failed(http("POST", "/api/v1/projects", **sent), status, code)


@LITE
def test_unknown_method_is_answered_405_with_the_allowed_methods(daemon):
    known: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        known.setdefault(operation.path, {"OPTIONS"}).add(operation.method)
    for path, methods in known.items():
        target = path.replace("{", "").replace("}", "")
        proxy = path.startswith(("/web-proxy/", "/dcv-proxy/"))
        for method in ("HEAD", "PATCH", "TRACE", "CONNECT", "QUERY", "PROPFIND", "get", "PUT"):
            [answer] = checked_answers(daemon.app, [(method, target)])
            if method not in methods and not proxy:
                assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED"), (
                    method,
                    target,
                )
                assert {*answer.headers[b"allow"].decode().split(", ")} == methods
        [answer] = checked_answers(daemon.app, [("OPTIONS", target)])
        if not proxy:
            assert (answer.status, answer.body) == (204, b"")
            assert {*answer.headers[b"allow"].decode().split(", ")} == methods


@LITE
def test_very_long_address_is_never_answered_5xx(daemon):
    many = "&".join(f"a{number}=1" for number in range(5000))
    twice = "&".join(["state=running"] * 5000)
    requests = [
        *(
            ("GET", f"{list_.path}?{query}")
            for list_ in LISTS
            for query in (many, twice, "&" * 9000)
        ),
        *(
            ("GET", target)
            for target in ("/" * 9000, "/a" * 9000, "/api/v1/instances" + "/.." * 3000)
        ),
        *(("GET", f"/api/v1/instances/{word}") for word in ("a" * 300_000, "%41" * 100_000)),
        *(
            ("GET", target)
            for target in ("*", "", "http://localhost:8947/api/v1/instances", "?", "//")
        ),
    ]
    checked_answers(daemon.app, requests)


@LITE
def test_options_request_to_a_proxy_requires_access_to_the_workspace(make_daemon):
    """A proxy passes on every method, so every method requires authorization."""
    daemon = make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")
    order = NewToken(name="eve", user="eve@x.org", scope=Scope.ADMIN)
    header = (b"authorization", f"Bearer {daemon.tokens.create(order).token}".encode())
    for path in ("/web-proxy/mine", "/web-proxy/mine/x", "/dcv-proxy/mine", "/dcv-proxy/mine/x"):
        stranger, anonymous = checked_answers(
            daemon.app, [("OPTIONS", path, [header]), ("OPTIONS", path)]
        )
        assert (stranger.status, stranger.code) == (404, "INSTANCE_NOT_FOUND")
        assert anonymous.status == 401
