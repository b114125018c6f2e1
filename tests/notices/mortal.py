"""A daemon that can be killed at each point around the sending of notices.

It is started once and has everything imported. Each job that it reads, a line of JSON, is a fork
of it with a home of its own, and its answer is a line of JSON. The mail server and the webhooks
are the test's, so they outlive it.

Points are not listed anywhere: from the first act on, there is one before and after each commit,
each mail and each request to a webhook. The one after a mail is after the server has accepted it,
and before that is committed. The clock is stopped meanwhile.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prism.access.model import Caller, Role
from prism.daemon.app import App
from prism.errors import NotFound, Problem
from prism.kit import journal
from prism.kit.actor import CURRENT_ACTOR
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.tables import metadata
from prism.notices.model import NewWebhook
from prism.projects.model import NewMembership, NewProject
from prism.providers.mail.smtp import SmtpTransport
from prism.providers.webhooks.guarded_http import GuardedTransport
from prism.settings import Settings
from tests.deaths import announced_write, arm, disarm, passed, point
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.forks import serve, tell

LOCATION = "local:there:home"
BOB = "bob@x.org"
PROJECTS = tuple(f"Reef{number}" for number in range(4))
START = datetime(2026, 1, 1, 9, tzinfo=UTC)
AWAY = timedelta(minutes=7)  # between a death and the next daemon
STEPS = [timedelta(minutes=1)] * 150 + [timedelta(minutes=10)] * 200  # longer than retries take
WEBHOOK_PATIENCE = 2.0  # seconds, also on a busy computer


def announced(action, original):
    """Announce what is sent, also if it fails."""

    def send(*args):
        point(f"before {action}")
        try:
            original(*args)
        except Problem:
            point(f"after {action} failed")
            raise
        point(f"after {action}")

    return send


class World:
    """One daemon of a home."""

    def __init__(self, job):
        home = Path(job["home"])
        self.clock = StoppedClock(START)
        settings = Settings(
            home=str(home),
            user="ada@x.org",
            auth="tokens",
            smtp_url=f"smtp://127.0.0.1:{job['smtp']}",
            mail_from="prism@lab.org",
            webhook_networks="127.0.0.0/8",
        )
        computes = {LOCATION: MemoryCompute(self.clock, busy=timedelta(0))}
        volumes = {LOCATION: MemoryVolumes(self.clock)}
        # Without the web application, which `build` adds: it takes a second and is not used.
        self.daemon = App(settings, computes, self.clock, lambda: None, volumes)
        self.daemon.here = LOCATION
        metadata.create_all(self.daemon.db.writer)
        self.parts = self.daemon.notice_parts
        sender: Any = self.parts.webhook_loop._work
        sender._transport._timeout = WEBHOOK_PATIENCE

    def act(self):
        """Take Bob out of each project, unless that has happened."""
        for project in PROJECTS:
            with contextlib.suppress(NotFound):
                self.daemon.members.remove(project, BOB)

    def live(self):
        """Let hours pass, in which everything that waits is sent."""
        for step in STEPS:
            self.parts.collector.collect()
            for loop in self.parts.loops:
                loop.once()
            self.clock.time += step

    def outcome(self):
        with self.daemon.db.read() as sql:
            events = [event for event in journal.after(sql, 0) if event.event == "member_left"]
            query = "SELECT id, title FROM notices WHERE person = 'bob@x.org' ORDER BY id"
            inbox = sql.exec_driver_sql(query).all()
            waits = "SELECT count(*) FROM notice_deliveries WHERE done_at IS NULL"
            waiting = sql.exec_driver_sql(waits).scalar_one()
        return {
            "removed": len(events),
            "inbox": {row.id: row.title for row in inbox},
            "waiting": waiting,
        }


def prepare(job):
    """Make the projects, and Bob's webhooks."""
    Path(job["home"]).mkdir()
    world = World(job)
    for project in ("Home", *PROJECTS):
        world.daemon.projects.create(NewProject(name=project))
        world.daemon.members.add(project, NewMembership(BOB, Role.MEMBER))
    CURRENT_ACTOR.set(Caller(name=BOB, team=True))
    for url in job["urls"]:
        world.daemon.notices.add_webhook(NewWebhook(url))
    world.parts.collector.collect()
    tell(done=True)


def live(job):
    """Act and send, with the points armed."""
    world = World(job)
    arm(job["at"])
    world.act()
    world.live()
    disarm()
    tell(passed=passed, **world.outcome())


def come_back(job):
    """Start the next daemon of that home, which acts again and sends what waits."""
    world = World(job)
    world.clock.time += sum(STEPS, AWAY)
    for loop in world.parts.loops:
        loop.inherit()
    world.act()
    world.live()
    tell(**world.outcome())


if __name__ == "__main__":
    Database.write = announced_write  # type: ignore[method-assign]
    SmtpTransport.send = announced("a mail", SmtpTransport.send)  # type: ignore[method-assign]
    GuardedTransport.post = announced(  # type: ignore[method-assign]
        "a request", GuardedTransport.post
    )
    serve({"prepare": prepare, "live": live, "come back": come_back})
