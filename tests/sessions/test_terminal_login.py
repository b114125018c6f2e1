"""Command lines that log in: by a browser of the same computer, or by a code."""

import base64
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from prism.sessions.model import IDLE_LIMIT, TERMINAL_IDLE_LIMIT, TERMINAL_LIMIT
from prism.sessions.terminal_login import MOST_OF_ADDRESS, MOST_WRONG_CODES, plain_code
from tests.sessions.conftest import HOST
from tests.shapes import failed

VERIFIER, STATE = "v" * 43, "s" * 43
NO_CODE = "BCDF-GHJK"


def challenge_of(verifier):
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def approval(**changes):
    """What the page sends if a person allows the command line of their computer."""
    body = {"port": 40000, "challenge": challenge_of(VERIFIER), "state": STATE}
    return body | {"computer": "laptop"} | changes


def approved(tab, **changes):
    """The code that the browser brings to the command line."""
    answer = tab("POST", "login/terminal", json=approval(**changes))
    assert answer.status_code == 200, answer.text
    return parse_qs(urlsplit(answer.json()["url"]).query)["code"][0]


def program(team, path, **body):
    """A request of a command line that is not logged in."""
    return team(None, "POST", path, {"Host": HOST}, json=body)


def redeem(team, code, verifier=VERIFIER):
    return program(team, "login/terminal/session", code=code, verifier=verifier)


def logged_in(team, tab):
    """The answer to a command line that a person has allowed."""
    return redeem(team, approved(tab)).json()


def ask(team, session, method="GET", path="me"):
    """A request with the token of a command line."""
    return team(None, method, path, {"Authorization": f"Bearer {session['token']}"})


def start(team, computer="cluster"):
    answer = program(team, "login/device", computer=computer)
    assert answer.status_code == 200, answer.text
    return answer.json()


def poll(team, started):
    answer = program(team, "login/device/session", device_code=started["device_code"])
    assert answer.status_code == 200, answer.text
    return answer.json()


def answered(tab, typed, allow=True):
    return tab("POST", "login/device/answer", json={"user_code": typed, "allow": allow})


def stored(team):
    with team.daemon.db.read() as sql:
        tables = ("sessions", "login_codes", "device_logins", "events", "idempotency_keys")
        return repr([sql.exec_driver_sql(f"SELECT * FROM {table}").fetchall() for table in tables])


def test_browser_allows_the_command_line_of_its_computer(team, tab):
    tab.log_in("member@x.org")
    answer = tab("POST", "login/terminal", json=approval())
    url = urlsplit(answer.json()["url"])
    assert (url.scheme, url.netloc, url.path) == ("http", "127.0.0.1:40000", "/")
    fields = parse_qs(url.query)
    assert fields["state"] == [STATE]
    session = redeem(team, fields["code"][0]).json()
    assert session["user"] == "member@x.org"
    me = ask(team, session).json()
    assert (me["user"], me["roles"]) == ("member@x.org", {team.project: "member"})
    listed = {each["id"]: each for each in tab("GET", "sessions").json()}
    assert listed[session["session"]]["browser"] == "prism on laptop"
    assert listed[session["session"]]["method"] == "terminal"
    assert session["token"].partition(".")[2] not in stored(team)
    assert fields["code"][0].partition(".")[2] not in stored(team)


def test_code_is_worth_nothing_without_the_verifier_and_is_used_up_by_a_wrong_one(team, tab):
    tab.log_in("member@x.org")
    code = approved(tab)
    failed(redeem(team, code, "w" * 43), 401, "LOGIN_REFUSED")
    failed(redeem(team, code), 401, "LOGIN_REFUSED")


def test_code_is_used_once_and_expires(team, tab, clock):
    tab.log_in("member@x.org")
    code = approved(tab)
    assert redeem(team, code).status_code == 200
    failed(redeem(team, code), 401, "LOGIN_REFUSED")
    late = approved(tab)
    clock.advance(minutes=2)
    failed(redeem(team, late), 401, "LOGIN_REFUSED")


def test_link_is_no_code_and_a_code_is_no_link(team, tab, other_tab):
    failed(redeem(team, tab.link("member@x.org")), 401, "LOGIN_REFUSED")
    tab.log_in("member@x.org")
    refused = other_tab("POST", "login", json={"link": approved(tab)})
    failed(refused, 401, "LOGIN_REFUSED")
    assert other_tab.cookie is None


def test_code_dies_with_the_session_that_made_it(team, tab):
    tab.log_in("member@x.org")
    code = approved(tab)
    tab("POST", "logout")
    failed(redeem(team, code), 401, "LOGIN_REFUSED")


def test_code_is_of_no_use_to_the_session_whose_link_began_its_own(team, tab, other_tab):
    tab.log_in("ada@x.org")
    url = tab("POST", "login-links", json={"user": "member@x.org"}).json()["url"]
    assert other_tab("POST", "login", json={"link": url.partition("#")[2]}).status_code == 200
    code = approved(other_tab)
    other_tab("POST", "logout")
    failed(redeem(team, code), 401, "LOGIN_REFUSED")


def test_logout_of_a_command_line_keeps_no_token_from_the_end_of_the_browser(team, tab, other_tab):
    """A thief of a session makes a token in a command line, and ends only this by themselves."""
    tab.log_in("member@x.org")
    [own] = [each["id"] for each in tab("GET", "sessions").json() if each["current"]]
    session = logged_in(team, tab)
    headers = {"Authorization": f"Bearer {session['token']}"}
    token = team(None, "POST", "tokens", headers, json={"name": "made there"}).json()
    team.tokens["made"] = token["token"]
    assert ask(team, session, "POST", "logout").status_code == 200
    assert team("made", "GET", "me").status_code == 200
    other_tab.log_in("member@x.org")
    assert other_tab("DELETE", f"sessions/{own}").json()["tokens"] == 1
    failed(team("made", "GET", "me"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 80},
        {"port": 70000},
        {"port": "40000@evil.example"},
        {"state": "short"},
        {"state": "s" * 20 + "&code=x"},
        {"state": "s" * 20 + "\r\nX: y"},
        {"challenge": "short"},
        {"computer": "<script>"},
        {"computer": "a\u202eb"},
        {"computer": ""},
        {"redirect_uri": "https://evil.example"},
    ],
)
def test_answer_leads_to_this_computer_only(team, tab, changes):
    tab.log_in("member@x.org")
    failed(tab("POST", "login/terminal", json=approval(**changes)), 422, "VALIDATION_FAILED")


def test_only_a_person_in_a_browser_allows_a_command_line(team, tab):
    body = approval()
    failed(team("member", "POST", "login/terminal", json=body), 403, "PERMISSION_DENIED")
    failed(team(None, "POST", "login/terminal", json=body), 401, "UNAUTHENTICATED")
    tab.log_in("member@x.org")
    session, started = logged_in(team, tab), start(team)
    headers = {"Authorization": f"Bearer {session['token']}"}
    answer = team(None, "POST", "login/terminal", headers, json=body)
    failed(answer, 403, "PERMISSION_DENIED")
    body = {"user_code": started["user_code"], "allow": True}
    answer = team(None, "POST", "login/device/answer", headers, json=body)
    failed(answer, 403, "PERMISSION_DENIED")
    assert poll(team, started)["state"] == "authorization_pending"


@pytest.mark.parametrize("path", ["login/terminal", "login/device/answer", "login/device/find"])
def test_page_of_another_site_allows_nothing(team, tab, path):
    tab.log_in("member@x.org")
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    failed(tab("POST", path, foreign, json=approval()), 403, "ORIGIN_REJECTED")
    lured = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    failed(tab("POST", path, lured, json=approval()), 403, "ORIGIN_REJECTED")


def test_cookie_is_no_token_and_a_token_is_no_cookie(team, tab, other_tab):
    tab.log_in("member@x.org")
    failed(ask(team, {"token": f"prism_{tab.cookie}"}), 401, "UNAUTHENTICATED")
    session = logged_in(team, tab)
    other_tab.cookie = session["token"].removeprefix("prism_")
    failed(other_tab("GET", "me"), 401, "UNAUTHENTICATED")
    assert other_tab("POST", "logout").json()["message"] == "Nobody was logged in"
    assert ask(team, session).status_code == 200


def test_session_of_a_token_gives_a_command_line_no_more_rights(team, tab):
    token = team.token("narrow", user="owner@x.org", scope="operate", project="Reef", days=1)
    tab("POST", "login", json={"token": team.tokens["narrow"]})
    session = logged_in(team, tab)
    me = ask(team, session).json()
    assert (me["scope"], me["token_project"]) == ("operate", team.project)
    assert session["expires_at"] == token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    team("operator", "DELETE", f"tokens/{token.id}")
    failed(ask(team, session), 401, "UNAUTHENTICATED")


def test_token_that_may_only_read_allows_no_command_line(team, tab):
    team.token("reader", user="owner@x.org", scope="read")
    tab("POST", "login", json={"token": team.tokens["reader"]})
    failed(tab("POST", "login/terminal", json=approval()), 403, "PERMISSION_DENIED")


def test_command_line_ends_without_use_after_thirty_days_and_at_the_latest_after_ninety(
    team, tab, other_tab, clock
):
    tab.log_in("member@x.org")
    session = logged_in(team, tab)
    clock.advance(seconds=IDLE_LIMIT.total_seconds() * 2)
    other_tab.log_in("viewer@x.org")  # which removes what has ended
    assert ask(team, session).status_code == 200
    clock.advance(seconds=TERMINAL_IDLE_LIMIT.total_seconds() - 60)
    assert ask(team, session).status_code == 200
    clock.advance(seconds=TERMINAL_IDLE_LIMIT.total_seconds())
    refused = failed(ask(team, session), 401, "UNAUTHENTICATED")
    assert refused["message"] == "Your login has ended"
    assert "prism login" in refused["remediation"]
    tab.log_in("member@x.org")
    session, days = logged_in(team, tab), TERMINAL_LIMIT.days
    for _ in range(days - 1):
        clock.advance(seconds=24 * 3600)
        assert ask(team, session).status_code == 200
    clock.advance(seconds=24 * 3600)
    failed(ask(team, session), 401, "UNAUTHENTICATED")


def test_logout_of_a_command_line_ends_its_session_only(team, tab):
    tab.log_in("member@x.org")
    session, other = logged_in(team, tab), logged_in(team, tab)
    answer = ask(team, session, "POST", "logout")
    assert answer.json()["message"] == "member@x.org is logged out"
    failed(ask(team, session), 401, "UNAUTHENTICATED")
    assert ask(team, other).status_code == 200
    assert tab("GET", "me").status_code == 200


def test_ended_session_of_a_browser_takes_its_command_lines_with_it(team, tab, other_tab):
    """Whoever had stolen the session may have allowed them; a logout leaves them."""
    tab.log_in("member@x.org")
    session, own = logged_in(team, tab), tab("GET", "sessions").json()
    headers = {"Authorization": f"Bearer {session['token']}"}
    token = team(None, "POST", "tokens", headers, json={"name": "made there"}).json()
    [browser] = [each["id"] for each in own if each["method"] == "link"]
    other_tab.log_in("member@x.org")
    answer = other_tab("DELETE", f"sessions/{browser}").json()
    assert (answer["sessions"], answer["tokens"]) == (2, 1)
    failed(ask(team, session), 401, "UNAUTHENTICATED")
    failed(ask(team, token), 401, "UNAUTHENTICATED")
    later = logged_in(team, other_tab)
    other_tab("POST", "logout")
    assert ask(team, later).status_code == 200


def test_code_typed_into_a_browser_logs_a_computer_in(team, tab):
    started = start(team)
    assert poll(team, started)["state"] == "authorization_pending"
    tab.log_in("member@x.org")
    typed = started["user_code"].lower().replace("-", " ")
    waiting = tab("POST", "login/device/find", json={"user_code": typed}).json()
    assert waiting["computer"] == "cluster"
    assert answered(tab, typed).json()["message"] == "The command line on cluster is logged in"
    answer = poll(team, started)
    assert answer["state"] == "allowed"
    assert ask(team, answer["session"]).json()["user"] == "member@x.org"
    assert poll(team, started)["state"] == "expired_token", "the codes are used up"
    failed(answered(tab, typed), 404, "DEVICE_LOGIN_NOT_FOUND")
    words = (started["device_code"].partition(".")[2], plain_code(started["user_code"]))
    assert not any(word in stored(team) for word in (*words, answer["session"]["token"]))


def test_denied_and_expired_codes_log_nobody_in(team, tab, clock):
    tab.log_in("member@x.org")
    denied, late = start(team), start(team)
    assert answered(tab, denied["user_code"], allow=False).status_code == 200
    assert poll(team, denied)["state"] == "access_denied"
    assert [each["method"] for each in tab("GET", "sessions").json()] == ["link"]
    clock.advance(minutes=10)
    failed(answered(tab, late["user_code"]), 404, "DEVICE_LOGIN_NOT_FOUND")
    assert poll(team, late)["state"] == "expired_token"
    for words in ("dev_1.xxxxxxxxxxxxxxxx", late["device_code"][:-1] + "!"):
        answer = program(team, "login/device/session", device_code=words)
        assert answer.status_code == 422 or answer.json()["state"] == "expired_token"


def test_answer_cannot_be_changed(team, tab, other_tab):
    """Neither by another person, who would give the command line to somebody else."""
    tab.log_in("member@x.org")
    other_tab.log_in("viewer@x.org")
    started = start(team)
    answered(tab, started["user_code"])
    failed(answered(other_tab, started["user_code"]), 404, "DEVICE_LOGIN_NOT_FOUND")
    failed(answered(tab, started["user_code"], allow=False), 404, "DEVICE_LOGIN_NOT_FOUND")
    assert poll(team, started)["session"]["user"] == "member@x.org"


def test_polling_too_fast_is_slowed_down(team, tab, clock):
    started = start(team)
    assert poll(team, started)["interval"] == 5
    clock.advance(seconds=2)
    answer = poll(team, started)
    assert (answer["state"], answer["interval"]) == ("slow_down", 10)
    clock.advance(seconds=10)
    assert poll(team, started)["state"] == "authorization_pending"


def test_codes_cannot_be_guessed(team, tab, other_tab, clock):
    tab.log_in("member@x.org")
    other_tab.log_in("viewer@x.org")
    started = start(team)
    for _ in range(MOST_WRONG_CODES):
        answer = tab("POST", "login/device/find", json={"user_code": NO_CODE})
        failed(answer, 404, "DEVICE_LOGIN_NOT_FOUND")
    answer = answered(tab, started["user_code"])
    failed(answer, 429, "TOO_MANY_ATTEMPTS")
    assert int(answer.headers["Retry-After"]) == 15 * 60 + 1
    assert answered(other_tab, started["user_code"]).status_code == 200, "who has not guessed"
    clock.advance(minutes=16)
    assert answered(tab, start(team)["user_code"]).status_code == 200


def test_one_address_cannot_fill_the_table(team, clock):
    for _ in range(MOST_OF_ADDRESS):
        start(team)
    answer = program(team, "login/device", computer="cluster")
    failed(answer, 429, "TOO_MANY_ATTEMPTS")
    clock.advance(minutes=10)
    start(team)


@pytest.mark.parametrize("team", [{"trusted_proxies": "127.0.0.1"}], indirect=True)
def test_whoever_has_many_addresses_of_ipv6_cannot_fill_the_table(team):
    def start_from(address):
        headers = {"Host": HOST, "X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
        return team(None, "POST", "login/device", headers, json={"computer": "cluster"})

    for number in range(MOST_OF_ADDRESS):
        assert start_from(f"2001:db8:0:1::{number:x}").status_code == 200
    failed(start_from("2001:db8:0:1::ffff"), 429, "TOO_MANY_ATTEMPTS")
    assert start_from("2001:db8:0:2::1").status_code == 200


def test_device_whose_browser_session_was_ended_gets_nothing(team, tab):
    tab.log_in("member@x.org")
    started = start(team)
    answered(tab, started["user_code"])
    tab("DELETE", "sessions")
    assert poll(team, started)["state"] == "access_denied"


def test_daemon_of_one_person_has_no_logins(http):
    for path in ("login/device", "login/terminal/session", "login/device/session"):
        body = {"login/device": {"computer": "x"}}.get(path)
        body = body or {"device_code": "x" * 20} if "device/" in path else body
        body = body or {"code": "x" * 20, "verifier": "x" * 20}
        failed(http("POST", f"/api/v1/{path}", json=body), 403, "LOGIN_UNAVAILABLE")


def test_answers_with_secrets_are_stored_nowhere(team, tab):
    tab.log_in("member@x.org")
    answers = [
        tab("POST", "login/terminal", json=approval()),
        program(team, "login/device", computer="x"),
        redeem(team, approved(tab)),
    ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store", json.dumps(answer.json())
