"""A class of 120 from one file to the end of term, with a real daemon, mails and workspaces."""

import email
import hashlib
import json
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from email.policy import default

import httpx
import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import expect

from prism.kit.cookies import SESSION_COOKIE
from tests.cli.people.holding_proxy import HoldingProxy
from tests.conftest import free_port
from tests.daemons import BIN
from tests.optional import not_none
from tests.project.home import Home
from tests.proofs import record
from tests.sessions.test_link_mail import Mailbox
from tests.waiting import eventually
from tests.web.conftest import chromium

__all__ = ["chromium"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STUDENTS, IN_BROWSERS, DONE_BEFORE_THE_KILL = 120, 5, 7
PEOPLE = [f"s{number:03}@x.org" for number in range(STUDENTS)]
WORKSPACE = "work"  # the usual name
LAUNCH = "/api/v1/instances/launch"


class Student:
    """A person who has nothing but her mail, as a browser would act for her."""

    def __init__(self, base, port, link):
        self.base, self.secret = base, link.partition("#")[2]
        self.invitation = link.partition("#")[0].rpartition("/")[2]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=300)
        self.cookie = ""

    def __call__(self, method, path, **body):
        headers = {
            "Host": self.base.partition("//")[2],
            "Origin": self.base,
            "Sec-Fetch-Site": "same-origin",
            "Cookie": f"{SESSION_COOKIE}={self.cookie}",
        }
        answer = self.http.request(method, path, headers=headers, **body)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookie = value if name == SESSION_COOKIE else self.cookie
        return answer

    def works(self, person, content):
        """Logs in by the link, joins, hands in a file, and wants more than she may have."""
        assert self("POST", "/login", json={"link": self.secret}).status_code == 200
        accepted = self("POST", f"/invitations/{self.invitation}/accept", json={})
        assert accepted.status_code == 200, accepted.text
        [own] = [row for row in self("GET", "/instances").json() if row["owner"] == person]
        assert (own["name"], own["state"]) == ("work", "running")
        put = f"/instances/{WORKSPACE}/files/content?path=answer.txt"
        written = self("PUT", put, content=content)
        assert written.status_code in {200, 201}, written.text
        assert self("GET", put).content == content
        order = {"name": "more", "template": "Plain Shell", "project": "stat"}
        refused = self("POST", "/instances/launch", json=order)
        assert refused.json()["error"]["code"] == "LIMIT_REACHED", refused.text
        self.http.close()


def links_by_person(mailbox, base):
    """The one link in the one mail that each person got."""
    links = {}
    for recipients, content in mailbox.mails:
        message = email.message_from_bytes(content, policy=default)
        text = not_none(message.get_body(["plain"])).get_content()
        addresses = set(re.findall(rf"{re.escape(base)}\S+", text))
        [person], [link] = recipients, addresses
        assert person not in links, "a second mail"
        assert "To join, open this page." in text
        links[person] = link
    return links


def joins_in_chromium(chromium, link, base, content):
    """The same as a person who clicks."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(link)
    page.get_by_role("button", name="Log in with this link").click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text("You are in the project stat")).to_be_visible()
    page.goto(f"{base}/workspaces/work")
    expect(page.get_by_text("running").first).to_be_visible()
    script = """content => fetch('/api/v1/instances/WORKSPACE/files/content?path=answer.txt',
        {method: 'PUT', body: content}).then(it => it.status)"""
    assert page.evaluate(script.replace("WORKSPACE", WORKSPACE), content.decode()) in {200, 201}
    context.close()


def test_a_class_of_120_from_one_file_to_the_end_of_term(tmp_path, chromium):
    home, port, mailbox = Home(tmp_path / "home"), free_port(), Mailbox()
    base = f"http://prism.localhost:{port}"
    smtp = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, ready_timeout=60)
    smtp.start()
    settings = {
        "PRISM_AUTH": "tokens",
        "PRISM_PORT": str(port),
        "PRISM_PUBLIC_URL": base,
        "PRISM_LOGIN_LINKS": "mail",
        "PRISM_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
        "PRISM_MAIL_FROM": "prism@x.org",
    }
    file = tmp_path / "people.csv"
    file.write_text("email,role\n" + "".join(f"{person},member\n" for person in PEOPLE))
    add = ["class", "add", "stat", str(file), "--template", "plain-shell", "--size", "XS"]
    began = time.monotonic()

    def owners():
        return sorted(row.owner for row in home.client.workspaces.list(project="stat"))

    try:
        with home.run_daemon(**settings):
            home.cli_json("project", "create", "stat")
            home.cli_json("limit", "set", "--person", "*", "--workspaces", "1")
            killed_in_the_middle(home, port, add)
            assert owners() == PEOPLE[:DONE_BEFORE_THE_KILL]
            rows = home.cli_json(*add)
            assert {row["name"] for row in rows} == {*PEOPLE}
            assert owners() == PEOPLE
            states = {row["workspace"] for row in rows[:DONE_BEFORE_THE_KILL]}
            assert states == {"exists"}
            eventually(lambda: home.states() == ["running"] * STUDENTS, 300)
            eventually(lambda: len(mailbox.mails) >= STUDENTS, 120)
            links = links_by_person(mailbox, base)
            assert links.keys() == {*PEOPLE}
            stuck = {row["stuck"] for row in home.cli_json("class", "status", "stat")}
            assert stuck == {"has not answered the invitation"}
            answers = {person: f"the answer of {person}\n".encode() for person in PEOPLE}
            all_work_at_once(chromium, links, base, port, answers)
            assert owners() == PEOPLE, "nobody got more than her limit"
            stuck = {row["stuck"] for row in home.cli_json("class", "status", "stat")}
            assert not [why for why in stuck if why and "invitation" in why]
            handed_in = collected(home, tmp_path / "collected")
            assert handed_in == sums(answers.values())
            reset_keeps_a_copy(home)
            ended(home, answers)
        took = time.monotonic() - began
    finally:
        home.cli("daemon", "stop")
        home.clear()
        smtp.stop()
    record(
        "A class of 120",
        f"{STUDENTS} people from one CSV file; the command was killed after "
        f"{DONE_BEFORE_THE_KILL} workspaces and repeated. {IN_BROWSERS} worked in Chromium and "
        f"{STUDENTS - IN_BROWSERS} over HTTP at once, and each handed in a file; from the first "
        f"command to the end of term with {STUDENTS} snapshots: {took:.0f} s.",
    )


def killed_in_the_middle(home, port, add):
    """The command, killed after some workspaces and before the next one."""
    proxy = HoldingProxy(port, LAUNCH, DONE_BEFORE_THE_KILL)
    token = home.cli_json("token", "create", "teacher", "--scope", "admin")["token"]
    environ = home.environ | {"PRISM_URL": proxy.url, "PRISM_TOKEN": token}
    try:
        with subprocess.Popen([BIN / "prism", *add], env=environ) as process:
            eventually(lambda: proxy.holds.is_set() or process.poll() is not None, 120)
            assert process.poll() is None, "it ended before it was killed"
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    finally:
        proxy.close()
    assert proxy.passed == DONE_BEFORE_THE_KILL


def all_work_at_once(chromium, links, base, port, answers):
    """The first ones in browsers, all others over HTTP, at the same time."""
    with ThreadPoolExecutor(16) as pool:
        working = [
            pool.submit(Student(base, port, links[person]).works, person, answers[person])
            for person in PEOPLE[IN_BROWSERS:]
        ]
        for person in PEOPLE[:IN_BROWSERS]:
            joins_in_chromium(chromium, links[person], base, answers[person])
        for future in working:
            future.result()


def sums(contents):
    return sorted(hashlib.sha256(content).hexdigest() for content in contents)


def collected(home, folder):
    """The checksums of what the teacher gets, which `sha256sum` confirms."""
    done = home.cli("class", "collect", "stat", "answer.txt", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(["sha256sum", "--quiet", "-c", "checksums.sha256"], cwd=folder)
    assert checked.returncode == 0
    return sorted(row["sha256"] for row in json.loads(done.stdout))


def reset_keeps_a_copy(home):
    """One person gets the files of another's snapshot; the own ones stay in a snapshot."""
    home.cli_json("snapshot", "create", "start", "--workspace", "work--s001")
    [row] = home.cli_json("class", "reset", "stat", PEOPLE[0], "--snapshot", "start", "--yes")
    eventually(lambda: not any(w.rolling_back for w in home.client.workspaces.list()), 120)
    eventually(lambda: {*home.states()} == {"running"}, 120)
    content = b"".join(home.client.files.read("work--s000", "answer.txt"))
    assert content == f"the answer of {PEOPLE[1]}\n".encode()
    home.cli_json("workspace", "rollback", "work--s000", row["backup"])
    eventually(lambda: not any(w.rolling_back for w in home.client.workspaces.list()), 120)
    content = b"".join(home.client.files.read("work--s000", "answer.txt"))
    assert content == f"the answer of {PEOPLE[0]}\n".encode()


def ended(home, answers):
    """Nothing runs, nobody is left, and each file is in a snapshot."""
    rows = home.cli_json("class", "end", "stat", "--yes")
    assert [row for row in rows if row["error"]] == []
    eventually(lambda: {*home.states()} <= {"terminated"}, 300)
    eventually(lambda: home.processes() == [], 120)
    assert [row.role for row in home.client.members.list("stat")] == ["owner"]
    assert home.cli_json("class", "status", "stat") == []
    backups = [row for row in home.client.snapshots.list() if row.name.startswith("work-backup")]
    assert len(backups) == STUDENTS
    assert {row.state for row in backups} == {"completed"}
    files = [*(home.folder / "storage" / "snapshots").rglob("answer.txt")]
    assert {*sums(answers.values())} == {*sums(file.read_bytes() for file in files)}
