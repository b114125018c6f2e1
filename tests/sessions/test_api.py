"""Logging in with a browser: links, sessions, their limits and their end."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from prism.kit.cookies import SESSION_COOKIE
from prism.sessions.model import ABSOLUTE_LIMIT, IDLE_LIMIT, MOST_SESSIONS
from tests.shapes import failed


def everything_stored(team):
    with team.daemon.db.read() as sql:
        tables = ("sessions", "login_codes", "events", "idempotency_keys")
        return repr([sql.exec_driver_sql(f"SELECT * FROM {table}").fetchall() for table in tables])


def test_link_logs_in_once_and_its_secret_is_stored_as_a_hash(team, tab, other_tab):
    answer = team("operator", "POST", "login-links", json={"user": "Member@x.org"})
    url = answer.json()["url"]
    assert url.startswith("https://prism.example.org/login#lnk_"), "never in a log: a fragment"
    secret = url.partition("#")[2]
    assert len(secret.partition(".")[2]) >= 43, "256 bits"
    answer = tab("POST", "login", json={"link": secret})
    assert answer.json() == {"user": "member@x.org"}
    again = other_tab("POST", "login", json={"link": secret})
    assert "used already" in failed(again, 401, "LOGIN_REFUSED")["details"]
    assert other_tab.cookie is None
    stored = everything_stored(team)
    assert secret.partition(".")[2] not in stored
    assert tab.cookie.partition(".")[2] not in stored


def test_repeated_request_for_a_link_does_not_repeat_its_secret(team):
    key, body = {"Idempotency-Key": "k"}, {"user": "member@x.org"}
    first = team("operator", "POST", "login-links", key, json=body).json()
    again = team("operator", "POST", "login-links", key, json=body).json()
    assert again == first | {"url": None}


def test_cookie_is_for_this_host_over_tls_and_hidden_from_scripts(tab):
    [line] = tab.log_in("member@x.org").headers.get_list("set-cookie")
    name, *attributes = (part.strip() for part in line.split(";"))
    assert name.startswith("__Host-prism=ses_")
    assert {*attributes} == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=604800"}


def test_link_is_refused_after_its_minutes(team, tab, clock):
    body = {"user": "member@x.org", "minutes": 5}
    url = team("operator", "POST", "login-links", json=body).json()["url"]
    clock.advance(minutes=5)
    failed(tab("POST", "login", json={"link": url.partition("#")[2]}), 401, "LOGIN_REFUSED")


@pytest.mark.parametrize("link", ["", "x", "lnk_1.x", "."])
def test_wrong_link_is_refused(tab, link):
    answer = tab("POST", "login", json={"link": link})
    if link:
        failed(answer, 401, "LOGIN_REFUSED")
    else:
        failed(answer, 422, "VALIDATION_FAILED")


def test_only_the_operator_makes_links(team):
    for caller in ("viewer", "owner"):
        answer = team(caller, "POST", "login-links", json={"user": "ada@x.org"})
        refused = failed(answer, 403, "PERMISSION_DENIED")
        assert "make links with which people log in" in refused["message"]


@pytest.mark.parametrize("person", ["viewer", "member", "owner", "outside", "operator"])
def test_session_has_the_rights_of_its_person(team, tab, person):
    user = "ada@x.org" if person == "operator" else f"{person}@x.org"
    tab.log_in(user)
    for path in ("me", "projects", f"projects/{team.project}", "costs/current", "daemon/doctor"):
        by_token, by_session = team(person, "GET", path), tab("GET", path)
        assert by_session.status_code == by_token.status_code, path
    me = tab("GET", "me").json()
    assert (me["user"], me["operator"], me["shared"]) == (user, person == "operator", True)
    assert me["scope"] == "admin"
    role = {"operator": "owner"}.get(person, person)
    assert me["roles"] == ({} if person == "outside" else {team.project: role})


def test_session_of_a_token_has_its_limits_and_ends_with_it(team, tab, clock):
    token = team.token("one", user="owner@x.org", scope="read", project="Reef", days=1)
    answer = tab("POST", "login", json={"token": team.tokens["one"]})
    assert answer.json() == {"user": "owner@x.org"}
    me = tab("GET", "me").json()
    assert (me["scope"], me["token_project"]) == ("read", team.project)
    change = tab("PUT", f"projects/{team.project}", json={"description": "x"})
    failed(change, 403, "PERMISSION_DENIED")
    assert team("operator", "DELETE", f"tokens/{token.id}").status_code == 200
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")
    failed(tab("POST", "login", json={"token": team.tokens["one"]}), 401, "LOGIN_REFUSED")


def test_session_ends_when_it_is_not_used(tab, clock):
    tab.log_in("member@x.org")
    clock.advance(seconds=IDLE_LIMIT.total_seconds() - 1)
    assert tab("GET", "me").status_code == 200
    clock.advance(seconds=IDLE_LIMIT.total_seconds() - 61)
    assert tab("GET", "me").status_code == 200, "the request above was a use"
    clock.advance(seconds=IDLE_LIMIT.total_seconds())
    refused = failed(tab("GET", "me"), 401, "UNAUTHENTICATED")
    assert refused["details"] == "Your session has ended"
    assert tab("GET", "login").json()["user"] is None


def test_session_ends_at_its_absolute_limit_however_much_it_is_used(tab, clock):
    tab.log_in("member@x.org")
    for _ in range(int(ABSOLUTE_LIMIT / IDLE_LIMIT) * 2 - 1):
        clock.advance(seconds=IDLE_LIMIT.total_seconds() / 2)
        assert tab("GET", "me").status_code == 200
    clock.advance(seconds=IDLE_LIMIT.total_seconds() / 2)
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")


def test_login_makes_a_new_session_and_ends_the_browsers_earlier_one(team, tab, other_tab):
    tab.log_in("member@x.org")
    other_tab.cookie = before = tab.cookie
    tab.log_in("viewer@x.org")
    assert tab.cookie != before
    assert tab("GET", "me").json()["user"] == "viewer@x.org"
    failed(other_tab("GET", "me"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("fixed", ["ses_1.x", "x", "ses_00000000000000000000.attacker"])
def test_login_never_takes_a_session_from_the_browser(tab, other_tab, fixed):
    tab.cookie = other_tab.cookie = fixed
    tab.log_in("member@x.org")
    assert tab.cookie != fixed
    failed(other_tab("GET", "me"), 401, "UNAUTHENTICATED")


def test_sessions_are_listed_with_browser_address_and_time(team, tab, other_tab, clock):
    tab.log_in("member@x.org")
    clock.advance(minutes=2)
    other_tab.log_in("viewer@x.org")
    [mine] = tab("GET", "sessions").json()
    assert mine["current"] is True
    assert mine["browser"] == "Firefox on Linux"
    assert mine["created_at"] == "2026-01-01T00:00:00Z"
    assert (mine["method"], mine["user"]) == ("link", "member@x.org")
    assert "hash" not in mine
    everybody = team("operator", "GET", "sessions").json()
    assert {entry["user"] for entry in everybody} == {"member@x.org", "viewer@x.org"}
    assert not any(entry["current"] for entry in everybody)
    assert team("member", "GET", "sessions").json() == [mine | {"current": False, **used(team)}]


def used(team):
    """What a listing has changed: the time of the last use."""
    [entry] = team("member", "GET", "sessions").json()
    return {name: entry[name] for name in ("last_used", "expires_at")}


def test_session_is_ended_by_its_person_or_the_operator_and_by_nobody_else(team, tab, other_tab):
    tab.log_in("member@x.org")
    other_tab.log_in("viewer@x.org")
    [mine] = tab("GET", "sessions").json()
    failed(other_tab("DELETE", f"sessions/{mine['id']}"), 404, "SESSION_NOT_FOUND")
    failed(other_tab("DELETE", "sessions?user=member@x.org"), 403, "PERMISSION_DENIED")
    assert team("operator", "DELETE", f"sessions/{mine['id']}").json() == {
        "message": "1 session ended",
        "sessions": 1,
        "tokens": 0,
    }
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")
    assert other_tab("GET", "me").status_code == 200
    assert other_tab("DELETE", "sessions").json()["sessions"] == 1
    failed(other_tab("GET", "me"), 401, "UNAUTHENTICATED")
    tab.log_in("member@x.org")
    assert team("operator", "DELETE", "sessions?user=member@x.org").json()["sessions"] == 1
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")


def test_ended_session_revokes_the_tokens_that_were_made_in_it(team, tab):
    tab.log_in("owner@x.org")
    first = tab("POST", "tokens", json={"name": "first", "scope": "admin"}).json()
    team.tokens["first"] = first["token"]
    team.tokens["second"] = team("first", "POST", "tokens", json={"name": "second"}).json()[
        "token"
    ]
    [mine] = tab("GET", "sessions").json()
    answer = team("owner", "DELETE", f"sessions/{mine['id']}").json()
    assert answer["message"] == "1 session ended, and 2 made there revoked"
    for name in ("first", "second"):
        failed(team(name, "GET", "me"), 401, "UNAUTHENTICATED")
    assert team("owner", "GET", "me").status_code == 200


def test_logout_ends_the_session_and_keeps_its_tokens(team, tab, other_tab):
    tab.log_in("owner@x.org")
    team.tokens["made"] = tab("POST", "tokens", json={"name": "made"}).json()["token"]
    other_tab.cookie = tab.cookie
    answer = tab("POST", "logout")
    assert answer.json() == {"message": "owner@x.org is logged out", "provider_url": None}
    assert answer.headers["set-cookie"].startswith(f"{SESSION_COOKIE}=; Max-Age=0;")
    assert tab.cookie is None
    failed(other_tab("GET", "me"), 401, "UNAUTHENTICATED")
    assert team("made", "GET", "me").status_code == 200
    assert tab("POST", "logout").json() == {
        "message": "Nobody was logged in",
        "provider_url": None,
    }


def test_oldest_session_of_a_person_ends_if_there_are_too_many(team, tab, other_tab, clock):
    tab.log_in("member@x.org")
    for _ in range(MOST_SESSIONS):
        clock.advance(seconds=1)
        other_tab.cookie = None
        other_tab.log_in("member@x.org")
    assert len(team("member", "GET", "sessions").json()) == MOST_SESSIONS
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")


def test_ended_sessions_and_links_leave_the_database(team, tab, clock):
    tab.link("member@x.org")
    tab.log_in("member@x.org")
    clock.advance(days=8)
    tab.log_in("viewer@x.org")
    with team.daemon.db.read() as sql:
        for table, count in (("sessions", 1), ("login_codes", 0)):
            [row] = sql.exec_driver_sql(f"SELECT count(*) FROM {table}").fetchall()
            assert row[0] == count, table


def test_logins_and_ends_are_in_the_audit_log_of_the_person_and_the_operator(team, tab):
    tab.log_in("member@x.org")
    tab("POST", "logout")
    expected = ["session_ended", "session_started", "login_link_created"]
    for caller in ("member", "operator"):
        entries = team(caller, "GET", "audit?subject=member@x.org").json()
        assert [entry["event"] for entry in entries][:3] == expected
    assert team("viewer", "GET", "audit?subject=member@x.org").json() == []


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("localhost:8947", "other programs of this computer share this address"),
        ("127.0.0.1:8947", "other programs of this computer share this address"),
    ],
)
def test_login_is_refused_where_a_browser_cannot_keep_a_session(team, tab, host, words):
    headers = {"Host": host, "Origin": f"http://{host}"}
    link = tab.link("member@x.org")
    answer = tab("POST", "login", headers, json={"link": link})
    assert words in failed(answer, 403, "LOGIN_UNAVAILABLE")["details"]
    assert words in tab("GET", "login", {"Host": host}).json()["problem"]
    nobody = {"user": None, "shared": True, "provider": None, "problem": None}
    other_ways = {"providers": [], "accounts": False, "mailed_links": False}
    assert tab("GET", "login").json() == {**nobody, **other_ways}
    assert tab("POST", "login", json={"link": link}).status_code == 200, "it was not used up"


def test_daemon_of_one_person_has_no_logins(http):
    failed(http("POST", "/api/v1/login", json={"link": "x"}), 403, "LOGIN_UNAVAILABLE")
    links = http("POST", "/api/v1/login-links", json={"user": "a@x.org"})
    failed(links, 403, "LOGIN_UNAVAILABLE")
    me = http("GET", "/api/v1/me").json()
    assert (me["operator"], me["shared"], me["may_create_projects"]) == (True, False, True)


def test_link_ends_with_the_token_that_made_it(team, tab):
    """A thief of a token makes links, which would let in again after it was revoked."""
    stolen = team.token("stolen", user="ada@x.org", scope="admin")
    answer = team("stolen", "POST", "login-links", json={"user": "ada@x.org"})
    link = answer.json()["url"].partition("#")[2]
    assert team("operator", "DELETE", f"tokens/{stolen.id}").status_code == 200
    failed(tab("POST", "login", json={"link": link}), 401, "LOGIN_REFUSED")


def test_links_end_with_all_sessions_of_a_person(team, tab):
    link = tab.link("member@x.org")
    assert team("operator", "DELETE", "sessions?user=member@x.org").status_code == 200
    failed(tab("POST", "login", json={"link": link}), 401, "LOGIN_REFUSED")


def test_link_ends_with_the_session_in_which_it_was_made(team, tab):
    tab.log_in("ada@x.org")
    answer = tab("POST", "login-links", json={"user": "member@x.org"})
    assert answer.status_code == 201, answer.text
    link = answer.json()["url"].partition("#")[2]
    assert team("operator", "DELETE", "sessions?user=ada@x.org").status_code == 200
    tab.cookie = None
    failed(tab("POST", "login", json={"link": link}), 401, "LOGIN_REFUSED")


@pytest.mark.parametrize("maker", ["token", "session"])
def test_session_of_a_link_ends_with_what_made_the_link(team, tab, other_tab, maker):
    """A thief would else stay, as anybody, after the token or session was found and ended."""
    stolen = team.token("stolen", user="ada@x.org", scope="admin")
    if maker == "session":
        tab.log_in("ada@x.org")
        [session] = [s for s in tab("GET", "sessions").json() if s["current"]]
    made_by = tab if maker == "session" else partial(team, "stolen")
    answer = made_by("POST", "login-links", json={"user": "owner@x.org"})
    link = answer.json()["url"].partition("#")[2]
    assert other_tab("POST", "login", json={"link": link}).status_code == 200
    token = other_tab("POST", "tokens", json={"name": "made there"}).json()
    team.tokens["made"] = token["token"]
    path = f"sessions/{session['id']}" if maker == "session" else f"tokens/{stolen.id}"
    assert team("operator", "DELETE", path).status_code == 200
    failed(other_tab("GET", "me"), 401, "UNAUTHENTICATED")
    failed(team("made", "GET", "me"), 401, "UNAUTHENTICATED")
    entries = team("operator", "GET", "audit?subject=owner@x.org").json()
    assert "session_ended" in [entry["event"] for entry in entries]


def test_session_of_a_link_ends_when_the_token_that_made_it_expires(team, tab, clock):
    team.token("short", user="ada@x.org", scope="admin", days=1)
    answer = team("short", "POST", "login-links", json={"user": "owner@x.org"})
    assert tab("POST", "login", json={"link": answer.json()["url"].partition("#")[2]})
    for _ in range(3):
        assert tab("GET", "me").status_code == 200
        clock.advance(hours=8)
    failed(tab("GET", "me"), 401, "UNAUTHENTICATED")


def test_logout_leaves_the_sessions_of_links_that_were_made_in_it(tab, other_tab):
    tab.log_in("ada@x.org")
    answer = tab("POST", "login-links", json={"user": "member@x.org"})
    other_tab("POST", "login", json={"link": answer.json()["url"].partition("#")[2]})
    tab("POST", "logout")
    assert other_tab("GET", "me").status_code == 200


@pytest.mark.parametrize("end", ["logout", "next login", "unused"])
def test_end_of_a_session_in_between_keeps_nothing_from_a_revocation(team, tab, clock, end):
    """A thief makes a link, a token in its session, and ends this session by themselves."""
    stolen = team.token("stolen", user="ada@x.org", scope="admin")
    answer = team("stolen", "POST", "login-links", json={"user": "owner@x.org"})
    link = answer.json()["url"].partition("#")[2]
    assert tab("POST", "login", json={"link": link}).status_code == 200
    token = tab("POST", "tokens", json={"name": "made there", "scope": "admin"}).json()
    team.tokens["made"] = token["token"]
    if end == "logout":
        tab("POST", "logout")
    elif end == "next login":
        tab.log_in("member@x.org")
    else:
        clock.advance(hours=13)
        tab.cookie = None
        tab.log_in("member@x.org")
    assert team("made", "GET", "me").status_code == 200
    assert team("operator", "DELETE", f"tokens/{stolen.id}").status_code == 200
    failed(team("made", "GET", "me"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("stolen", ["token", "session"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("tokens", {"name": "late", "scope": "admin"}), ("login-links", {"user": "owner@x.org"})],
)
def test_request_that_waits_while_its_right_is_revoked_makes_nothing(
    team, tab, monkeypatch, stolen, path, body
):
    """A thief sends such requests all the time, and one has passed the check just before."""
    token, waits = team.token("stolen", user="ada@x.org", scope="admin"), threading.Event()
    tab.log_in("ada@x.org")
    [session] = [each["id"] for each in tab("GET", "sessions").json() if each["current"]]
    thief = tab if stolen == "session" else partial(team, "stolen")
    assert thief("GET", "me").status_code == 200
    daemon, owner, write = team.daemon, threading.get_ident(), team.daemon.db.write

    def announced_write():
        if threading.get_ident() != owner:
            waits.set()
        return write()

    monkeypatch.setattr(daemon.db, "write", announced_write)
    with ThreadPoolExecutor(1) as pool:
        with daemon.db.write():
            answer = pool.submit(thief, "POST", path, json=body)
            assert waits.wait(30)
            if stolen == "token":
                daemon.tokens.revoke(token.id)
            else:
                daemon.sessions.end(session)
        failed(answer.result(), 401, "UNAUTHENTICATED")
    with daemon.db.read() as sql:
        for table in ("tokens", "login_codes"):
            parents = sql.exec_driver_sql(f"SELECT parent FROM {table}").scalars().all()
            assert not {token.id, session} & {*parents}


def test_a_family_ends_although_two_generations_of_sessions_have_ended(
    team, tab, other_tab, clock
):
    tab.log_in("ada@x.org")
    [root] = [session["id"] for session in tab("GET", "sessions").json() if session["current"]]
    answer = tab("POST", "login-links", json={"user": "ada@x.org"})
    link = answer.json()["url"].partition("#")[2]
    assert other_tab("POST", "login", json={"link": link}).status_code == 200
    answer = other_tab("POST", "login-links", json={"user": "owner@x.org"})
    link = answer.json()["url"].partition("#")[2]
    other_tab("POST", "logout")
    assert other_tab("POST", "login", json={"link": link}).status_code == 200
    token = other_tab("POST", "tokens", json={"name": "made there"}).json()
    team.tokens["made"] = token["token"]
    for _ in range(2):  # the first session is used, the last one is not
        clock.advance(hours=8)
        assert tab("GET", "me").status_code == 200
    third = type(tab)(team)
    third.log_in("member@x.org")  # prunes
    assert team("made", "GET", "me").status_code == 200
    assert team("operator", "DELETE", f"sessions/{root}").status_code == 200
    failed(team("made", "GET", "me"), 401, "UNAUTHENTICATED")
