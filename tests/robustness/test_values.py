"""Valid and invalid names, texts, ports, dates and amounts."""

import json

import pytest

from tests.conftest import ML
from tests.robustness.raw import JSON, send_requests
from tests.robustness.world import API, populate
from tests.shapes import failed

LITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def answers(app, method, target, bodies):
    """The statuses of the answers to requests with these bodies."""
    return [
        answer.status
        for answer in send_requests(app, *((method, target, JSON, b.encode()) for b in bodies))
    ]


@LITE
def test_workspace_names_are_accepted_or_refused(daemon):
    good = ["a", "0", "a-b", "a" * 48, "1-2-3", "i-123", "local-x", "xn-80ak6aa92e"]
    bad = [
        *(
            "",
            "-",
            "-a",
            "a-",
            "a--b",
            "xn--80ak6aa92e",
            "a" * 49,
            "A",
            "a_b",
            "a.b",
            "a b",
            "a\n",
        ),
        *("é", "а", "a\u202eb", "a\u0301", "a\u0000", "ａ", "١", "🐠", "i-0123456789abcdef0"),
        *("local-" + "0" * 17, "../a", "a/b", "a%2fb", "$(id)", "a;b", "a\u00a0", "\ufeffa"),
    ]
    for names, status in ((good, 201), (bad, 422)):
        orders = [json.dumps({"name": name, "template": ML}) for name in names]
        replies = answers(daemon.app, "POST", "/api/v1/instances/launch", orders)
        assert [(n, s) for n, s in zip(names, replies, strict=True) if s != status] == []


def test_openapi_patterns_do_not_end_with_a_dollar_sign():
    """In Python, `$` also matches before a final line feed, so such a name would be accepted."""
    pattern_list = [*patterns(API)]
    assert len(pattern_list) > 5
    assert not [text for text in pattern_list if text.endswith("$")]


def patterns(part):
    """Every pattern in the OpenAPI description."""
    if isinstance(part, dict) and isinstance(part.get("pattern"), str):
        yield part["pattern"]
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for value in inside:
        yield from patterns(value)


@LITE
def test_free_text_is_stored_unchanged(http):
    for number, text in enumerate(
        [
            "",
            " ",
            "\u202eabc",
            "e\u0301\u0301\u0301",
            "🐠" * 500,
            "\u2028",
            "<script>",
            "\x01\x7f",
            "'--",
        ]
    ):
        body = {"name": f"P{number}", "description": text}
        created = http("POST", "/api/v1/projects", json=body)
        assert created.status_code == 201, (text, created.text)
        project = http("GET", f"/api/v1/projects/{created.json()['id']}").json()
        assert project["description"] == text


@LITE
def test_project_names_that_look_alike_are_different(http):
    for name in ("Reef", "reef", "Rееf", "Ree\u0301f", "Re\u00e9f"):
        assert http("POST", "/api/v1/projects", json={"name": name}).status_code == 201, name
    assert http("POST", "/api/v1/projects", json={"name": "Reef"}).status_code == 409


@LITE
def test_amounts_are_accepted_or_refused(daemon):
    good = ["0.000001", "1", "0.1", "1e2", "999999999999.99", "1e11", "1.0000000000000000000001"]
    odd = [
        "0",
        "-0.0",
        "-1",
        "5e-324",
        "0.0000001",
        "1e12",
        "1e308",
        "-1e308",
        '"5"',
        "true",
        "null",
    ]
    worse = [*odd, "1e999", "-1e999", "9" * 400, "[]", "{}"]
    never = ["NaN", "Infinity", "-Infinity", "0x10", "1_000", "+1", ".5", "1.", "01"]
    pool = (
        '{{"name": "G{0}", "total_amount": {1}, "period": "monthly", "created_by": "a",'
        ' "start_date": "2026-01-01T00:00:00Z"}}'
    )
    for pieces, status in ((good, 201), (worse, 422), (never, 400)):
        bodies = [pool.format(number, piece) for number, piece in enumerate(pieces)]
        replies = answers(daemon.app, "POST", "/api/v1/budgets", bodies)
        assert [(p, s) for p, s in zip(pieces, replies, strict=True) if s != status] == []


@LITE
def test_dates_are_accepted_or_refused(daemon):
    good = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+05:30", "2024-02-29T00:00:00Z"]
    bad = [
        *(
            "",
            "2026-01-01",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:01Z",
            "2026-13-01T00:00:00Z",
        ),
        *("2026-01-01T00:00:00", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "now", "1"),
        *("0001-01-01T00:00:00+14:00", "٢٠٢٦-01-01T00:00:00Z", "2026-01-01T00:00:00+99:00"),
    ]
    pool = (
        '{{"name": "D{0}", "total_amount": 1, "period": "monthly", "created_by": "a",'
        ' "start_date": "{1}"}}'
    )
    for dates, status in ((good, 201), (bad, 422)):
        bodies = [pool.format(number, date) for number, date in enumerate(dates)]
        replies = answers(daemon.app, "POST", "/api/v1/budgets", bodies)
        assert [(d, s) for d, s in zip(dates, replies, strict=True) if s != status] == []


@LITE
def test_periods_at_the_limits_of_the_calendar_are_accepted_or_refused(http):
    things = populate(http)

    def status(query):
        return http("GET", f"/api/v1/{query}").status_code

    report = f"projects/{things['project_id']}/report?month="
    for query, expected in {
        "costs/history?end_date=0001-01-01": 200,
        "costs/export?end_date=0001-01-15": 200,
        "costs/history?start_date=9999-12-31": 200,
        "costs/history?start_date=0001-01-01&end_date=9999-12-31": 422,
        "audit?since=0001-01-01T00:00:00%2B14:00": 422,
        "audit?until=9999-12-31T23:59:59-14:00": 422,
        "audit?until=9999-12-31": 200,
        f"{report}0001-01": 200,
        f"{report}9999-11": 200,
        f"{report}9999-12": 422,
        f"{report}0000-01": 422,
        f"{report}2026-13": 422,
        f"{report}%D9%A2%D9%A0%D9%A2%D9%A6-01": 422,
    }.items():
        assert status(query) == expected, query


@LITE
def test_invalid_port_is_refused(daemon, http):
    populate(http)
    daemon.settle()
    at = "/api/v1/instances/mine/ports?port="
    for port in ("0", "65536", "-1", "", "+80", "8e3", "80.0", "0x50", "٨٠", "080 ", "9" * 400):
        answer = http("GET", at + port)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_PORT"), port
    for port in ("1", "80", "65535"):
        failed(http("GET", at + port), 503, "PORT_SILENT")


@LITE
def test_invalid_wait_parameter_is_refused(http):
    populate(http)
    for wait in ("", "-1", "301", "1.5", "1e2", "NaN", "٣", "9" * 400, "0x1", "%00", "+1"):
        answer = http("POST", f"/api/v1/instances/mine/stop?wait={wait}")
        assert answer.status_code == 422, wait
    assert http("POST", "/api/v1/instances/mine/stop?wait=0").status_code == 200
