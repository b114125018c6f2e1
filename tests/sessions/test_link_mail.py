"""Links that people ask for on the login page, by a real SMTP server."""

import email
import re
import threading
from email.policy import default

import pytest
from aiosmtpd.controller import Controller

from prism.kit.attempts import TooManyAttempts
from prism.sessions.link_mail import (
    MOST_MAILS_A_DAY,
    MOST_MAILS_ASKED,
    MOST_MAILS_OF_STRANGERS,
    MOST_MAILS_TO_ONE,
)
from tests.access.people import Team
from tests.conftest import Http, free_port
from tests.optional import not_none
from tests.sessions.conftest import HOST, TabOfBrowser
from tests.shapes import failed


class Mailbox:
    """Keeps what the server gets; `answer` is what it says to each mail."""

    def __init__(self):
        self.mails, self.answer, self.port = [], "250 OK", free_port()

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, envelope.content))
        return self.answer


@pytest.fixture
def mailbox():
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, ready_timeout=60)
    server.start()
    yield mailbox
    server.stop()


@pytest.fixture
def team(mailbox, make_daemon, request):
    settings = {"login_links": "mail", **getattr(request, "param", {})}
    daemon = make_daemon(
        auth="tokens",
        user="ada@x.org",
        public_url=f"https://{HOST}",
        smtp_url=f"smtp://127.0.0.1:{mailbox.port}",
        mail_from="prism@x.org",
        **settings,
    )
    yield Team(daemon, Http(daemon.app))
    if daemon.login.mails:
        daemon.login.mails.settle()  # before the server of mails ends


@pytest.fixture
def tab(team):
    return TabOfBrowser(team)


def ask(tab, address):
    answer = tab("POST", "login/mail", json={"email": address})
    if mails := tab.team.daemon.login.mails:
        mails.settle()
    return answer


def link_in(mail):
    recipients, content = mail
    message = email.message_from_bytes(content, policy=default)
    text = not_none(message.get_body(["plain"])).get_content()
    assert message["Subject"] == f"Log in to Prism at {HOST}"
    return recipients, not_none(re.search(rf"https://{HOST}/login#(lnk_\S+)", text))[1]


def test_person_asks_for_a_link_and_logs_in_once(team, tab, mailbox):
    assert tab("GET", "login").json()["mailed_links"] is True
    assert ask(tab, "Member@x.org").status_code == 200
    [mail] = mailbox.mails
    recipients, link = link_in(mail)
    assert recipients == ["member@x.org"]
    assert tab("GET", f"/login?{link}").status_code in {200, 404}, "a visit uses nothing up"
    assert tab("POST", "login", json={"link": link}).json() == {"user": "member@x.org"}
    assert tab("GET", "me").json()["roles"] == {team.project: "member"}
    tab.cookie = None
    failed(tab("POST", "login", json={"link": link}), 401, "LOGIN_REFUSED")
    entries = team("operator", "GET", "audit?subject=member@x.org").json()
    created = [each for each in entries if each["event"] == "login_link_created"]
    assert [each["actor"] for each in created] == ["anonymous"]
    with team.daemon.db.read() as sql:
        for table in ("login_codes", "events", "sessions", "idempotency_keys"):
            rows = sql.exec_driver_sql(f"SELECT * FROM {table}").fetchall()
            assert link.partition(".")[2] not in repr(rows)


@pytest.mark.parametrize("address", ["nobody@x.org", "outside@x.org", "ada@x.org"])
def test_answer_tells_nothing_and_nobody_else_gets_a_mail(tab, mailbox, address):
    """Who is in no project; the operator, whose rights no mail opens."""
    known, unknown = ask(tab, "member@x.org"), ask(tab, address)
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert [recipients for recipients, _ in mailbox.mails] == [["member@x.org"]]


@pytest.mark.parametrize("address", ["member@x.org", "nobody@x.org"])
def test_answer_comes_before_anybody_looks_whether_the_address_is_known(tab, team, address):
    """With the thread held, nothing of the database and of the mail server is in its time."""
    gate, mails = threading.Event(), team.daemon.login.mails
    held = mails._thread.submit(gate.wait)
    try:
        answer = tab("POST", "login/mail", json={"email": address})
        assert answer.status_code == 200
        assert not held.done()
    finally:
        gate.set()


@pytest.mark.parametrize("address", ["member@x.org", "nobody@x.org"])
def test_mails_to_one_address_and_from_one_computer_are_limited(tab, mailbox, clock, address):
    for _ in range(MOST_MAILS_TO_ONE):
        assert ask(tab, address).status_code == 200
    failed(ask(tab, address), 429, "TOO_MANY_ATTEMPTS")
    for number in range(MOST_MAILS_ASKED - MOST_MAILS_TO_ONE):
        assert ask(tab, f"name{number}@x.org").status_code == 200
    failed(ask(tab, "viewer@x.org"), 429, "TOO_MANY_ATTEMPTS")
    clock.advance(minutes=16)
    assert ask(tab, address).status_code == 200


def test_person_gets_few_mails_in_a_day_and_the_page_does_not_tell(team, tab, mailbox, clock):
    """Somebody asks all day long, each time as late as the other limits demand."""
    answers = set()
    for _ in range(MOST_MAILS_A_DAY + 5):
        answer = ask(tab, "member@x.org")
        answers.add((answer.status_code, answer.content, *sorted(answer.headers)))
        clock.advance(minutes=16)
    unknown = ask(tab, "nobody@x.org")
    assert answers == {(unknown.status_code, unknown.content, *sorted(unknown.headers))}
    assert len(mailbox.mails) == MOST_MAILS_A_DAY
    entries = team("operator", "GET", "audit?subject=member@x.org").json()
    withheld = [each for each in entries if each["event"] == "login_link_withheld"]
    assert [each["actor"] for each in withheld] == ["anonymous"] * 5
    assert ask(tab, "viewer@x.org").status_code == 200, "others have their own ten"
    assert len(mailbox.mails) == MOST_MAILS_A_DAY + 1
    clock.advance(days=1)
    ask(tab, "member@x.org")
    assert len(mailbox.mails) == MOST_MAILS_A_DAY + 2


def test_others_use_up_none_of_the_mails_that_a_person_may_ask_for(team, tab, mailbox, clock):
    ask(tab, "member@x.org")
    link = link_in(mailbox.mails[0])[1]
    assert tab("POST", "login", json={"link": link}).status_code == 200
    mails, before = team.daemon.login.mails, len(mailbox.mails)
    for number in range(300):
        mails.ask("member@x.org", f"10.{number}.0.1")
        mails.settle()
    assert len(mailbox.mails) - before == MOST_MAILS_OF_STRANGERS - 1
    assert ask(tab, "member@x.org").status_code == 200
    assert len(mailbox.mails) - before == MOST_MAILS_OF_STRANGERS, "logged in, at this computer"


def test_computer_that_asks_for_a_person_all_day_uses_up_the_mails_of_no_other(
    team, mailbox, clock
):
    mails = team.daemon.login.mails
    for _ in range(MOST_MAILS_A_DAY + 20):
        mails.ask("member@x.org", "10.9.9.9")
        mails.settle()
        clock.advance(minutes=16)
    assert len(mailbox.mails) == MOST_MAILS_A_DAY
    mails.ask("member@x.org", "10.8.8.8")
    mails.settle()
    assert len(mailbox.mails) == MOST_MAILS_A_DAY + 1


def test_computer_with_many_addresses_of_ipv6_is_one_computer(team):
    mails = team.daemon.login.mails
    for number in range(MOST_MAILS_ASKED):
        mails.ask(f"name{number}@x.org", f"2001:db8:0:1::{number:x}")
    with pytest.raises(TooManyAttempts):
        mails.ask("viewer@x.org", "2001:db8:0:1::ffff")
    mails.ask("viewer@x.org", "2001:db8:0:2::1")
    mails.settle()


def test_link_ends_after_its_minutes_and_with_the_setting(team, tab, mailbox, clock, make_daemon):
    ask(tab, "member@x.org")
    ask(tab, "member@x.org")
    [(_, first), (_, second)] = [link_in(mail) for mail in mailbox.mails]
    team.http = Http(
        make_daemon(auth="tokens", user="ada@x.org", public_url=f"https://{HOST}").app
    )
    failed(tab("POST", "login", json={"link": first}), 401, "LOGIN_REFUSED")
    team.http = Http(team.daemon.app)
    clock.advance(minutes=15)
    failed(tab("POST", "login", json={"link": second}), 401, "LOGIN_REFUSED")


@pytest.mark.parametrize("smtp_answer", ["550 5.1.1 nobody here", "451 later"])
def test_mail_server_that_refuses_shows_nothing(tab, mailbox, smtp_answer):
    mailbox.answer = smtp_answer
    assert ask(tab, "member@x.org").status_code == 200
    mailbox.answer = "250 OK"
    assert ask(tab, "member@x.org").status_code == 200
    assert len(mailbox.mails) == 2


@pytest.mark.parametrize(
    "address", ["a b@x.org", "a@x.org\nBcc: eve@x.org", "a@x.org,b@x.org", "<a@x.org>", "", "a"]
)
def test_address_that_is_none_sends_nothing(tab, mailbox, address):
    assert ask(tab, address).status_code in {200, 400, 422}
    assert mailbox.mails == []


@pytest.mark.parametrize("team", [{"login_links": "operator"}], indirect=True)
def test_daemon_that_mails_no_links_offers_none(tab):
    assert tab("GET", "login").json()["mailed_links"] is False
    failed(ask(tab, "member@x.org"), 403, "LOGIN_UNAVAILABLE")
