"""Kill a daemon at each point around the sending of notices: none is lost, each is there once."""

import itertools
import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from tests.notices.mortal import PROJECTS
from tests.notices.receivers import (
    MailReceiver,
    WebhookReceiver,
    faults_of_mails,
    faults_of_webhook,
)
from tests.proofs import record

FAILURES = ("503", "hang", "garbage")  # what the bad receiver answers first, at each notice
REFUSED_MAILS = 2  # before the mail server accepts one


class SlowMailReceiver(MailReceiver):
    """A mail server that is busy at first."""

    def __init__(self):
        super().__init__()
        self.busy = REFUSED_MAILS

    async def handle_DATA(self, server, session, envelope):
        if self.busy:
            self.busy -= 1
            return "451 busy"
        return await super().handle_DATA(server, session, envelope)


class BadWebhookReceiver(WebhookReceiver):
    """Fails in another way at each of the first requests for a notice."""

    def __init__(self):
        super().__init__()
        self.tries: Counter[str] = Counter()

    def _answer(self, connection):
        id = self.requests[-1].headers["webhook-id"]
        number, self.tries[id] = self.tries[id], self.tries[id] + 1
        self.behave = FAILURES[number] if number < len(FAILURES) else "ok"
        if self.behave == "hang" and len(self.tries) > 1:
            self.behave = "500"  # hanging takes time, so only the first notice meets it
        super()._answer(connection)


class MortalDaemon:
    """A daemon process that forks for each life (see `mortal.py`)."""

    def __init__(self, folder):
        self.folder, self.numbers = folder, itertools.count()
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            (sys.executable, "-m", "tests.notices.mortal"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def close(self):
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()
        self.log.close()

    def ask(self, do, **job):
        assert self.process.stdin and self.process.stdout
        print(json.dumps({"do": do, **job}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        assert "broke" not in answer, answer["broke"]
        return answer

    def run_life(self, at=-1):
        """Run a life, and another one if the daemon is killed at point `at`."""
        home = self.folder / f"home{next(self.numbers)}"
        with SlowMailReceiver() as mails, WebhookReceiver() as good, BadWebhookReceiver() as bad:
            job = {"home": str(home), "smtp": mails.port, "urls": [good.url, bad.url]}
            self.ask("prepare", **job)
            lived = self.ask("live", at=at, **job)
            outcome = self.ask("come back", **job) if lived["killed"] else lived
        shutil.rmtree(home)
        faults = [*faults_of(outcome, mails, good, bad)]
        repeated = len(mails.raw) - len({*mails.raw}) + len(good.requests) - len(PROJECTS)
        return lived, faults, repeated


@pytest.fixture(scope="module")
def mortal_daemon(tmp_path_factory):
    daemon = MortalDaemon(tmp_path_factory.mktemp("mortal"))
    try:
        yield daemon
    finally:
        daemon.close()


def faults_of(outcome, mails, good, bad):
    """What is lost, or known under two ids, as sentences."""
    titles = sorted(f"You are no member of {name} any more" for name in PROJECTS)
    inbox = outcome["inbox"]
    if sorted(inbox.values()) != titles:
        yield f"the inbox has {inbox}"
    if outcome["removed"] != len(PROJECTS) or outcome["waiting"]:
        yield f"{outcome['removed']} were removed, {outcome['waiting']} wait"
    yield from faults_of_webhook(inbox, good.requests)
    yield from faults_of_webhook(inbox, bad.requests)
    if {id for id, tries in bad.tries.items() if tries > len(FAILURES)} != inbox.keys():
        yield f"the bad webhook has been tried as often as {bad.tries}"
    yield from faults_of_mails(titles, mails)


def kill_at(mortal_daemon, choose):
    """Kill one daemon at each of these points; how many died, and how often things came twice."""
    lived, faults, repeated = mortal_daemon.run_life()
    points = lived["passed"]
    assert (lived["killed"], faults, repeated) == (False, [], 0)
    assert {"before a mail", "after a mail", "after a mail failed"} <= {*points}
    assert {"before a request", "after a request", "after a request failed"} <= {*points}
    deaths: Counter[str] = Counter()
    failures, twice, chosen = [], 0, [*choose(points)]
    for at in chosen:
        lived, faults, repeated = mortal_daemon.run_life(at)
        if lived["killed"]:
            deaths[lived["passed"][-1]] += 1
        twice += repeated
        failures += [f"{at} {lived['passed'][-1]}: {fault}" for fault in faults]
    assert not failures, "\n".join(failures)
    assert sum(deaths.values()) >= 0.9 * len(chosen), "each run passes nearly the same points"
    return deaths, twice


def first_of_each(points):
    """Each kind of point where it comes after another kind for the first time."""
    return {pair: at for at, pair in enumerate(itertools.pairwise(["", *points]))}.values()


@pytest.mark.timeout(900)
def test_no_notice_is_lost_by_a_kill_at_each_kind_of_point(mortal_daemon):
    deaths, twice = kill_at(mortal_daemon, first_of_each)
    assert deaths["after a mail"] and deaths["after a request"]
    assert twice, "a kill between an answer and the commit leads to a repetition"


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_notice_is_lost_by_a_kill_at_every_point(mortal_daemon):
    deaths, twice = kill_at(mortal_daemon, lambda points: range(len(points)))
    sent = sum(deaths[f"after a {sort}"] for sort in ("mail", "request"))
    failed = sum(deaths[f"after a {sort} failed"] for sort in ("mail", "request"))
    record(
        "Notices, killed",
        f"The daemon was killed once at each of {sum(deaths.values())} points: before and after "
        f"each commit, mail and request to a webhook, {sent} times between the acceptance of a "
        f"mail or request and its commit, and {failed} times after a failure. The mail server "
        "was busy at first, and one webhook failed, hung and answered garbage before it accepted "
        f"each notice. Each of the {len(PROJECTS)} notices was in the inbox once, in one mail, "
        f"and at both webhooks; none was lost. {twice} mails and requests were sent twice, with "
        "the same Message-ID and bytes, or the same webhook-id and body.",
    )
