"""SIGKILL of a real daemon while it tells people: none is lost, and each is known once.

The mail server and the webhooks kill it themselves, between what they have got and what the
daemon can know of that. `test_kills.py` tries each commit.
"""

import itertools
import os
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from prism.client.errors import DaemonUnreachable
from prism.projects.model import MemberNotFound
from tests.conftest import free_port
from tests.notices.receivers import (
    MailReceiver,
    WebhookReceiver,
    faults_of_mails,
    faults_of_webhook,
)
from tests.project.home import Home
from tests.proofs import record
from tests.waiting import eventually

HASTY_DAEMON = (sys.executable, str(Path(__file__).with_name("hasty_daemon.py")))
BOB = "bob@example.org"
# When the daemon is killed: what has happened then.
MOMENTS = {
    "answered": "the request that causes the notice is answered",
    "mail": "the mail server has the mail, and has not said so",
    "refused": "the mail server is busy, and has not said so",
    "request": "a webhook has the notice, and has not answered",
    "accepted": "a webhook has accepted the notice",
    "failed": "a webhook has answered 503",
    "hangs": "a webhook has not answered for a while, in which the daemon answers others",
}


class Killer:
    """Kills the daemon of the moment, once for each time that it is armed."""

    def __init__(self) -> None:
        self.pid, self.moment, self._lock = 0, "", threading.Lock()
        self.done: Counter[str] = Counter()
        self.hanging = threading.Event()

    def arm(self, pid: int, moment: str) -> None:
        with self._lock:
            self.pid, self.moment = pid, moment

    def reached(self, moment: str) -> bool:
        """Whether this is the moment; the daemon is dead then."""
        with self._lock:
            if self.moment != moment:
                return False
            self.moment = ""
            os.kill(self.pid, signal.SIGKILL)
            self.done[moment] += 1
            return True


class KillingMailReceiver(MailReceiver):
    """A mail server that is busy at each first try of a mail."""

    def __init__(self, killer):
        super().__init__()
        self._killer, self._known = killer, set()

    async def handle_DATA(self, server, session, envelope):
        if envelope.content not in self._known:
            self._known.add(envelope.content)
            self._killer.reached("refused")
            return "451 busy"
        answer = await super().handle_DATA(server, session, envelope)
        self._killer.reached("mail")
        return answer


class KillingWebhookReceiver(WebhookReceiver):
    """A webhook that answers 503 at each first try of a notice, or hangs."""

    def __init__(self, killer):
        super().__init__()
        self._killer = killer
        self.tries: Counter[str] = Counter()

    def _answer(self, connection):
        id = self.requests[-1].headers["webhook-id"]
        self.tries[id] += 1
        self.behave = "503" if self.tries[id] == 1 else "ok"
        if self._killer.moment == "hangs":
            self._killer.hanging.set()
            while self._killer.moment == "hangs":
                self._ended.wait(0.02)
            return
        if self._killer.reached("request"):
            return
        super()._answer(connection)
        self._killer.reached("failed" if self.tries[id] == 1 else "accepted")


class Told:
    """A shared daemon of which Bob is told by mail and at two webhooks."""

    def __init__(self, folder, mails, webhooks):
        self.home, self.mails, self.webhooks = Home(folder), mails, webhooks
        self.port = free_port()
        self.environ = {
            "PRISM_AUTH": "tokens",
            "PRISM_PORT": str(self.port),
            "PRISM_SMTP_URL": f"smtp://127.0.0.1:{mails.port}",
            "PRISM_MAIL_FROM": "prism@example.org",
            "PRISM_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }

    def run(self):
        return self.home.run_daemon(HASTY_DAEMON, **self.environ)

    def prepare(self, projects):
        client = self.home.client
        for project in ("Home", *projects):
            client.projects.create(project)
            client.members.add(project, BOB)
        self.token = client.tokens.create("bob", user=BOB, scope="admin").token
        for webhook in self.webhooks:
            assert self.ask("POST", "webhooks", {"url": webhook.url}).status_code == 201

    def ask(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        return httpx.request(method, url, headers=headers, json=body, timeout=120)

    def remove(self, project):
        """Take Bob out of a project, unless that has happened, or the daemon is killed."""
        with suppress(MemberNotFound, DaemonUnreachable):
            self.home.client.members.remove(project, BOB)

    def inbox(self):
        rows = self.ask("GET", "notices").json()["notices"]
        return {row["id"]: row["title"] for row in rows if row["kind"] == "membership"}

    def is_complete(self, titles):
        """Whether everything was sent that is to be sent."""
        mailed = b"".join(self.mails.raw).decode()
        inbox = {id for id, title in self.inbox().items() if title in titles}
        return (
            len(inbox) == len(titles)
            and all(f"* {title} (" in mailed for title in titles)
            and all(
                inbox <= {id for id, n in each.tries.items() if n > 1} for each in self.webhooks
            )
        )


def faults_of(people, titles):
    """What is lost, or known under two ids, as sentences."""
    inbox = {id: title for id, title in people.inbox().items() if title in titles}
    if sorted(inbox.values()) != sorted(titles):
        yield f"the inbox has {inbox}"
    for webhook in people.webhooks:
        requests = [each for each in webhook.requests if each.data["title"] in titles]
        yield from faults_of_webhook(inbox, requests)
    yield from faults_of_mails(titles, people.mails)


def die_at_each(folder):
    """Kill a daemon once at each moment; how often, and how often something came twice."""
    killer = Killer()
    projects = [f"Reef{number}" for number, _ in enumerate(MOMENTS)]
    titles = [f"You are no member of {project} any more" for project in projects]
    with KillingMailReceiver(killer) as mails, KillingWebhookReceiver(killer) as first:
        with KillingWebhookReceiver(killer) as second:
            people = Told(folder, mails, [first, second])
            with people.run():
                people.prepare(projects)
            for project, moment in zip(projects, MOMENTS, strict=True):
                with people.run() as daemon:
                    killer.arm(daemon.pid, moment)
                    people.remove(project)
                    killer.reached("answered")
                    if moment == "hangs":
                        assert killer.hanging.wait(120)
                        assert people.inbox()
                        killer.reached("hangs")
                    assert daemon.wait(120) == -signal.SIGKILL
            with people.run():
                for project in projects:
                    people.remove(project)
                eventually(lambda: people.is_complete(titles), 120)
                faults = [*faults_of(people, titles)]
        repeated = len(mails.raw) - len({*mails.raw})
        requests = [
            (each, r.headers["webhook-id"]) for each in (first, second) for r in each.requests
        ]
    people.home.clear()
    assert not faults, "\n".join(faults)
    # Each notice is refused once at each webhook.
    repeated += len(requests) - 2 * len({*requests})
    return killer.done, repeated


@pytest.mark.timeout(600)
def test_no_notice_is_lost_by_kills_of_a_real_daemon(tmp_path):
    deaths, repeated = die_at_each(tmp_path / "home")
    assert deaths == dict.fromkeys(MOMENTS, 1)
    assert repeated, "what was accepted before a kill comes again"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_notice_is_lost_by_many_kills_of_a_real_daemon(tmp_path):
    deaths, repeated = Counter[str](), 0
    for number in itertools.count():
        done, again = die_at_each(tmp_path / f"home{number}")
        deaths, repeated = deaths + done, repeated + again
        if number == 9:
            break
    assert deaths == dict.fromkeys(MOMENTS, 10)
    moments = "; ".join(MOMENTS.values())
    record(
        "Notices, a real daemon killed",
        f"A real daemon, with shorter waits, was killed {deaths.total()} times, ten times at each "
        f"of these moments: {moments}. Each of the {deaths.total()} notices was in the inbox "
        f"once, in one mail, and at both webhooks; none was lost. {repeated} mails and requests "
        "came twice, with the same Message-ID and bytes, or the same webhook-id and body.",
    )
