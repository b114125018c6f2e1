"""People log in to a shared daemon with a browser."""

import email
import http.server
import json
import re
import threading
import time
from email.policy import default
from typing import ClassVar

import pytest
from playwright.sync_api import expect

from prism.kit.cookies import SESSION_COOKIE
from tests.conftest import free_port
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually
from tests.web.conftest import AXE, page_problems, save_shot, seed_idle_history

MEMBER = "bob@example.org"
PAGES: tuple[str, ...] = (
    "/",
    "/workspaces",
    "/launch",
    "/templates",
    "/projects",
    "/projects/reef",
    "/costs",
)
PAGES += ("/storage", "/idle", "/events", "/settings", "/workspaces/shell")
SOON = 2.0  # seconds


@pytest.fixture(scope="module")
def team_home(tmp_path_factory):
    """A shared daemon with a project, a member of it, and a workspace of the operator."""
    home = Home(tmp_path_factory.mktemp("team") / "home")
    try:
        with home.run_daemon(PRISM_AUTH="tokens"):
            home.client.projects.create("reef")
            home.client.members.add("reef", MEMBER)
            home.client.workspaces.launch("Plain Shell", "shell", project="reef", wait=300)
            yield home
    finally:
        home.clear()


def log_in(browser, user=MEMBER, path="/login"):
    """Open a one-time link; the link."""
    url = browser.home.client.sessions.create_link(user).url
    secret = url.partition("#")[2]
    browser.page.goto(f"{browser.base}{path}#{secret}")
    browser.page.get_by_role("button", name="Log in with this link").click()
    menu(browser.page, user)
    return secret


def menu(page, user):
    """The button with the menu of the person who is logged in."""
    button = page.get_by_role("button", name=re.compile(user)).first
    expect(button).to_be_visible()
    return button


def forget_refusals(browser):
    """Forget what the console says of refused WebSockets, which a test expects."""
    browser.errors[:] = [error for error in browser.errors if "WebSocket" not in error]


def test_person_logs_in_by_link_and_out(browsing, team_home):
    browser = browsing(team_home, own=True)
    page = browser.page
    page.goto(f"http://localhost:{browser.port}/workspaces")
    page.wait_for_url(f"{browser.base}/workspaces")
    browser.requests.remove(f"http://localhost:{browser.port}/workspaces")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    secret = log_in(browser)
    assert page.url == f"{browser.base}/", "the secret has left the address"
    assert not [url for url in browser.requests if secret.partition(".")[2] in url]
    [cookie] = browser.context.cookies()
    assert (cookie["name"], cookie["domain"]) == (
        SESSION_COOKIE,
        browser.base.split("/")[2].split(":")[0],
    )
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    assert page.evaluate("document.cookie") == ""
    page.goto(f"{browser.base}/login#{secret}")
    page.get_by_role("button", name="Log in with this link").click()
    expect(page.get_by_text("The link is not valid any more")).to_be_visible()
    page.goto(f"{browser.base}/")
    menu(page, MEMBER).click()
    page.get_by_role("menuitem", name="Log out").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert browser.context.cookies() == []
    log = (team_home.folder / "log").read_text()
    assert secret.partition(".")[2] not in log
    assert cookie["value"].partition(".")[2] not in log


def test_person_logs_in_with_a_token(browsing, team_home):
    browser = browsing(team_home, own=True)
    token = team_home.client.tokens.create("browser", user=MEMBER, scope="read").token
    page = browser.page
    page.goto(f"{browser.base}/workspaces")
    page.get_by_label("Token", exact=True).fill("wrong")
    page.get_by_role("button", name="Log in with the token").click()
    expect(page.get_by_text("The token is not valid")).to_be_visible()
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Log in with the token").click()
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    assert page.url == f"{browser.base}/workspaces", "it goes on where it was asked for"
    assert token not in (team_home.folder / "log").read_text()


def test_no_page_of_a_member_asks_for_what_a_member_may_not_see(browsing, team_home):
    browser = browsing(team_home, own=True)
    page, refused = browser.page, []

    def answered(response):
        if response.status == 403 and not response.url.endswith("/api/v1/daemon/gui"):
            refused.append((page.url, response.request.method, response.url))

    page.on("response", answered)
    log_in(browser)
    for path in PAGES:
        browser.open(path)
        page.wait_for_load_state("networkidle")
        browser.shot(f"member{path.replace('/', '-')}")
    assert refused == []
    browser.open("/workspaces/shell")
    expect(page.get_by_text("Managed by ada@example.org")).to_be_visible()
    assert page.get_by_role("tab", name="Terminal").count() == 0
    browser.open("/settings?tab=access")
    expect(page.get_by_role("row").filter(has_text="(this one)")).to_contain_text("a link")


def test_member_launches_in_a_project_of_theirs(browsing, team_home):
    browser = browsing(team_home, own=True)
    log_in(browser)
    page = browser.open("/launch?template=plain-shell&name=bobs")
    page.get_by_role("button", name="Launch bobs").click()
    page.wait_for_url(f"{browser.base}/workspaces/bobs")
    expect(page.get_by_role("tab", name="Terminal")).to_be_visible()
    team_home.client.workspaces.terminate("bobs", wait=300)


def test_two_people_have_a_workspace_of_the_same_name(browsing, team_home):
    """A button means the workspace beside it, whatever else has its name."""
    client = team_home.client.workspaces
    client.launch("Plain Shell", "pair", project="reef", wait=300)
    browser, theirs = browsing(team_home, own=True), browsing(team_home, own=True)
    log_in(browser, "ada@example.org")
    page = browser.open("/workspaces")
    expect(page.get_by_role("link", name="pair", exact=True)).to_be_visible()
    log_in(theirs)
    launch = theirs.open("/launch?template=plain-shell&name=pair")
    launch.get_by_role("button", name="Launch pair").click()
    expect(launch.get_by_role("tab", name="Terminal")).to_be_visible()
    page.get_by_role("link", name="pair--bob").click()
    page.wait_for_url(f"{browser.base}/workspaces/pair--bob")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    page.get_by_role("button", name=re.compile("pair--bob")).first.click()
    page.get_by_role("menuitem", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped", exact=True).first).to_be_visible()
    browser.shot("shared-name")
    states = {each.full_name: each.state for each in client.list() if each.name == "pair"}
    assert states == {"pair--ada": "running", "pair--bob": "stopped"}
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_role("row").filter(has_text="bob@example.org").first).to_be_visible()
    client.terminate("pair--bob", wait=300)
    client.terminate("pair--ada", wait=300)


def test_open_dialog_means_the_workspace_it_was_opened_for(browsing, team_home):
    """Also when the name that it shows has come to mean one's own workspace meanwhile."""
    client = team_home.client.workspaces
    browser, theirs = browsing(team_home, own=True), browsing(team_home, own=True)
    log_in(theirs)
    launch = theirs.open("/launch?template=plain-shell&name=twin")
    launch.get_by_role("button", name="Launch twin").click()
    expect(launch.get_by_role("tab", name="Terminal")).to_be_visible()
    log_in(browser, "ada@example.org")
    page = browser.open("/workspaces/twin")
    page.get_by_role("button", name=re.compile("twin")).first.click()
    page.get_by_role("menuitem", name="Terminate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("twin")
    client.launch("Plain Shell", "twin", project="reef", wait=300)
    dialog.get_by_role("button", name="Terminate").click()
    expect(launch.get_by_text("Terminated", exact=True).first).to_be_visible()
    states = {each.full_name: each.state for each in client.list() if each.name == "twin"}
    assert states["twin--ada"] == "running"
    client.terminate("twin--ada", wait=300)


def test_list_of_idle_workspaces_leads_to_the_workspace_of_the_row(browsing, team_home):
    client = team_home.client.workspaces
    browser, theirs = browsing(team_home, own=True), browsing(team_home, own=True)
    client.launch("Plain Shell", "idler", project="reef", wait=300)
    log_in(theirs)
    launch = theirs.open("/launch?template=plain-shell&name=idler")
    launch.get_by_role("button", name="Launch idler").click()
    expect(launch.get_by_role("tab", name="Terminal")).to_be_visible()
    rows = {each.full_name: each.workspace for each in client.list() if each.name == "idler"}
    seed_idle_history(team_home, "idler", rows["idler--bob"])
    log_in(browser, "ada@example.org")
    page = browser.open("/idle")
    page.get_by_role("link", name="idler--bob", exact=True).click()
    page.wait_for_url(f"{browser.base}/workspaces/idler--bob?tab=activity")
    expect(page.get_by_role("heading", level=1, name="idler--bob")).to_be_visible()
    for name in rows:
        client.terminate(name, wait=300)


def test_ended_session_shows_the_login_page_at_once(browsing, team_home):
    """Also where nothing is clicked: the open event stream ends."""
    browser = browsing(team_home, own=True)
    log_in(browser)
    page = browser.open("/settings?tab=access")
    row = page.get_by_role("row").filter(has_text="(this one)")
    expect(row).to_be_visible()
    began = time.monotonic()
    team_home.client.sessions.end_all(MEMBER)
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert time.monotonic() - began < SOON * 10, "a busy computer draws slowly"
    forget_refusals(browser)


def test_operator_makes_a_link_and_ends_a_session_on_the_settings_page(browsing, team_home):
    browser, theirs = browsing(team_home, own=True), browsing(team_home, own=True)
    log_in(browser, "ada@example.org")
    page = browser.open("/settings?tab=access")
    page.get_by_role("button", name="New login link").click()
    page.get_by_label("User").last.fill(MEMBER)
    page.get_by_role("button", name="Create").click()
    notice = page.get_by_text("/login#lnk_")
    expect(notice).to_be_visible()
    secret = notice.inner_text().partition("#")[2]
    theirs.page.goto(f"{theirs.base}/login#{secret}")
    theirs.page.get_by_role("button", name="Log in with this link").click()
    menu(theirs.page, MEMBER)
    page.get_by_role("button", name=re.compile(f"End the session of {MEMBER}")).first.click()
    expect(theirs.page.get_by_role("heading", name="Log in")).to_be_visible()
    forget_refusals(theirs)


class Listener(http.server.BaseHTTPRequestHandler):
    """Another program of this computer, which notes the cookies that it gets."""

    cookies: ClassVar[list[str]] = []

    def do_GET(self):
        self.cookies.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Set-Cookie", f"{SESSION_COOKIE}=tossed; Path=/; Secure")
        self.end_headers()

    def log_message(self, *of):
        pass


def test_other_programs_of_this_computer_get_no_session_and_set_none(browsing, team_home):
    """Cookies belong to a host and not to a port, so the session's host has a name of its own."""
    browser = browsing(team_home, own=True)
    log_in(browser)
    [before] = browser.context.cookies()
    Listener.cookies.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        tab = browser.context.new_page()
        for host in ("localhost", "127.0.0.1", "evil.localhost"):
            tab.goto(f"http://{host}:{server.server_port}/")
        tab.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert len(Listener.cookies) >= 3
    assert before["value"] not in "".join(Listener.cookies)
    values = {
        cookie["value"]
        for cookie in browser.context.cookies()
        if cookie["domain"] == before["domain"]
    }
    assert values == {before["value"]}
    browser.open("/settings?tab=access")


@pytest.fixture
def terminal(team_home, tmp_path):
    """The home of the person's computer, and the file with the address that a browser gets."""
    laptop, opened = Home(tmp_path / "laptop"), tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new; mv {opened}.new {opened}\n')
    browser.chmod(0o700)
    ssh = {"SSH_CONNECTION", "SSH_TTY"}
    laptop.environ = {k: v for k, v in laptop.environ.items() if k not in ssh}
    laptop.environ |= {"BROWSER": str(browser)}
    yield laptop, opened
    laptop.clear()


def test_command_line_logs_in_with_the_browser_of_its_computer(chromium, team_home, terminal):
    """The person is logged in nowhere before: the login leads back to the question."""
    laptop, opened = terminal
    port = json.loads((team_home.folder / "daemon.lock").read_text())["port"]
    url = f"http://localhost:{port}"
    token = team_home.client.tokens.create("login", user=MEMBER, scope="admin").token
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    with laptop.run_command("login", url) as command:
        eventually(opened.exists, 60)
        page.goto(opened.read_text().strip())
        page.get_by_label("Token", exact=True).fill(token)
        page.get_by_role("button", name="Log in with the token").click()
        expect(page.get_by_text(f"all that you may do as {MEMBER}")).to_be_visible()
        expect(page.get_by_text("Only go on if you have just started")).to_be_visible()
        save_shot(page, "login-terminal")
        page.get_by_role("button", name="Log it in").click()
        expect(page.get_by_role("heading", name="Back to the terminal")).to_be_visible()
        output, complaint = command.communicate(timeout=120)
    assert command.returncode == 0, complaint
    assert f"logged in to {url} as {MEMBER}" in output
    assert laptop.cli_json("whoami")["user"] == MEMBER
    assert laptop.cli("logout").returncode == 0
    context.close()


def test_code_of_another_computer_is_typed_and_denied_or_allowed(chromium, team_home, terminal):
    laptop, _ = terminal
    base = json.loads((team_home.folder / "daemon.lock").read_text())["gui"]
    url = f"http://localhost:{base.rpartition(':')[2]}"
    secret = team_home.client.sessions.create_link(MEMBER).url.partition("#")[2]
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{base}/login#{secret}")
    page.get_by_role("button", name="Log in with this link").click()
    menu(page, MEMBER)
    for button, code in (("Do not", 1), ("Log it in", 0)):
        with laptop.run_command("login", url, "--device") as command:
            typed = code_in(not_none(command.stderr).readline())
            page.goto(f"{base}/login/device")
            page.get_by_label("Code", exact=True).fill("BCDF-GHJK")
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_text("No command line waits with that code")).to_be_visible()
            page.get_by_label("Code", exact=True).fill(typed.lower())
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_text("asks to log in")).to_be_visible()
            save_shot(page, "login-device")
            page.get_by_role("button", name=button).click()
            expect(page.get_by_text("The command line on")).to_be_visible()
            command.communicate(timeout=120)
        assert command.returncode == code
    page.goto(f"{base}/settings?tab=access")
    expect(page.get_by_role("row").filter(has_text="prism on")).to_contain_text("prism login")
    page.get_by_role("button", name=re.compile("End the session of .* with prism on")).click()
    eventually(lambda: laptop.cli("whoami").returncode == 1, 60)
    context.close()


def code_in(line):
    """The code that a command shows for a person to type."""
    return not_none(re.search(r"enter this code: (\S+)", line))[1]


def checked(page, width):
    """The problems of a page that was just loaded."""
    page.evaluate(AXE.read_text())
    return page_problems(page, width)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_axe_reports_no_violation_on_the_pages_of_logins(chromium, team_home, theme, width):
    base = json.loads((team_home.folder / "daemon.lock").read_text())["gui"]
    query = f"port=40000&challenge={'c' * 43}&state={'s' * 43}&computer=laptop"
    secret = team_home.client.sessions.create_link(MEMBER).url.partition("#")[2]
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        reduced_motion="reduce",
        bypass_csp=True,
    )
    page = context.new_page()
    problems_by_page = {}
    for path in ("/login", f"/login#{secret}", "/login/device", f"/login/terminal?{query}"):
        page.goto("about:blank")
        page.goto(f"{base}{path}")
        page.get_by_role("heading", level=1).wait_for()
        name = path.split("?")[0].replace("/", "-").partition("#")[0]
        problems_by_page[f"out{name}"] = checked(page, width)
        save_shot(page, f"out{name}-{width}-{theme}")
    page.goto("about:blank")
    page.goto(f"{base}/login#{secret}")
    page.get_by_role("button", name="Log in with this link").click()
    menu(page, MEMBER) if width > 688 else page.wait_for_url(f"{base}/")
    for path in ("/login/device", f"/login/terminal?{query}", "/logout"):
        page.goto(f"{base}{path}")
        page.get_by_role("heading", level=1).wait_for()
        name = path.split("?")[0].replace("/", "-")
        problems_by_page[f"in{name}"] = checked(page, width)
        save_shot(page, f"in{name}-{width}-{theme}")
    assert {name: problems for name, problems in problems_by_page.items() if problems} == {}
    context.close()


def test_mail_of_an_invitation_leads_to_a_running_workspace_without_a_terminal(chromium, tmp_path):
    """Log in by the link, accept, launch; before, the person is told that there is no project."""
    home, port = Home(tmp_path / "home"), free_port()
    base = f"http://prism.localhost:{port}"
    settings = {"PRISM_AUTH": "tokens", "PRISM_PORT": str(port), "PRISM_PUBLIC_URL": base}
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    try:
        with home.run_daemon(**settings, PRISM_LOGIN_LINKS="mail"):
            home.client.projects.create("reef")
            home.client.invitations.send("reef", "new@example.org", message="Come and see")
            [file] = eventually(lambda: [*(home.folder / "outbox").glob("*.eml")], 60)
            mail = email.message_from_bytes(file.read_bytes(), policy=default)
            text = not_none(mail.get_body(["plain"])).get_content()
            link = not_none(re.search(rf"{base}/invitations/\S+", text))[0]
            page.goto(link)
            page.get_by_role("button", name="Log in with this link").click()
            expect(page.get_by_text("invites you to reef as")).to_be_visible()
            assert "#" not in page.url
            save_shot(page, "invitation")
            other = context.new_page()
            other.goto(link)
            expect(other.get_by_text("invites you to reef as")).to_be_visible()
            assert "#" not in other.url, "nor if the person is logged in already"
            other.goto(f"{base}/")
            expect(other.get_by_text("You are in no project yet")).to_be_visible()
            save_shot(other, "no-project")
            page.get_by_role("button", name="Accept").click()
            expect(page.get_by_text("You are in the project reef")).to_be_visible()
            page.get_by_role("link", name="Launch a first workspace").click()
            page.goto(f"{base}/launch?template=plain-shell&name=first&project=reef")
            page.get_by_role("button", name="Launch first").click()
            expect(page.get_by_role("tab", name="Terminal")).to_be_visible()
            [member] = [m for m in home.client.members.list("reef") if m.email[:3] == "new"]
            assert member.role == "member"
    finally:
        context.close()
        home.clear()
