"""Notices by a real mail server: one mail for a burst, nothing lost, nothing twice."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from prism.notices.plan import Audience, expires_soon
from tests.notices.conftest import ok, send_mails


def change_roles(team, *roles):
    """Tell member@x.org about each of these changes of the role."""
    for role in roles:
        path = f"projects/{team.project}/members/member@x.org"
        ok(team("owner", "PUT", path, json={"role": role}))


def tell(team, count):
    """Tell member@x.org that so many workspaces expire, as Prism finds out by itself."""
    at = team.daemon.clock.now() + timedelta(hours=3)
    with team.daemon.db.write() as tx:
        for number in range(count):
            draft = expires_soon(f"id{number}", f"mine{number}", None, at, team.daemon.clock.now())
            to_member = replace(draft, to=Audience(person="member@x.org"))
            team.daemon.notice_parts.collector._writer.tell(tx, [to_member])


def collect(team):
    team.daemon.notice_parts.collector.collect()


def test_burst_is_one_mail_with_every_notice(team, mail_server, clock):
    tell(team, 50)
    assert send_mails(team.daemon) == 0, "it waits for more"
    clock.advance(minutes=2)
    assert send_mails(team.daemon) == 1
    [mail] = mail_server.mails
    assert (mail["To"], mail["From"]) == ("member@x.org", "Prism <prism@lab.org>")
    assert mail["Subject"] == "Prism: 50 notices, among them: mine0 expires in 3 h"
    [text] = mail_server.texts()
    assert text.count(" expires in 3 h") == 50
    assert "https://prism.example.org/notices" in text
    for _ in range(5):
        clock.advance(hours=1)
        send_mails(team.daemon)
    assert len(mail_server.mails) == 1


def test_mail_shows_fifty_notices_and_says_how_many_more(team, mail_server, clock):
    tell(team, 60)
    clock.advance(minutes=2)
    send_mails(team.daemon)
    [text] = mail_server.texts()
    assert text.count(" expires in 3 h") == 50
    assert "And 10 more: `prism notices list`" in text


def test_next_mail_comes_ten_minutes_later(team, mail_server, clock):
    change_roles(team, "viewer")
    collect(team)
    clock.advance(minutes=2)
    send_mails(team.daemon)
    change_roles(team, "member")
    collect(team)
    clock.advance(minutes=3)
    send_mails(team.daemon)
    assert len(mail_server.mails) == 1
    clock.advance(minutes=7)
    send_mails(team.daemon)
    assert len(mail_server.mails) == 2
    ids = {mail["Message-ID"] for mail in mail_server.mails}
    assert len(ids) == 2


def test_server_that_is_away_gets_the_same_mail_later(team, mail_server, clock):
    change_roles(team, "viewer")
    collect(team)
    clock.advance(minutes=2)
    mail_server.refuse = "451 come again"
    send_mails(team.daemon)
    settings = ok(team("member", "GET", "notices/settings"))
    assert settings["mail_problem"] == "451 come again"
    change_roles(team, "member")  # belongs to the next mail: the first one is sealed
    collect(team)
    mail_server.refuse = None
    clock.advance(minutes=5)
    send_mails(team.daemon)
    [text] = mail_server.texts()
    assert text.count("Your role in Reef is") == 1
    clock.advance(minutes=10)
    send_mails(team.daemon)
    assert len(mail_server.mails) == 2
    assert ok(team("member", "GET", "notices/settings"))["mail_problem"] is None


def test_address_that_is_refused_for_good_is_shown_and_not_tried_again(team, mail_server, clock):
    change_roles(team, "viewer")
    collect(team)
    clock.advance(minutes=2)
    mail_server.refuse = "554 5.6.0 no such content"
    send_mails(team.daemon)
    mail_server.refuse = None
    clock.advance(hours=2)
    send_mails(team.daemon)
    assert mail_server.mails == []
    settings = ok(team("member", "GET", "notices/settings"))
    assert settings["mail_problem"] == "554 5.6.0 no such content"


def test_kind_that_is_off_is_in_the_inbox_only(team, mail_server, clock, inbox):
    off = {"kinds": {"membership": {"mail": False, "webhook": False}}}
    ok(team("member", "PUT", "notices/settings", json=off))
    change_roles(team, "viewer")
    assert len(inbox("member")) == 1
    clock.advance(minutes=30)
    assert send_mails(team.daemon) == 0
    assert mail_server.mails == []


def test_names_of_others_cannot_write_headers_or_markup(team, mail_server, clock):
    rename = {"name": "<b>Reef</b> & co"}
    ok(team("owner", "PUT", f"projects/{team.project}", json=rename))
    change_roles(team, "viewer")
    collect(team)
    clock.advance(minutes=2)
    send_mails(team.daemon)
    [mail] = mail_server.mails
    assert mail["Bcc"] is None
    html = mail.get_body(["html"]).get_content()
    assert "<b>Reef" not in html
    assert "&lt;b&gt;Reef" in html


def test_kill_between_answer_and_commit_sends_the_same_mail_again(
    team, mail_server, clock, monkeypatch
):
    """The only window: the server has the mail, and the daemon ends before it has noted that."""
    change_roles(team, "viewer")
    collect(team)
    clock.advance(minutes=2)
    loop = team.daemon.notice_parts.mail_loop

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_write_all", killed)
        with pytest.raises(KeyboardInterrupt):
            send_mails(team.daemon)
    change_roles(team, "member")  # happens before the daemon is back
    collect(team)
    clock.advance(minutes=1)  # the lease runs out
    send_mails(team.daemon)
    first, second = mail_server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first.as_bytes() == second.as_bytes(), "a mail program may drop either of them"
    clock.advance(minutes=11)
    send_mails(team.daemon)
    assert len(mail_server.mails) == 3
    assert "Your role in Reef is member now" in mail_server.texts()[-1]
