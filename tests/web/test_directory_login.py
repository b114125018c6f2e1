"""Two identity providers that nobody here wrote, from the login to a notebook and out again.

`oidc-provider` is certified; `glewlwyd` is Debian's, with people and groups in `slapd`.
"""

import functools
import json
import subprocess
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.attacks.test_app_pages import LAB_FLAGS
from tests.conftest import free_port
from tests.connections.apps import TeamHome, TeamSite, names_resolve
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.needs import require
from tests.oidc.directory import directory, group_name, provider
from tests.proofs import record
from tests.waiting import eventually
from tests.web.test_real_apps import run_cell
from tests.web.test_single_sign_on import SECRET, provider_program

__all__ = ["names_resolve", "provider_program"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OWN_SECRET = "of-the-campus"  # glewlwyd does not decode what RFC 6749 has clients encode
LONGEST_END = 30  # seconds; the page of proofs has how long it took
LONGEST_START = 300.0  # seconds for JupyterLab
PROVIDERS = """
[[provider]]
name = "guests"
label = "Guests"
issuer = "{guests}"
client_id = "prism"
client_secret = "{secret}"
domains = ["example.org"]

[[provider]]
name = "campus"
label = "Campus"
issuer = "{campus}"
client_id = "prism"
client_secret = "{own}"
groups_claim = "groups"
groups = [
  {{ group = "{team}", project = "reef" }},
  {{ group = "{leads}", project = "reef", role = "admin" }},
]
"""


class Lab(NamedTuple):
    """A shared daemon with both providers, and the people of the second."""

    site: TeamSite
    people: Any
    guests: str
    campus: str
    wiki: str


def as_client(name: str, public: int, port: int) -> dict[str, Any]:
    """How glewlwyd knows the daemon."""
    return {
        "client_id": "prism",
        "name": "Prism",
        "enabled": True,
        "confidential": True,
        "password": OWN_SECRET,
        "scope": ["openid"],
        "redirect_uri": [f"https://prism.lab.test:{public}/auth/callback/{name}"],
        "authorization_type": ["code"],
        "token_endpoint_auth_method": ["client_secret_basic"],
        "backchannel_logout_uri": f"http://127.0.0.1:{port}/auth/backchannel-logout/{name}",
        "backchannel_logout_session_required": "1",
    }


def as_wiki(address: str) -> dict[str, Any]:
    """Another application of the lab, whose pages are not Prism's."""
    return {
        "client_id": "wiki",
        "name": "Wiki",
        "enabled": True,
        "confidential": False,
        "scope": ["openid"],
        "redirect_uri": [address],
        "authorization_type": ["id_token"],
    }


@pytest.fixture(scope="module")
def guests(provider_program, tmp_path_factory):
    """Starts the certified provider; called with what it knows of the daemon."""
    started = []

    def start(redirect: str, logout: str) -> str:
        port, log = free_port(), tmp_path_factory.mktemp("guests") / "log"
        about = {"port": port, "redirect": redirect, "logout": logout}
        with log.open("w") as output:
            words = [*provider_program, json.dumps(about)]
            started.append(subprocess.Popen(words, stdout=output, stderr=output))
        eventually(lambda: "ready" in log.read_text(), 120)
        return f"http://localhost:{port}"

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def wiki(tmp_path_factory):
    """The address of a server whose pages nobody wrote."""
    folder = tmp_path_factory.mktemp("wiki")
    pages = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def lab(guests, wiki, tmp_path_factory, names_resolve):
    require("slapd", "glewlwyd")
    folder = tmp_path_factory.mktemp("directory")
    team, port = TeamHome(folder / "team"), free_port()
    base = f"https://prism.lab.test:{team.port}"
    certified = guests(
        f"{base}/auth/callback/guests",
        f"http://127.0.0.1:{port}/auth/backchannel-logout/guests",
    )
    client = as_client("campus", team.port, port)
    with (
        directory(folder / "people") as people,
        provider(folder / "own", people, client, as_wiki(wiki)) as own,
    ):
        text = PROVIDERS.format(
            guests=certified,
            campus=own,
            secret=SECRET,
            own=OWN_SECRET,
            team=group_name("reef-team"),
            leads=group_name("reef-leads"),
        )
        file = team.home.folder / "providers.toml"
        file.write_text(text)
        file.chmod(0o600)
        for name in ("ann", "cyd", "dan"):
            people.add_person(name, f"{name}@campus.test")
            people.join(name, "reef-team")
        try:
            settings = {"PRISM_PORT": str(port), "PRISM_OIDC_FILE": str(file)}
            with team.served(**settings) as site:
                site.home.client.projects.create("reef")
                site.home.client.members.add("reef", "bob@example.org")
                yield Lab(site, people, certified, own, wiki)
        finally:
            team.home.clear()


@pytest.fixture(scope="module")
def chromium():
    require(CHROMIUM)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *LAB_FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def log_in_as_guest(page, lab, name):
    page.goto(f"{lab.site.base}/workspaces")
    page.get_by_role("button", name="Guests").click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()


def log_in_at_campus(page, lab, name):
    page.goto(f"{lab.site.base}/workspaces")
    page.get_by_role("button", name="Campus").click()
    go_through_campus(page, name)


def go_through_campus(page, name):
    """Log in at glewlwyd, and agree that the daemon gets the address."""
    page.locator("#username").fill(name)
    page.locator("#password").fill(name)
    page.locator("#password").press("Enter")
    agree(page)


def agree(page):
    """Let an application know who has logged in at glewlwyd."""
    grant, go_on = (page.get_by_role("button", name=word) for word in ("Grant access", "Continue"))
    scope = page.locator("input[type=checkbox]").first
    go_on.or_(scope).first.wait_for()
    if scope.is_visible():  # at the first login only
        scope.check()
        grant.click()
    go_on.click()


def before_logout_at_guests(page, lab):
    """Open the provider's page that ends the login there."""
    page.goto(f"{lab.guests}/session/end")
    return page.get_by_role("button", name="Yes, sign me out")


def before_logout_at_campus(page, lab):
    """Open the page that the logout of a wiki leads to: glewlwyd has no such page of its own."""
    query = {
        "response_type": "id_token",
        "client_id": "wiki",
        "redirect_uri": lab.wiki,
        "scope": "openid",
        "nonce": "of-the-wiki",
        "state": "of-the-wiki",
    }
    page.goto(f"{lab.campus}/auth?{urlencode(query)}")
    agree(page)
    page.wait_for_url(f"{lab.wiki}**")
    [token] = parse_qs(urlsplit(page.url).fragment)["id_token"]
    page.goto(f"{lab.campus}/end_session?{urlencode({'id_token_hint': token})}")
    return page.get_by_role("button", name="Logout").first


WAYS = {
    "oidc-provider": ("bob", log_in_as_guest, before_logout_at_guests),
    "glewlwyd": ("ann", log_in_at_campus, before_logout_at_campus),
}


@pytest.mark.parametrize("way", WAYS)
def test_person_runs_a_cell_and_is_logged_out(lab, page, way):
    name, log_in, before_logout = WAYS[way]
    log_in(page, lab, name)
    title = page.get_by_role("heading", level=1, name="Workspaces")
    expect(title).to_be_visible()
    operator = lab.site.home.client
    [session] = [entry for entry in operator.sessions.list() if entry.user.startswith(name)]
    assert session.method == "provider"
    person = lab.site.person(session.user)
    person.workspaces.launch("JupyterLab", "lab", project="reef", wait=LONGEST_START)
    sockets = []

    def opens(socket):
        sockets.append(socket)

    shell, app = page.context.new_page(), page.context.new_page()
    for tab in (shell, app):
        tab.on("websocket", opens)
    shell.goto(f"{lab.site.base}/workspaces/lab--{name}")
    link = shell.locator(f"a[href^='{lab.site.app(f'lab--{name}')}']").first
    link.wait_for()
    shell.get_by_role("tab", name="Terminal").click()
    expect(shell.locator(".xterm-rows")).to_contain_text("$")
    app.goto(link.get_attribute("href"))
    run_cell(app)
    living = [socket for socket in sockets if not socket.is_closed()]
    for part in ("/api/v1/ws?", "/ssh-proxy/", "/channels?"):
        assert any(part in socket.url for socket in living), part
    button = before_logout(page.context.new_page(), lab)
    button.click()
    began = time.monotonic()
    # Playwright does not say that sockets end of a page that the browser has left.
    out = [tab.get_by_role("heading", name="Log in") for tab in (page, shell)]
    of_app = [socket for socket in living if "apps.lab.test" in socket.url]
    while not all([each.is_closed() for each in of_app] + [each.is_visible() for each in out]):
        app.wait_for_timeout(20)
        assert time.monotonic() - began < LONGEST_END
    took = time.monotonic() - began
    assert session.id not in {entry.id for entry in operator.sessions.list()}
    record(
        f"Logins at real providers: {way}",
        f"a cell is run in JupyterLab at its own origin; after the logout at the provider, "
        f"the {len(of_app)} sockets of JupyterLab end in {took:.1f} s, and the pages of the "
        "terminal and of the list show the login",
    )


def test_logout_here_leads_to_the_logout_at_glewlwyd(lab, page):
    """It needs the token of the login; then it asks for the password again."""
    log_in_at_campus(page, lab, "dan")
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    page.goto(f"{lab.site.base}/logout")
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log out there").click()
    page.get_by_role("button", name="Logout").first.click()
    expect(page.get_by_text("Session closed")).to_be_visible()
    page.goto(f"{lab.site.base}/login")
    page.get_by_role("button", name="Campus").click()
    expect(page.locator("#password")).to_be_visible()


def roles(lab, person):
    members = lab.site.home.client.members.list("reef")
    return [member.role for member in members if member.email == person]


def test_groups_of_the_directory_give_roles_and_follow_at_the_next_login(lab, page):
    cyd = "cyd@campus.test"

    def log_in_again():
        page.context.clear_cookies()
        log_in_at_campus(page, lab, "cyd")

    log_in_again()
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    assert roles(lab, cyd) == ["member"]
    lab.people.join("cyd", "reef-leads")
    log_in_again()
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    assert roles(lab, cyd) == ["admin"]
    lab.people.leave("cyd", "reef-leads")
    lab.people.leave("cyd", "reef-team")
    log_in_again()
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    assert roles(lab, cyd) == [], "the login that sees it takes the role"
    log_in_again()
    expect(page.get_by_text("LOGIN_REFUSED")).to_be_visible()
    lab.site.home.client.sessions.end_all(cyd)
