"""Around every page: content security policy, events, keyboard, theme, a stopped daemon."""

import pytest
from playwright.sync_api import expect

from tests.project.home import Home
from tests.waiting import eventually

PAGES = ("/", "/workspaces", "/launch", "/templates")
# Actions that a page must not be able to do; each answer tells whether it could.
ATTEMPTS = """
async () => {
  const could = {}, blocked = new Set();
  let told = 0;
  document.addEventListener("securitypolicyviolation", it => {
    blocked.add(it.effectiveDirective);
    told += 1;
  });
  const script = document.createElement("script");
  script.textContent = "window.inline = true";
  document.body.append(script);
  could.inline = window.inline === true;
  const button = document.createElement("button");
  button.setAttribute("onclick", "window.handler = true");
  document.body.append(button);
  button.click();
  could.handler = window.handler === true;
  const style = document.createElement("style");
  style.textContent = "body { outline: 7px solid red }";
  document.head.append(style);
  could.style = getComputedStyle(document.body).outlineWidth === "7px";
  for (const element of [script, button, style]) element.remove();
  const away = "http://127.0.0.1:1/";
  could.fetch = await fetch(away, {mode: "no-cors"}).then(() => true, () => false);
  for (const kind of ["img", "script", "iframe"]) {
    const element = Object.assign(document.createElement(kind), {src: away});
    const before = told;
    document.body.append(element);
    for (let waits = 0; told === before && waits < 600; waits += 1)
      await new Promise(done => setTimeout(done, 50));
    element.remove();
  }
  could.blocked = [...blocked].sort();
  return could;
}
"""

BLOCKED = ["connect-src", "frame-src", "img-src"]
BLOCKED += ["script-src-attr", "script-src-elem", "style-src-elem"]


def test_content_security_policy_blocks_foreign_and_inline_content(browsing, empty_home):
    browser = browsing(empty_home)
    page = browser.open("/")
    could = page.evaluate(ATTEMPTS)
    assert any("Content Security Policy" in error for error in browser.errors)
    browser.errors.clear()  # they come from the policy
    browser.requests.clear()  # blocked requests are recorded too
    assert could.pop("blocked") == BLOCKED
    assert could == dict.fromkeys(could, False)


@pytest.mark.parametrize(
    "path",
    [
        "/templates/data-science-pip",
        *[pytest.param(path, marks=pytest.mark.slow) for path in PAGES],
    ],
)
def test_page_is_the_same_after_a_reload_of_its_address(browsing, empty_home, path):
    browser = browsing(empty_home)
    page = browser.open(path)
    first = page.get_by_role("heading", level=1).first.inner_text().partition("(")[0].strip()
    page.reload()
    expect(page.get_by_role("heading", level=1).first).to_contain_text(first)
    assert browser.page.goto(f"{browser.base}/nothing").status == 404
    browser.errors.clear()


def test_page_sends_no_requests_without_events_and_shows_changes(browsing, empty_home):
    browser = browsing(empty_home)
    page = browser.open("/workspaces")
    expect(page.get_by_text("No workspaces yet")).to_be_visible()
    eventually(lambda: browser.sockets)
    assert len(browser.sockets) == 1
    page.wait_for_load_state("networkidle")
    before = len(browser.requests)
    page.wait_for_timeout(3000)  # the time in which nothing must be requested
    assert browser.requests[before:] == []
    client = empty_home.client
    client.workspaces.launch("Plain Shell", "seen", wait=300)
    row = page.get_by_role("row").filter(has_text="seen")
    expect(row).to_contain_text("Running")
    client.workspaces.stop("seen", wait=300)
    expect(row).to_contain_text("Stopped")
    client.workspaces.terminate("seen", wait=300)
    expect(row).to_contain_text("Terminated")
    assert len(browser.sockets) == 1


def test_command_palette_opens_a_page_by_keyboard(browsing, empty_home):
    page = browsing(empty_home).open("/")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Search pages and actions")).to_be_focused()
    page.keyboard.type("Templates")
    page.get_by_role("option", name="Templates").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/templates")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Templates")


@pytest.mark.slow
def test_theme_follows_the_system_until_the_user_chooses_one(browsing, empty_home):
    page = browsing(empty_home, color_scheme="dark").open("/")
    dark = "document.body.classList.contains('awsui-dark-mode')"
    assert page.evaluate(dark)
    page.emulate_media(color_scheme="light")
    eventually(lambda: not page.evaluate(dark))  # `wait_for_function` needs unsafe-eval
    page.get_by_role("button", name="Appearance").click()
    page.get_by_role("menuitemcheckbox", name="Dark").click()
    assert page.evaluate(dark)
    page.reload()
    page.get_by_role("heading", level=1).first.wait_for()
    assert page.evaluate(dark)


def test_page_that_cannot_be_loaded_leaves_the_others_usable(browsing, empty_home):
    browser = browsing(empty_home, own=True)
    browser.page.route("**/assets/Storage-*.js", lambda route: route.abort())
    page = browser.open("/costs")
    page.get_by_role("link", name="Storage", exact=True).click()
    expect(page.get_by_text("This page could not be loaded")).to_be_visible()
    page.get_by_role("link", name="Costs", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Costs")
    browser.errors.clear()


def test_page_shows_a_lost_connection_until_the_daemon_is_back(browsing, tmp_path):
    home = Home(tmp_path / "home")
    with home.run_daemon() as process:
        browser = browsing(home)
        page = browser.open("/workspaces")
        expect(page.get_by_text("No workspaces yet")).to_be_visible()
        process.kill()
        process.wait()
        expect(page.get_by_text("No connection to the daemon")).to_be_visible()
    with home.run_daemon(PRISM_PORT=str(browser.port)):
        expect(page.get_by_text("No connection to the daemon")).to_be_hidden()
        browser.use(home)
        page.wait_for_url(f"{browser.base}/workspaces")  # its new address
        home.client.workspaces.launch("Plain Shell", "later", wait=300)
        expect(page.get_by_role("row").filter(has_text="later")).to_contain_text("Running")
        home.client.workspaces.terminate("later", wait=300)
        browser.leave()
        browser.errors[:] = [error for error in browser.errors if "WebSocket" not in error]


# Bytes of scripts, styles and fonts, as they are sent to a browser without a cache.
MOST = {"/": 350_000, "/workspaces": 376_000}
MOST_FILES = 12


@pytest.mark.parametrize("path", ["/workspaces", pytest.param("/", marks=pytest.mark.slow)])
def test_first_load_of_a_page_is_small(browsing, home_with_workspace, path):
    """Everything that a browser without a cache loads to show a page."""
    browser = browsing(home_with_workspace, own=True)
    sizes = {}

    def answered(response):
        if "/assets/" in response.url:
            sizes[response.url] = int(response.header_value("content-length"))
            assert response.header_value("content-encoding") in {"br", "gzip", None}

    browser.page.on("response", answered)
    page = browser.open(path)
    expect(page.get_by_text("mine").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert sum(sizes.values()) > 100_000, "the sizes were read"
    assert sum(sizes.values()) <= MOST[path], sizes
    assert len(sizes) <= MOST_FILES, sizes
