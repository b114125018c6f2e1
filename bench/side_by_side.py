"""Five tasks in Prism's GUI and in JupyterHub's pages: clicks, typed characters, seconds.

    make bench-gui

Starts both programs on this machine, does each task in Chromium, and writes the table and a
picture of each result into docs/gui.md and docs/pictures.
Only trusted events count as clicks and typing. Playwright clicks only what is visible and can be
clicked. The seconds are those of a script that waits only for the pages.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from living import REAL, daemon, home
from peer_programs import free_ports
from playwright.sync_api import expect, sync_playwright

from prism.client import Client

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".bench"
PAGE, PICTURES = ROOT / "docs" / "gui.md", ROOT / "docs" / "pictures"
TABLE = re.compile(r"(<!-- side by side -->\n).*?(<!-- end -->)", re.DOTALL)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
VIEW = {"width": 1280, "height": 720}
SCALE = 0.75  # pixels of a picture for each pixel of the page
LONG = 240_000  # milliseconds; Prism may have to download packages
CLASS = [f"student{number}@example.org" for number in range(5)]
OTHERS = ["coral", "kelp", "reef"]
FILE = Path(__file__)
COUNT = """
addEventListener("click", event => {
  if (event.isTrusted && event.detail) counted("clicks");
}, true);
addEventListener("beforeinput", event => {
  if (event.isTrusted) counted("characters");
}, true);
"""
CONFIGURATION = """
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.Authenticator.admin_users = {{"ada"}}
c.Authenticator.allow_all = True
c.JupyterHub.bind_url = "http://127.0.0.1:{front}"
c.JupyterHub.hub_port = {back}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.command = ["{tools}/proxy/node_modules/.bin/configurable-http-proxy"]
c.Spawner.default_url = "/lab"
c.Spawner.args = ["--allow-root"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 300
c.SimpleLocalProcessSpawner.home_dir_template = "{state}/{{username}}"
c.JupyterHub.db_url = "sqlite:///{state}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{state}/cookie"
c.JupyterHub.cleanup_servers = True
"""


@dataclass(frozen=True)
class Effort:
    """What one task has cost the person, and how long it took."""

    clicks: int
    characters: int
    seconds: float

    def __str__(self):
        clicks = "1 click" if self.clicks == 1 else f"{self.clicks} clicks"
        return f"{clicks}, {self.characters} characters, {self.seconds:.1f} s"


class CountingBrowser:
    """A browser whose clicks and typed characters are counted."""

    def __init__(self, chromium, base):
        self.context = chromium.new_context(viewport=VIEW, device_scale_factor=SCALE)
        self.context.set_default_timeout(60_000)
        self.counts = {"clicks": 0, "characters": 0}
        self.context.expose_binding("counted", self._count)
        self.context.add_init_script(COUNT)
        self.base, self.page = base, self.context.new_page()
        self.notebook = self.page

    def _count(self, _source, kind):
        self.counts[kind] += 1

    def button(self, name):
        """The button of that name on the page."""
        return self.page.get_by_role("button", name=name)

    def measure(self, task):
        """Do one task."""
        before, began = dict(self.counts), time.monotonic()
        task(self)
        seconds = time.monotonic() - began
        spent = {kind: count - before[kind] for kind, count in self.counts.items()}
        return Effort(**spent, seconds=seconds)


def choose_file(person, button):
    """Upload this script through a button; the system's own dialog is not counted."""
    with person.page.expect_file_chooser() as chooser:
        button.click()
    return chooser.value


def new_notebook(page):
    """A new notebook whose kernel is ready."""
    page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click(timeout=LONG)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=LONG)


def save(page):
    """Save the notebook, so that JupyterLab knows its kernel when it opens it again."""
    page.keyboard.press("Control+s")
    rename = page.get_by_role("dialog").get_by_role("button", name="Rename")
    rename.click()
    rename.wait_for(state="detached")


def kernel_is_idle(page):
    """The notebook is connected to its kernel."""
    expect(page.get_by_text("| Idle").first).to_be_visible(timeout=LONG)


class Prism:
    """The five tasks in Prism's GUI."""

    name = "Prism"

    @contextmanager
    def running(self):
        """A daemon with a project, until the block ends; its address."""
        with home() as folder, daemon(folder, REAL, PRISM_LOCAL_PRICES="aws") as server:
            self.client = Client(home=str(folder))
            self.client.projects.create("Course")
            try:
                yield f"http://localhost:{server.port}"
            finally:
                for workspace in self.client.workspaces.list():
                    if workspace.state != "terminated":
                        self.client.workspaces.terminate(workspace.name, wait=120)

    def prepare(self, _person):
        """Three more workspaces that run; not part of a task."""
        for name in OTHERS:
            self.client.workspaces.launch("Plain Shell", name, wait=120)

    def start(self, person):
        page = person.page
        page.goto(person.base)
        page.get_by_role("radio", name="Choose JupyterLab").locator("xpath=../..").click()
        person.button("Launch jupyterlab").click()
        link = page.get_by_role("link", name="Open jupyter of jupyterlab").first
        link.wait_for(timeout=LONG)
        with page.expect_popup() as opened:
            link.click()
        person.notebook = opened.value
        new_notebook(person.notebook)

    def stop_and_return(self, person):
        person.page.bring_to_front()
        person.button("Hibernate").click()
        expect(person.page.get_by_text("Hibernated").first).to_be_visible(timeout=LONG)
        person.button("Undo").click()
        link = person.page.get_by_role("link", name="Open jupyter of jupyterlab").first
        link.wait_for(timeout=LONG)
        kernel_is_idle(person.notebook)

    def upload(self, person):
        person.page.get_by_role("tab", name="Files").click()
        upload = person.page.get_by_role("button", name="Upload", exact=True)
        choose_file(person, upload).set_files(FILE)
        expect(person.page.get_by_role("link", name=FILE.name)).to_be_visible()

    def stop_others(self, person):
        page = person.page
        page.get_by_role("link", name="Workspaces").first.click()
        for name in OTHERS:
            box = page.get_by_role("checkbox", name=f"Choose {name}", exact=True)
            box.locator("xpath=../..").click()
            expect(box).to_be_checked()
        person.button("Actions").click()
        page.get_by_role("menuitem", name="Stop (3)").click()
        expect(page.get_by_text("Stopped", exact=True)).to_have_count(3, timeout=LONG)

    def invite(self, person):
        page = person.page
        page.get_by_role("link", name="Projects and money").first.click()
        page.get_by_role("link", name="Course").first.click()
        page.get_by_role("tab", name="Invitations").click()
        text = "email,role\n" + "".join(f"{email},viewer\n" for email in CLASS)
        file = {"name": "class.csv", "mimeType": "text/csv", "buffer": text.encode()}
        choose_file(person, person.button("Invite from CSV")).set_files(file)
        person.button("Send 5 invitations").click()
        expect(page.get_by_text("5 sent, 0 skipped, 0 wrong")).to_be_visible()


class JupyterHub:
    """The five tasks in JupyterHub's home and admin pages."""

    name = "JupyterHub"

    @contextmanager
    def running(self):
        """A hub, until the block ends; its address. All its servers end with it."""
        state = Path(tempfile.mkdtemp(prefix="jupyterhub"))
        ports = dict(zip(("front", "back", "proxy"), free_ports(3), strict=True))
        (state / "config.py").write_text(CONFIGURATION.format(tools=TOOLS, state=state, **ports))
        programs = TOOLS / "jupyterhub" / "bin"
        environ = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        with (state / "log").open("w") as log:
            words = (programs / "jupyterhub", "-f", state / "config.py")
            process = subprocess.Popen(words, cwd=state, env=environ, stdout=log, stderr=log)
        try:
            base = f"http://127.0.0.1:{ports['front']}"
            wait_for(process, f"{base}/hub/login", state / "log")
            yield base
        finally:
            process.terminate()
            process.wait(60)
            shutil.rmtree(state, ignore_errors=True)

    def prepare(self, person):
        """Three more people whose servers run; not part of a task."""
        page = person.page
        page.goto(f"{person.base}/hub/admin")
        self._add(person, OTHERS)
        for name in OTHERS:
            row = page.get_by_role("row").filter(has_text=name)
            row.get_by_role("button", name="Start Server").click()
            row.get_by_role("button", name="Stop Server").wait_for(timeout=LONG)
        page.goto(f"{person.base}/user/ada/lab")
        kernel_is_idle(page)

    def start(self, person):
        person.page.goto(person.base)
        person.page.get_by_label("Username").press_sequentially("ada")
        person.page.get_by_label("Password").press_sequentially("secret")
        person.button("Sign in").click()
        new_notebook(person.page)

    def stop_and_return(self, person):
        person.page.goto(f"{person.base}/hub/home")
        person.button("Stop My Server").click()
        person.button("Start My Server").click(timeout=LONG)
        person.page.wait_for_url("**/lab**", timeout=LONG)
        kernel_is_idle(person.page)

    def upload(self, person):
        upload = person.button(re.compile("^Upload Files"))
        choose_file(person, upload).set_files(FILE)
        listed = person.page.locator(".jp-DirListing-item").filter(has_text=FILE.name)
        expect(listed).to_be_visible()

    def stop_others(self, person):
        person.page.goto(f"{person.base}/hub/admin")
        for name in OTHERS:
            row = person.page.get_by_role("row").filter(has_text=name)
            row.get_by_role("button", name="Stop Server").click()
            row.get_by_role("button", name="Start Server").wait_for(timeout=LONG)

    def invite(self, person):
        self._add(person, CLASS)

    @staticmethod
    def _add(person, names):
        person.button("Add Users").click()
        field = person.page.get_by_role("textbox").first
        field.click()
        for name in names:
            field.press_sequentially(name)
            field.press("Enter")
        person.button("Add Users").click()
        expect(person.page.get_by_test_id(f"user-name-div-{names[-1]}")).to_be_visible()


TASKS = {
    "start": "From the first page to a notebook whose kernel is ready",
    "stop_and_return": "Stop the workspace and bring it back until the notebook answers",
    "upload": "Upload a file into the workspace",
    "stop_others": "Stop three other running workspaces",
    "invite": "Give five students access",
}


def wait_for(process, url, log):
    """Wait until a page is answered."""
    until = time.monotonic() + 120
    while True:
        try:
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(log.read_text()[-2000:])
        time.sleep(0.2)


def main():
    """Measure, and write the page."""
    if not shutil.which("chromium"):
        sys.exit("The comparison needs chromium on PATH.")
    PICTURES.mkdir(exist_ok=True)
    efforts, load = {}, os.getloadavg()[0]
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for program in (Prism(), JupyterHub()):
            with program.running() as base:
                person = CountingBrowser(chromium, base)
                for task in TASKS:
                    if task == "stop_and_return":
                        save(person.notebook)  # not part of a task
                    if task == "stop_others":
                        program.prepare(person)
                    effort = person.measure(getattr(program, task))
                    efforts[program.name, task] = effort
                    print(f"{program.name:<12} {TASKS[task]:<60} {effort}", flush=True)
                    picture = PICTURES / f"{program.name}-{task.replace('_', '-')}.png".lower()
                    page = person.notebook if task == "start" else person.page
                    page.screenshot(path=picture)
                person.context.close()
        chromium.close()
    write(efforts, load)


def write(efforts, load):
    """Put the table and the pictures into docs/gui.md, between their marks."""
    programs = (Prism.name, JupyterHub.name)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    about = f"Measured on {day}, {os.cpu_count()} cores, load {load:.1f} before it began."
    lines = [about, "", f"| task | {' | '.join(programs)} |", "|---|---|---|"]
    for task, title in TASKS.items():
        cells = " | ".join(str(efforts[name, task]) for name in programs)
        lines.append(f"| {title} | {cells} |")
    lines += ["", f"| the page after this task | {' | '.join(programs)} |", "|---|---|---|"]
    for task, title in TASKS.items():
        files = [f"pictures/{name.lower()}-{task.replace('_', '-')}.png" for name in programs]
        cells = " | ".join(f"![{title}]({file})" for file in files)
        lines.append(f"| {title} | {cells} |")
    table = "\n".join(lines)
    PAGE.write_text(TABLE.sub(lambda it: f"{it[1]}{table}\n{it[2]}", PAGE.read_text()))


if __name__ == "__main__":
    main()
