"""Each workspace of a shared daemon has an origin of its own; a browser comes by its session."""

import hashlib
import json
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from prism.connections.model import PortRequest
from prism.connections.plan import MAX_LABEL, app_label
from prism.kit.cookies import APP_COOKIE, ENTER_COOKIE, OPENING_COOKIE, SESSION_COOKIE
from tests.connections.apps import APPS, BOB, CAROL, DAVE, NAVIGATION, names_resolve, site

__all__ = ["names_resolve", "site"]  # fixtures
MINE = "mine--bob"
UPLOAD_BYTES = 500 << 20
SOON = 2.0  # seconds


def cookies_of(tab):
    """The names of its cookies, with their domains."""
    return {(cookie.name, cookie.domain) for cookie in tab.http.cookies.jar}


def test_label_of_a_long_name_with_a_port_has_the_id():
    assert app_label(PortRequest("mine--bob"), "local-1") == "mine--bob"
    assert app_label(PortRequest("mine--bob", 8501), "local-1") == "8501--mine--bob"
    full = f"{'n' * 48}--{'h' * 13}"
    assert app_label(PortRequest(full), "local-1") == full and len(full) == MAX_LABEL
    assert app_label(PortRequest(full, 80, tls=True), "local-1") == "tls-80--local-1"


def test_person_opens_an_app_by_the_session_and_it_sees_no_secret(site):
    tab = site.tab()
    tab.log_in(BOB)
    answer = tab.visit(f"{site.app(MINE)}/x/y?a=b&c=%20")
    assert answer.status_code == 200
    assert [urlsplit(url).netloc for url in tab.way] == [
        f"{MINE}.{site.apps}",
        urlsplit(site.base).netloc,
        f"enter.{site.apps}",
        f"{MINE}.{site.apps}",
        f"{MINE}.{site.apps}",
    ]
    [code] = parse_qs(urlsplit(tab.way[2]).query)["code"]
    seen = answer.json()
    assert seen["target"] == "/x/y?a=b&c=%20", "it goes on where it was asked for"
    sent = json.dumps(seen)
    assert "prism" not in sent.lower() and "cookie" not in sent.lower()
    names = {name for name, _ in cookies_of(tab)}
    assert {SESSION_COOKIE, APP_COOKIE} <= names
    assert not [name for name in names if name.startswith(OPENING_COOKIE)]
    again = tab.visit(f"{site.app(MINE)}/again")
    assert len(tab.way) == 1 and again.json()["target"] == "/again"
    headers = {"Authorization": "Bearer prism_tok_x.secret"}
    tab.http.cookies.set("own", "1", domain=f"{MINE}.{APPS}")
    seen = tab.fetch(f"{site.app(MINE)}/x", "POST", headers, content=b"hello").json()
    assert (seen["method"], seen["body"]) == ("POST", "hello")
    received = dict(seen["headers"])
    assert "authorization" not in received and received["cookie"] == "own=1"
    log = (site.home.folder / "log").read_text()
    for secret in [code, *(c.value for c in tab.http.cookies.jar if c.name != "own")]:
        assert secret.rpartition(".")[2] not in log


def test_each_port_and_websockets_and_a_large_upload_and_download_work(site):
    tab = site.tab()
    tab.log_in(BOB)
    ways = tab.fetch(f"{site.base}/api/v1/instances/mine/ports").json()
    assert {way["service"]: way["url"] for way in ways} == {
        "page": site.app("mine--bob"),
        "more": site.app("8501--mine--bob"),
        "desktop": site.app("8443--mine--bob"),
    }
    assert tab.visit(f"{site.app('8501--mine--bob')}/more").json()["target"] == "/more"
    assert tab.visit(f"{site.app(MINE)}/").status_code == 200
    with tab.socket(MINE) as echo:
        echo.send("hello")
        assert "hello" in str(echo.recv(timeout=30))
    digest, piece = hashlib.sha256(), b"0123456789abcdef" * 65536

    def pieces():
        for _ in range(UPLOAD_BYTES // len(piece)):
            digest.update(piece)
            yield piece

    answer = tab.fetch(f"{site.app(MINE)}/upload", "POST", content=pieces())
    assert answer.json() == {"size": UPLOAD_BYTES, "sha256": digest.hexdigest()}
    size = 50 << 20
    assert len(tab.fetch(f"{site.app(MINE)}/download?size={size}").content) == size


def test_without_a_session_the_browser_logs_in_first_and_programs_are_refused(site):
    tab = site.tab()
    page = tab.visit(f"{site.app(MINE)}/x?y")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    target = urlsplit(tab.way[-1])
    assert target.path == "/login"
    [to] = parse_qs(target.query)["to"]
    assert to.startswith("/auth/app?app=mine--bob&browser=")
    tab.log_in(BOB)
    assert tab.visit(f"{site.base}{to}").json()["target"] == "/x?y"
    for method in ("GET", "POST", "DELETE"):
        refused = site.tab().fetch(f"{site.app(MINE)}/x", method)
        assert refused.status_code == 401, method
        assert refused.json()["error"]["code"] == "UNAUTHENTICATED"
    with pytest.raises(InvalidStatus) as raised:
        site.tab().socket(MINE)
    assert raised.value.response.status_code == 401
    token = site.home.client.tokens.create("program", user=BOB).token
    by_token = site.tab().fetch(
        f"{site.app(MINE)}/x", headers={"Authorization": f"Bearer {token}"}
    )
    assert by_token.status_code == 401, "an app's own credentials are in this header"


def test_address_that_is_no_workspaces_or_not_its_only_name_is_not_served(site):
    tab = site.tab()
    tab.log_in(BOB)
    for label in ("mine", "nothing--bob", "mine--nobody", "8888--mine", "enter"):
        answer = tab.visit(f"{site.app(label)}/")
        assert answer.status_code in {401, 404}, label
    other = tab.visit(f"{site.app('mine--carol')}/")
    assert other.status_code in {403, 404}, "Bob sees it, and may not enter"
    sni = {"sni_hostname": f"{MINE}.{APPS}"}  # the certificate is not for names with more dots
    for label in ("a.b", "-mine--bob", "mine--bob-"):
        answer = tab.http.get(f"{site.app(label)}/", headers=NAVIGATION, extensions=sni)
        assert answer.status_code == 421, label


def test_person_outside_the_project_learns_nothing(site):
    tab = site.tab()
    tab.log_in(DAVE)
    known, unknown = (tab.visit(f"{site.app(label)}/") for label in (MINE, "nothing--bob"))
    assert (known.status_code, unknown.status_code) == (404, 404)
    assert known.text.replace(MINE, "NAME") == unknown.text.replace("nothing--bob", "NAME")


@pytest.mark.parametrize("how", ["logout", "revoked", "left"])
def test_open_connections_end_with_the_session_and_with_the_right(site, how):
    operator, tab = site.home.client, site.tab()
    tab.log_in(BOB)
    assert tab.visit(f"{site.app(MINE)}/").status_code == 200
    with tab.socket(MINE) as echo:
        echo.send("hello")
        assert echo.recv(timeout=30)
        began = time.monotonic()
        if how == "logout":
            tab.log_out()
        elif how == "revoked":
            operator.sessions.end_all(BOB)
        else:
            operator.members.change("reef", BOB, role="viewer")
        with pytest.raises((ConnectionClosed, OSError)):
            while True:
                echo.recv(timeout=30)
        assert time.monotonic() - began < SOON + 10, "the machine may be busy"
    refused = tab.fetch(f"{site.app(MINE)}/x")
    assert refused.status_code in {401, 403}
    if how == "left":
        operator.members.change("reef", BOB, role="member")


def test_code_is_good_once_for_one_browser_and_one_app(site):
    tab, other = site.tab(), site.tab()
    for browser in (tab, other):
        browser.log_in(BOB)
    tab.visit(f"{site.app(MINE)}/", until="//enter.")
    code = tab.way[-1]
    assert other.visit(code).status_code == 401, "it has no state of that browser"
    assert tab.visit(code).status_code == 401, "it was used up by the other"
    tab.visit(f"{site.app(MINE)}/", until="/.prism/enter")
    entry = tab.way[-1]
    assert other.visit(entry).status_code == 401, "the secret is in a cookie"
    elsewhere = entry.replace(f"//{MINE}.", "//8501--mine--bob.")
    assert tab.visit(elsewhere).status_code == 401
    assert tab.visit(entry).status_code == 401, "an attempt elsewhere uses it up"
    assert tab.visit(f"{site.app(MINE)}/").status_code == 200
    used = next(url for url in tab.way if "/.prism/enter" in url)
    assert tab.visit(used).status_code == 401


def test_cookie_of_one_app_opens_no_other(site):
    tab = site.tab()
    tab.log_in(BOB)
    tab.visit(f"{site.app(MINE)}/")
    [value] = [c.value for c in tab.http.cookies.jar if c.name == APP_COOKIE]
    for label in ("8501--mine--bob", "mine--carol"):
        stolen = httpx.get(
            f"{site.app(label)}/x",
            headers={"Cookie": f"{APP_COOKIE}={value}", "Sec-Fetch-Site": "same-origin"},
            verify=tab.context,
        )
        assert stolen.status_code == 401
    for cookie in (SESSION_COOKIE, f"{ENTER_COOKIE}x"):
        refused = httpx.get(
            f"{site.base}/api/v1/me", headers={"Cookie": f"{cookie}={value}"}, verify=tab.context
        )
        assert refused.status_code == 401


def test_operator_enters_apps_of_members_and_carols_app_is_not_bobs(site):
    tab = site.tab()
    tab.log_in("ada@example.org")
    for label in (MINE, "mine--carol"):
        assert tab.visit(f"{site.app(label)}/x").json()["target"] == "/x"
    carol = site.tab()
    carol.log_in(CAROL)
    assert carol.visit(f"{site.app('mine--carol')}/x").status_code == 200
    assert carol.visit(f"{site.app(MINE)}/x").status_code == 403


def test_browser_on_the_proxy_path_is_led_to_the_apps_origin(site):
    tab = site.tab()
    tab.log_in(BOB)
    answer = tab.visit(f"{site.base}/web-proxy/mine/x?port=8501&a=b")
    assert answer.json()["target"] == "/x?a=b"
    assert tab.way[1].startswith(site.app("8501--mine--bob"))
