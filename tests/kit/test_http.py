"""Strict checks of requests, the order of refusals, and the envelope of answers."""

import asyncio
import json
import logging
from typing import Any

import pytest

from tests.kit.notes_app import failed, texts

NOTES = "/api/v1/notes"
IS_JSON = {"content-type": "application/json"}
BIG = b'{"text": "' + b"a" * 2**20 + b'"}'


@pytest.mark.parametrize(
    ("body", "status", "code", "field", "why"),
    [
        (b"{", 400, "INVALID_JSON", None, "truncated"),
        (b'{"text": "\xff"}', 400, "INVALID_JSON", None, "utf-8"),
        (b'{"other": "\xff"}', 400, "INVALID_JSON", None, "utf-8"),
        (b'{"text": NaN}', 400, "INVALID_JSON", None, "malformed"),
        (b'{"text": "a"} x', 400, "INVALID_JSON", None, "trailing"),
        (b'\xef\xbb\xbf{"text": "a"}', 400, "INVALID_JSON", None, "malformed"),
        (b'{"text": "\\ud800"}', 400, "INVALID_JSON", None, ""),
        (b"   ", 400, "INVALID_JSON", None, ""),
        (b"[" * 100_000, 400, "INVALID_JSON", None, "nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, "INVALID_JSON", None, "nested"),
        (b"", 422, "VALIDATION_FAILED", "text", "missing"),
        (b"{}", 422, "VALIDATION_FAILED", "text", "missing"),
        (b"null", 422, "VALIDATION_FAILED", "body", "object"),
        (b"[]", 422, "VALIDATION_FAILED", "body", "object"),
        (b'"text"', 422, "VALIDATION_FAILED", "body", "object"),
        (b'{"text": 5}', 422, "VALIDATION_FAILED", "text", "`str`"),
        (b'{"text": "a", "loud": "true"}', 422, "VALIDATION_FAILED", "loud", "`bool`"),
        (b'{"text": "a", "loud": 1}', 422, "VALIDATION_FAILED", "loud", "`bool`"),
        (b'{"text": "a", "x": 1}', 422, "VALIDATION_FAILED", "x", "unknown"),
        (b'{"text": "a", "disk": {}}', 422, "VALIDATION_FAILED", "disk.size", "missing"),
        (b'{"text": "a", "disk": {"size": "5"}}', 422, "VALIDATION_FAILED", "disk.size", "int"),
        (b'{"text": "a", "disk": {"size": 0}}', 422, "VALIDATION_FAILED", "disk.size", ">= 1"),
        (b'{"text": "a", "disk": {"size": 5, "y": 1}}', 422, "VALIDATION_FAILED", "disk.y", ""),
        (
            b'{"text": "a", "copies": [{"size": 1}, {}]}',
            422,
            "VALIDATION_FAILED",
            "copies[1].size",
            "",
        ),
        (b'{"text": "a", "disk": {"size": 1e999}}', 422, "VALIDATION_FAILED", "", "range"),
        (b'{"text": "a\\u0000b"}', 422, "VALIDATION_FAILED", "text", "NUL"),
        (b'{"text": "a", "x\\u0000": 1}', 422, "VALIDATION_FAILED", "x", "NUL"),
        (BIG, 413, "BODY_TOO_LARGE", None, ""),
    ],
)
def test_invalid_body_is_refused_with_code_field_and_reason(
    notes_app, body, status, code, field, why
):
    fault = failed(notes_app("POST", NOTES, IS_JSON, content=body), status, code)
    assert why in fault["details"]
    if field:
        assert field in [field["field"] for field in fault["data"]["fields"]]


def test_invalid_body_is_refused_with_every_wrong_field(notes_app):
    body = b'{"disk": {"size": 0}, "loud": 1, "copies": [{"size": 1}, {}], "code": "A", "x": 1}'
    fault = failed(notes_app("POST", NOTES, IS_JSON, content=body), 422, "VALIDATION_FAILED")
    fields = [field["field"] for field in fault["data"]["fields"]]
    assert fields == ["copies[1].size", "disk.size", "loud", "text", "x"]
    assert all(f"{field}: " in fault["details"] for field in fields)
    assert texts(notes_app.db) == []


@pytest.mark.parametrize(
    ("more", "field", "why"),
    [
        ({"colour": "red"}, "colour", "Expected a colour such as `#00ff00`"),
        ({"copies": [{"size": 1, "paint": "red"}]}, "copies[0].paint", "Expected a colour such"),
        ({"code": "red"}, "code", "matching regex '^[A-Z]$'"),
    ],
)
def test_pattern_error_shows_the_description_if_the_type_has_one(notes_app, more, field, why):
    body = json.dumps({"text": "a", **more}).encode()
    fault = failed(notes_app("POST", NOTES, IS_JSON, content=body), 422, "VALIDATION_FAILED")
    [error] = fault["data"]["fields"]
    assert error["field"] == field
    assert why in error["why"]
    assert ("regex" in error["why"]) == (field == "code")


def test_escaped_backslash_is_not_taken_for_a_nul(notes_app):
    body = json.dumps({"text": "a\\u0000b"}).encode()
    assert b"\\\\u0000" in body
    assert notes_app("POST", NOTES, IS_JSON, content=body).status_code == 201


def test_request_errors_are_checked_in_a_fixed_order(notes_app):
    """Path, method, size, type, syntax, fields; each request is also wrong in all later ways."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    failed(notes_app("POST", "/api/v1/nothing", form, content=BIG), 404, "ENDPOINT_NOT_FOUND")
    failed(notes_app("DELETE", NOTES, form, content=BIG), 405, "METHOD_NOT_ALLOWED")
    failed(notes_app("POST", NOTES, form, content=BIG), 413, "BODY_TOO_LARGE")
    failed(notes_app("POST", NOTES, form, content=b"{"), 415, "UNSUPPORTED_MEDIA_TYPE")
    failed(notes_app("POST", NOTES, IS_JSON, content=b"{"), 400, "INVALID_JSON")
    bad = IS_JSON | {"idempotency-key": ""}
    failed(notes_app("POST", NOTES, bad, content=b"{"), 400, "INVALID_JSON")
    fault = failed(notes_app("POST", NOTES, bad, content=b"{}"), 422, "VALIDATION_FAILED")
    assert fault["data"]["fields"] == [
        {"field": "text", "why": "Object missing required field `text`"}
    ]


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"],
)
def test_body_of_another_content_type_is_refused(notes_app, kind):
    headers = {"content-type": kind} if kind else {}
    answer = notes_app("POST", NOTES, headers, content=b'{"text": "a"}')
    failed(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_content_type_is_accepted_with_charset_and_in_any_case(notes_app, kind):
    body = b'{"text": "a"}'
    assert notes_app("POST", NOTES, {"content-type": kind}, content=body).status_code == 201


def test_route_without_a_body_accepts_only_an_empty_object(notes_app):
    poke = f"{NOTES}/a/poke"
    assert notes_app("POST", poke).status_code == 200
    assert notes_app("POST", poke, IS_JSON, content=b"{}").status_code == 200
    assert notes_app("POST", poke, IS_JSON).status_code == 200
    for body in (b'{"x": 1}', b"[]", b"null"):
        failed(notes_app("POST", poke, IS_JSON, content=body), 422, "VALIDATION_FAILED")
    failed(notes_app("POST", poke, IS_JSON, content=BIG), 413, "BODY_TOO_LARGE")
    failed(notes_app("GET", f"{NOTES}/1", IS_JSON, content=b"{"), 400, "INVALID_JSON")


def test_chunked_body_is_refused_before_it_is_read_completely(notes_app):
    pieces_read = []

    async def pieces():
        for _ in range(100):
            pieces_read.append(1)
            yield b" " * 65536

    answer = notes_app("POST", f"{NOTES}/a/poke", IS_JSON, content=pieces())
    failed(answer, 413, "BODY_TOO_LARGE")
    assert len(pieces_read) < 20, "the rest of the body is not read"


def test_interrupted_body_has_no_effect(notes_app):
    calls: list[int] = []
    sent: list[dict[str, Any]] = []

    async def receive():
        if not calls:
            calls.append(1)
            return {"type": "http.request", "body": b'{"text": "a"}', "more_body": True}
        return {"type": "http.disconnect"}

    async def ask():
        scope = {
            "type": "http",
            "method": "POST",
            "path": NOTES,
            "query_string": b"",
            "headers": [(b"content-length", b"50"), (b"content-type", b"application/json")],
        }

        async def send(message):
            sent.append(message)

        await notes_app.app(scope, receive, send)

    asyncio.run(ask())
    assert sent[0]["status"] == 400
    assert texts(notes_app.db) == []


def test_raw_route_accepts_any_body(notes_app):
    assert (
        notes_app("POST", "/api/v1/raw", {"content-type": "x/y"}, content=b"{" * 5000).text
        == "5000"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PROPFIND"])
def test_wrong_method_answers_405_with_the_allowed_methods(notes_app, method):
    answer = notes_app(method, f"{NOTES}/1")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, OPTIONS"


def test_options_answers_the_allowed_methods_without_cors_headers(notes_app):
    answer = notes_app("OPTIONS", NOTES, {"origin": "http://localhost:8947"})
    assert (answer.status_code, answer.headers["allow"]) == (204, "OPTIONS, POST")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{NOTES}/five", "number"),
        (f"{NOTES}/1.5", "number"),
        (f"{NOTES}/%00", "number"),
        (f"{NOTES}/%ff", "number"),
        (f"{NOTES}/1?limit=x", "limit"),
        (f"{NOTES}/1?limit=", "limit"),
        (f"{NOTES}/1?limit=1&limit=2", "limit"),
        (f"{NOTES}/1?limit=%00", "limit"),
        ("/api/v1/search", "word"),
        ("/api/v1/search?word=a%00b", "word"),
    ],
)
def test_invalid_parameter_is_named(notes_app, path, field):
    fault = failed(notes_app("GET", path), 422, "VALIDATION_FAILED")
    assert [field["field"] for field in fault["data"]["fields"]] == [field]


def test_valid_parameters_are_decoded(notes_app):
    assert notes_app("GET", f"{NOTES}/7?limit=5").json() == {"number": 7, "limit": 5}
    assert notes_app("GET", "/api/v1/search?word=a%20b").status_code == 200
    assert notes_app("GET", "/api/v1/search?word=%ff").status_code < 500


@pytest.mark.parametrize("name", ["%00", "%20", "a%2Bb", "a+b", "%2e%2e", "x" * 50_000, "%ff%fe"])
def test_unusual_name_in_a_path_causes_no_server_error(notes_app, name):
    answer = notes_app("POST", f"{NOTES}/{name}/poke")
    assert answer.status_code in {200, 404, 422}, answer.text
    assert notes_app("GET", f"/{name}").status_code == 404


def test_plus_in_a_path_is_not_a_space(notes_app):
    assert notes_app("POST", f"{NOTES}/a+b%20c%2Bd/poke").json() == {"name": "a+b c+d"}


def test_problem_answer_contains_its_data_and_headers(notes_app):
    fault = failed(notes_app("POST", NOTES, json={"text": "too much"}), 409, "TEST_FULL")
    assert (fault["details"], fault["data"]) == ("after the effect", {"most": 3})
    answer = notes_app("PUT", "/api/v1/away")
    failed(answer, 503, "TEST_AWAY")
    assert answer.headers["retry-after"] == "7"


def test_internal_error_is_logged_with_a_reference_and_not_shown(notes_app, caplog):
    with caplog.at_level(logging.ERROR):
        answer = notes_app("POST", NOTES, json={"text": "broken"})
    fault = failed(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    word, reference = fault["details"].split()
    assert word == "reference"
    assert f"bug {reference}" in caplog.text
    assert "secret words" in caplog.text
