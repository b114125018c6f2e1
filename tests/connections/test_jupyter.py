"""JupyterLab and Streamlit, unchanged, in a real browser on a workspace's own origin."""

import json
import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.connections.test_browser import chromium, context  # noqa: F401  fixtures
from tests.proofs import record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
MIB = 1 << 20
# Uses a terminal with the protocol of JupyterLab's front end.
TERMINAL = """
async typed => {
    const xsrf = document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? "";
    const made = await fetch("/api/terminals", {method: "POST", headers: {"X-XSRFToken": xsrf}});
    const {name} = await made.json();
    const at = location.origin.replace("http", "ws") + `/terminals/websocket/${name}`;
    return await new Promise((done, no) => {
        let shown = "";
        const socket = new WebSocket(at);
        socket.onerror = no;
        socket.onmessage = ({data}) => {
            const [kind, text] = JSON.parse(data);
            if (kind === "setup") socket.send(JSON.stringify(["stdin", typed]));
            if (kind === "stdout") shown += text;
            if (shown.includes("42 from a terminal")) { socket.close(); done(shown); }
        };
    });
}
"""


TITLE = "A workspace in Chromium"


def sandbox_description(site, name):
    """A sentence about the sandbox of the workspace."""
    for seen in (site.home.folder / "workspaces").glob("local-*/seen.json"):
        answer = json.loads(seen.read_bytes())
        if answer["name"] == name:
            return f"the workspace's programs ran in a sandbox of {answer['sandbox']}"
    raise AssertionError(f"{name} is not there")


@pytest.fixture
def launch_template(served_daemon):
    """A function that launches real templates; their workspaces are terminated at the end."""
    client, names = served_daemon.home.client.workspaces, []

    def launch(template, name):
        names.append(name)
        client.launch(template, name, wait=200)
        assert client.get(name).state == "running", client.get(name).failure
        return client.connect(name)

    yield launch
    for name in names:
        client.terminate(name, wait=60)


def test_jupyterlab_runs_cells_and_terminals(served_daemon, launch_template, context):  # noqa: F811
    access = launch_template("JupyterLab", "lab")
    token = access.services["jupyter"].token
    page = context.new_page()
    page.set_default_timeout(60_000)
    refused = []
    page.on("response", lambda it: refused.append(it.url) if it.status in {403, 421} else None)
    origin = f"http://{served_daemon.host('lab')}"
    page.goto(f"{origin}/lab?token={token}")
    page.locator(".jp-Launcher").wait_for()

    page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # until then cells are redrawn
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    page.keyboard.type("print(6 * 7, 'from a cell')")
    expect(cell).to_contain_text("from a cell")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("42 from a cell", timeout=60_000)

    screen = page.evaluate(TERMINAL, "echo $((6 * 7)) from a terminal | tee made.txt\n")
    assert "42 from a terminal" in screen
    answer = page.evaluate("async () => (await fetch('/files/made.txt')).text()")
    assert answer == "42 from a terminal\n"
    assert refused == []

    by_id = {"authorization": f"token {token}"}
    assert served_daemon.ask("GET", "/api/kernels", "lab").status_code == 403, (
        "Jupyter requires its token"
    )
    assert len(served_daemon.ask("GET", "/api/kernels", "lab", by_id).json()) == 1
    on_path = httpx.get(f"{served_daemon.base}/web-proxy/lab/api/kernels?token={token}")
    assert len(on_path.json()) == 1
    record(
        f"{TITLE}: JupyterLab",
        "a notebook is opened and a cell run; a command is typed into a terminal and its file "
        f"downloaded; no answer is refused ({sandbox_description(served_daemon, 'lab')})",
    )


def test_streamlit_app_reacts_to_input(served_daemon, launch_template, context):  # noqa: F811
    launch_template("Streamlit App", "app")
    for label in ("app", "8501--app"):
        page = context.new_page()
        page.goto(f"http://{served_daemon.host(label)}/")
        expect(page.locator("h1")).to_contain_text("How long do I have", timeout=60_000)
        metric = page.locator('[data-testid="stMetricValue"]')
        before = metric.inner_text()
        page.get_by_label("Seed").fill("7")
        page.keyboard.press("Enter")
        expect(metric).not_to_have_text(re.compile(f"^{re.escape(before)}$"), timeout=30_000)
        page.close()
    record(
        f"{TITLE}: Streamlit",
        "the template's app reacts to input over its WebSocket, at the addresses of the workspace "
        "(`app`) and of its port (`8501--app`) "
        f"({sandbox_description(served_daemon, 'app')})",
    )


def test_browser_downloads_and_uploads_500_mib(served_daemon, context):  # noqa: F811
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"http://{served_daemon.host('mine')}/page")
    got = page.evaluate(
        """async size => {
            const reader = (await fetch(`/download?size=${size}`)).body.getReader();
            let got = 0;
            for (;;) {
                const {done, value} = await reader.read();
                if (done) return got;
                got += value.length;
            }
        }""",
        500 * MIB,
    )
    assert got == 500 * MIB
    sent = page.evaluate(
        """async count => {
            const body = new Blob(Array(count).fill(new Uint8Array(1 << 20)));
            return (await (await fetch("/upload", {method: "POST", body})).json()).size;
        }""",
        500,
    )
    assert sent == 500 * MIB
    record(
        f"{TITLE}: 500 MiB each way",
        "downloaded by fetch as a stream, and uploaded as the body of a request, complete "
        f"({sandbox_description(served_daemon, 'mine')})",
    )
