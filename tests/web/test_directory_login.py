"""Two identity providers that nobody here wrote, from the login to a notebook and out again.

`oidc-provider` is certified; `glewlwyd` is Debian's, with people and groups in `slapd`.
"""

import json
import subprocess
import time
from typing import Any, NamedTuple

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
SOON = 2.0  # seconds
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
        "post_logout_redirect_uri": f"https://prism.lab.test:{public}/login",
    }


@pytest.fixture(scope="module")
def guests(provider_program, tmp_path_factory):
    """Starts the certified provider; called with what it knows of the daemon."""
    started = []

    def start(redirect: str, logout: str) -> str:
        port, log = free_port(), tmp_path_factory.mktemp("guests") / "log"
        about = {"port": port, "redirect": redirect, "logout": logout}
        with log.open("w") as output:
            words = ["node", provider_program, json.dumps(about)]
            started.append(subprocess.Popen(words, stdout=output, stderr=output))
        eventually(lambda: "ready" in log.read_text(), 120)
        return f"http://localhost:{port}"

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def lab(guests, tmp_path_factory, names_resolve):
    require("slapd", "glewlwyd")
    folder = tmp_path_factory.mktemp("directory")
    team, port = TeamHome(folder / "team"), free_port()
    base = f"https://prism.lab.test:{team.port}"
    certified = guests(
        f"{base}/auth/callback/guests",
        f"http://127.0.0.1:{port}/auth/backchannel-logout/guests",
    )
    client = as_client("campus", team.port, port)
    with directory(folder / "people") as people, provider(folder / "own", people, client) as own:
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
        for name in ("ann", "cyd"):
            people.add_person(name, f"{name}@campus.test")
            people.join(name, "reef-team")
        try:
            settings = {"PRISM_PORT": str(port), "PRISM_OIDC_FILE": str(file)}
            with team.served(**settings) as site:
                site.home.client.projects.create("reef")
                site.home.client.members.add("reef", "bob@example.org")
                yield Lab(site, people, certified, own)
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
    grant, go_on = (page.get_by_role("button", name=word) for word in ("Grant access", "Continue"))
    go_on.or_(grant).first.wait_for()
    if grant.is_visible():  # at the first login only
        page.locator("input[type=checkbox]").first.check()
        grant.click()
    go_on.click()


def log_out_at_guests(page, lab, session):
    """At the provider, which tells the daemon by its back channel."""
    page.goto(f"{lab.guests}/session/end")
    page.get_by_role("button", name="Yes, sign me out").click()


def end_session(page, lab, session):
    """At the daemon: glewlwyd ends a session only by a hint that Prism does not send."""
    lab.site.home.client.sessions.end_all(session.user)


WAYS = {
    "oidc-provider": ("bob", log_in_as_guest, log_out_at_guests),
    "glewlwyd": ("ann", log_in_at_campus, end_session),
}


ENDS = {"oidc-provider": "the provider's back channel", "glewlwyd": "the operator"}


@pytest.mark.parametrize("way", WAYS)
def test_person_runs_a_cell_and_is_logged_out(lab, page, way):
    name, log_in, log_out = WAYS[way]
    log_in(page, lab, name)
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    operator = lab.site.home.client
    [session] = [entry for entry in operator.sessions.list() if entry.user.startswith(name)]
    assert session.method == "provider"
    person = lab.site.person(session.user)
    person.workspaces.launch("JupyterLab", "lab", project="reef", wait=LONGEST_START)
    sockets = []

    def opens(socket):
        sockets.append(socket)

    page.on("websocket", opens)
    page.goto(f"{lab.site.base}/workspaces/lab--{name}")
    link = page.locator(f"a[href^='{lab.site.app(f'lab--{name}')}']").first
    link.wait_for()
    page.goto(link.get_attribute("href"))
    run_cell(page)
    # Those of the app; Playwright does not say that those of a page end that was left.
    app = lab.site.app(f"lab--{name}").replace("https", "wss")
    living = [socket for socket in sockets if socket.url.startswith(app)]
    assert any("/channels" in socket.url for socket in living)
    log_out(page.context.new_page(), lab, session)
    eventually(lambda: session.id not in {entry.id for entry in operator.sessions.list()}, 30)
    began = time.monotonic()
    while not all(socket.is_closed() for socket in living):
        page.wait_for_timeout(20)
        assert time.monotonic() - began < SOON
    record(
        f"Logins at real providers: {way}",
        f"a cell is run in JupyterLab at its own origin; its {len(living)} sockets end at most "
        f"{SOON:.0f} s after the session, by {ENDS[way]}",
    )


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
