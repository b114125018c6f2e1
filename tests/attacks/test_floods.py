"""One person's acts fill neither the inbox nor the mailbox nor the webhooks of another."""

from datetime import timedelta

import pytest

from prism.kit import journal
from prism.notices.collector import NoticeCollector
from prism.notices.plan import MAX_BY_ONE
from tests.access.people import Team
from tests.conftest import Http
from tests.notices.conftest import kinds, ok
from tests.notices.receivers import MailReceiver, WebhookReceiver

UNTIL = "2026-02-02T00:00:00Z"
ACTS = 51


@pytest.fixture
def mail_server():
    with MailReceiver() as server:
        yield server


@pytest.fixture
def receiver():
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def team(make_daemon, cloud, mail_server, receiver):
    """People around a daemon, where viewer@x.org has a webhook, and member@x.org a workspace."""
    cloud.busy = timedelta(0)
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        smtp_url=f"smtp://127.0.0.1:{mail_server.port}",
        mail_from="prism@lab.org",
        webhook_networks="127.0.0.0/8",
    )
    team = Team(daemon, Http(daemon.app))
    ok(team("viewer", "POST", "webhooks", json={"url": receiver.url}))
    assert team.launch("member", "mine").status_code == 201
    daemon.settle()
    daemon.notice_parts.collector.collect()
    ok(team("viewer", "POST", "notices/read", json={}))
    return team


def send(team):
    """Send everything that it is time for."""
    parts = team.daemon.notice_parts
    parts.collector.collect()
    for loop in (parts.mail_loop, parts.webhook_loop):
        while loop.once():
            pass


def live(team, clock, hours):
    for _ in range(hours * 6):
        send(team)
        clock.advance(minutes=10)


def inbox(team, caller="viewer"):
    team.daemon.notice_parts.collector.collect()
    return ok(team(caller, "GET", "notices?unread=true&limit=1000"))["notices"]


def share_and_end(team, clock):
    for _ in range(ACTS):
        body = {"terminal": True, "guest": "viewer@x.org", "until": UNTIL}
        id = ok(team("member", "POST", "instances/mine/shares", json=body))["id"]
        ok(team("member", "DELETE", f"shares/{id}"))


def change_roles(team, clock):
    """Somebody uses the role of another as a mail relay, slowly."""
    path = f"projects/{team.project}/members/viewer@x.org"
    for number in range(ACTS):
        role = ("member", "viewer")[number % 2]
        ok(team("owner", "PUT", path, json={"role": role}))
        send(team)
        clock.advance(minutes=11)


@pytest.mark.parametrize(("act", "kind"), [(share_and_end, "share"), (change_roles, "membership")])
def test_acts_of_one_person_are_few_notices_mails_and_requests(
    team, clock, mail_server, receiver, act, kind
):
    most = MAX_BY_ONE + 1
    act(team, clock)
    listed = inbox(team)
    assert kinds(listed) == [kind] * most
    more = (2 * ACTS if act is share_and_end else ACTS) - MAX_BY_ONE
    [summary] = [row for row in listed if row["title"].startswith("And ")]
    actor = "member@x.org" if act is share_and_end else "owner@x.org"
    assert summary["title"] == f"And {more} more notices because of {actor} on 2026-01-01"
    live(team, clock, 20)
    assert len(mail_server.mails) <= most
    assert len(receiver.requests) <= most
    clock.advance(days=1)
    live(team, clock, 1)
    assert len(receiver.requests) == most
    assert receiver.requests[-1].data["title"] == summary["title"], "as it was at the end"
    assert sum(text.count(summary["title"]) for text in mail_server.texts()) == 1
    assert len(mail_server.mails) <= most
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == len(mail_server.mails)


def test_summary_counts_on_until_the_day_is_over_and_starts_anew(team, clock):
    share_and_end(team, clock)
    inbox(team)
    clock.advance(days=1)
    share_and_end(team, clock)
    titles = [row["title"] for row in inbox(team) if row["title"].startswith("And ")]
    assert titles == [
        f"And 92 more notices because of member@x.org on 2026-01-0{day}" for day in (2, 1)
    ]


def test_acts_of_others_are_told_besides(team, clock):
    share_and_end(team, clock)
    change = {"role": "member"}
    ok(team("owner", "PUT", f"projects/{team.project}/members/viewer@x.org", json=change))
    assert kinds(inbox(team)).count("membership") == 1


def test_requests_that_are_made_and_withdrawn_are_few_notices(team, clock):
    body = {"kind": "time", "hours": 1.0, "workspace": "mine"}
    for _ in range(ACTS):
        id = ok(team("member", "POST", "requests", json=body))["id"]
        ok(team("member", "DELETE", f"requests/{id}"))
    assert kinds(inbox(team, "owner")).count("request") == MAX_BY_ONE + 1


def test_two_daemons_that_read_the_same_events_count_them_once(team, clock, monkeypatch):
    """The second one collects while the first one has read its page and not yet written."""
    first = team.daemon.notice_parts.collector
    second = NoticeCollector(first._db, first._clock, first._writer, first._watch)
    share_and_end(team, clock)
    waiting, read = [second], journal.after

    def slow(sql, after):
        page = read(sql, after)
        if waiting:
            waiting.pop().collect()
        return page

    monkeypatch.setattr(journal, "after", slow)
    titles = [row["title"] for row in inbox(team)]
    assert len(titles) == MAX_BY_ONE + 1
    assert titles[0] == "And 92 more notices because of member@x.org on 2026-01-01"
