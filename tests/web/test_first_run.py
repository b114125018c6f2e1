"""From an empty home to a computation in a notebook, only in the GUI, with hibernation."""

import pytest
from playwright.sync_api import expect

from tests.project.home import Home

COUNT = """
window.clicks = 0;
const count = it => { window.clicks += it.isTrusted && it.detail ? 1 : 0; };
document.addEventListener("click", count, true);
"""
LONG = 240_000  # milliseconds; packages may have to be downloaded


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon(PRISM_LOCAL_PRICES="aws"):
            yield home
    finally:
        home.clear()


@pytest.mark.slow  # a JupyterLab in a browser; `test_idle_machine.py` has one that sleeps
def test_notebook_opens_after_four_clicks_and_keeps_its_memory_when_hibernated(home, browsing):
    browser = browsing(home, own=True)
    browser.page.add_init_script(COUNT)
    page = browser.open("/")
    page.get_by_role("radio", name="Choose JupyterLab").click(force=True)
    expect(page.get_by_text("$0.0416/h")).to_be_visible()
    page.get_by_role("button", name="Launch jupyterlab").click()
    expect(page.get_by_role("heading", name="jupyterlab is not ready yet")).to_be_visible()
    browser.shot("coming-up")
    opening = page.get_by_role("link", name="Open jupyter of jupyterlab").first
    opening.wait_for(timeout=LONG)
    with page.expect_popup() as opened:
        opening.click()
    assert page.evaluate("window.clicks") <= 4
    lab = opened.value
    assert lab.url.startswith(f"http://jupyterlab.localhost:{browser.port}/lab")
    lab.locator('.jp-LauncherCard[data-category="Notebook"]').first.click(timeout=LONG)
    lab.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=LONG)
    run(lab, "kept = 6 * 7; print(kept)", "42")

    page.get_by_role("button", name="Hibernate").click()
    expect(page.get_by_text("Hibernated").first).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Undo").click()
    expect(opening).to_be_visible(timeout=LONG)
    run(lab, "print(kept + 1)", "43")


def run(lab, code, output):
    """Runs a line in the last cell of the notebook."""
    cell = lab.locator(".jp-Notebook .jp-Cell .cm-content").last
    cell.click(timeout=LONG)
    lab.keyboard.type(code)
    expect(cell).to_have_text(code)
    lab.keyboard.press("Shift+Enter")
    expect(lab.locator(".jp-OutputArea-output").last).to_have_text(output, timeout=LONG)
