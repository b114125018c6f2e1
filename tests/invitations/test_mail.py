"""Mail through a real server, and into a folder if no server is set."""

import email
import re
from email.policy import default
from html.parser import HTMLParser

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.conftest import Http, free_port
from tests.optional import not_none


class MailServer:
    """A mail server that keeps the mails that it accepts, and refuses recipients on request."""

    def __init__(self):
        self.mails, self.refuse, self.port = [], None, free_port()
        self.controller = None

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=default)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, mail))
        return "250 OK"

    def start(self, **options):
        self.controller = Controller(
            self, "127.0.0.1", self.port, server_hostname="mail", **options
        )
        self.controller.start()

    def stop(self):
        if self.controller:
            self.controller.stop()
            self.controller = None


@pytest.fixture
def server():
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def daemon(make_daemon, server, tmp_path):
    url = f"smtp://127.0.0.1:{server.port}"
    return make_daemon(smtp_url=url, mail_from="prism@lab.org", home=str(tmp_path))


def send_mails(daemon):
    """One round of the mail loop."""
    return daemon.mail_loop.once()


def test_invitation_mail_has_text_and_html_with_token_and_command(ask, daemon, server, project_id):
    invitation = {"project_id": project_id, "email": "bob@x.org", "message": "Come\nand see"}
    sent = ask("POST", "send", **invitation, invited_by="ada@x.org").json()
    assert send_mails(daemon) == 1
    [(sender, to, mail)] = server.mails
    assert (sender, to) == ("prism@lab.org", ["bob@x.org"])
    assert mail["Subject"] == "ada@x.org invites you to Reef"
    assert mail["Message-ID"] == f"<{sent['id']}.0@lab.org>"
    text = not_none(mail.get_body(["plain"])).get_content().replace("\r\n", "\n")
    html = mail.get_body(["html"]).get_content()
    for body in (text, html):
        assert sent["token"] in body
        assert f"prism invite accept {sent['id']}" in body
        assert "2026-01-08 00:00 UTC" in body
    assert "> Come\n> and see\n" in text
    assert not re.search(rf"https?://\S*{sent['token']}", text + html), "no token in a URL"
    assert send_mails(daemon) == 0
    assert ask("GET", sent["id"]).json()["mailed_at"] == "2026-01-01T00:00:00Z"


def test_mail_is_retried_until_the_server_is_reachable(
    ask, daemon, server, clock, sent_invitation
):
    server.stop()
    for _ in range(3):
        assert send_mails(daemon) == 1
        assert send_mails(daemon) == 0, "it waits before the next try"
        clock.advance(minutes=5)
    assert ask("GET", sent_invitation["id"]).json()["mailed_at"] is None
    server.start()
    send_mails(daemon)
    assert [mail[1] for mail in server.mails] == [["bob@x.org"]]


def test_mail_is_retried_after_a_temporary_refusal(daemon, server, clock, sent_invitation):
    server.refuse = "451 greylisted"
    send_mails(daemon)
    server.refuse = None
    clock.advance(minutes=5)
    send_mails(daemon)
    assert len(server.mails) == 1


def test_permanent_refusal_of_a_recipient_is_shown_and_not_retried(
    ask, daemon, server, clock, sent_invitation
):
    server.refuse = "550 no such user"
    send_mails(daemon)
    clock.advance(hours=1)
    assert send_mails(daemon) == 0
    assert "550 no such user" in ask("GET", sent_invitation["id"]).json()["mail_problem"]
    server.refuse = None
    assert ask("POST", f"{sent_invitation['id']}/resend").status_code == 200
    send_mails(daemon)
    assert ask("GET", sent_invitation["id"]).json()["mail_problem"] is None
    assert len(server.mails) == 1


@pytest.mark.parametrize("reply", ["550 5.7.1 Relaying denied", "554 5.7.1 Client host rejected"])
def test_refusal_of_the_sender_is_shown_and_retried(
    ask, daemon, server, clock, sent_invitation, reply
):
    server.refuse = reply
    for _ in range(3):
        assert send_mails(daemon) == 1
        clock.advance(minutes=5)
    invitation = ask("GET", sent_invitation["id"]).json()
    assert (invitation["mail_problem"], invitation["mailed_at"]) == (
        f"it is tried again: {reply}",
        None,
    )
    events = [f.event for f in daemon.db.events_after(0) if f.event.startswith("invitation_")]
    assert events == ["invitation_sent", "invitation_delayed"], "one event for each reason"
    server.refuse = None
    send_mails(daemon)
    invitation = ask("GET", sent_invitation["id"]).json()
    assert (invitation["mail_problem"], bool(invitation["mailed_at"])) == (None, True)
    assert len(server.mails) == 1


def test_refusals_that_differ_only_in_numbers_are_recorded_once(
    ask, daemon, server, clock, sent_invitation
):
    """Many servers count down seconds or number each try, and the retries last a week."""
    for seconds in (293, 140):
        server.refuse = f"451 4.7.1 wait {seconds} seconds id-{seconds}.gsmtp"
        send_mails(daemon)
        clock.advance(minutes=5)
    problem = ask("GET", sent_invitation["id"]).json()["mail_problem"]
    assert "wait 293 seconds" in problem
    server.refuse = "451 4.3.0 no space left"
    send_mails(daemon)
    problems = [
        f.data["problem"] for f in daemon.db.events_after(0) if f.event == "invitation_delayed"
    ]
    assert problems == [problem, "it is tried again: 451 4.3.0 no space left"]


def test_mail_problem_of_an_expired_or_revoked_invitation_promises_no_retry(
    ask, daemon, server, clock, sent_invitation
):
    server.refuse = "451 later"
    send_mails(daemon)
    clock.advance(days=8)
    send_mails(daemon)
    assert send_mails(daemon) == 0
    assert ask("GET", sent_invitation["id"]).json()["mail_problem"] == "451 later"
    ask("DELETE", sent_invitation["id"])
    assert ask("GET", sent_invitation["id"]).json()["mail_problem"] is None


def test_mail_of_a_revoked_invitation_is_not_sent(ask, daemon, server, sent_invitation):
    ask("DELETE", sent_invitation["id"])
    send_mails(daemon)
    assert server.mails == []


def test_resent_invitation_mail_has_a_new_id_and_token(ask, daemon, server, sent_invitation):
    ask("POST", f"{sent_invitation['id']}/resend")
    send_mails(daemon)
    [(_, _, mail)] = server.mails
    assert mail["Message-ID"] == f"<{sent_invitation['id']}.1@lab.org>"
    assert sent_invitation["token"] not in mail.as_string()


def test_mail_sent_again_after_a_crash_has_the_same_id_and_text(
    daemon, server, clock, sent_invitation, monkeypatch
):
    """The daemon dies after the server accepted the mail; mail programs show both as the same."""

    def died(*_):
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(daemon.mail_loop._work, "_record_sent", died)
        send_mails(daemon)
    clock.advance(minutes=10)
    send_mails(daemon)
    first, second = (mail for _, _, mail in server.mails)
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_body(["plain"]).get_content() == second.get_body(["plain"]).get_content()


class HtmlElements(HTMLParser):
    """The elements and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "onerror"}]


def test_user_text_in_a_mail_is_escaped_and_cannot_add_headers_or_links(http, ask, daemon, server):
    evil = '<img src=x onerror=alert(1)>"\'</p><a href="http://evil">'
    project = http("POST", "/api/v1/projects", json={"name": evil}).json()
    body = {
        "project_id": project["id"],
        "email": "bob@x.org",
        "message": f"{evil}\r\n.\r\nBcc: eve@x.org\x1b[31m",
        "invited_by": "Ada\r\nBcc: eve@x.org\r\n\r\nbody",
    }
    assert ask("POST", "send", **body).status_code == 201
    send_mails(daemon)
    [(_, to, mail)] = server.mails
    assert to == ["bob@x.org"]
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Ada  Bcc: eve@x.org    body invites you to <img")
    assert sorted(mail.keys()) == sorted(
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
        ]
    )
    seen = HtmlElements(mail.get_body(["html"]).get_content())
    assert seen.tags <= {"html", "body", "p", "pre", "br", "blockquote"}
    assert seen.links == []
    assert not_none(mail.get_body(["plain"])).get_content().count("invite accept") == 1


def test_mail_without_a_server_is_written_to_the_outbox_folder(make_daemon, tmp_path):
    daemon = make_daemon(home=str(tmp_path))
    http = Http(daemon.app)
    http("POST", "/api/v1/projects", json={"name": "Reef"})
    body = {"project_id": "Reef", "email": "bob@x.org"}
    sent = http("POST", "/api/v1/invitations/send", json=body).json()
    daemon.mail_loop.once()
    [file] = (tmp_path / "outbox").iterdir()
    assert file.name == f"{sent['id']}.0.eml"
    assert oct(file.stat().st_mode)[-3:] == "600"
    mail = email.message_from_bytes(file.read_bytes(), policy=default)
    assert sent["token"] in not_none(mail.get_body(["plain"])).get_content()
    invitation = http("GET", f"/api/v1/invitations/{sent['id']}").json()
    assert invitation["mailed_at"] is None, "a file is not a sent mail"
    assert (tmp_path / invitation["mail_file"]) == file
    [listed] = http("GET", "/api/v1/invitations/project/Reef").json()["invitations"]
    assert listed["mail_file"] == invitation["mail_file"]
    assert daemon.db.events_after(0)[-1].event == "invitation_written"
    again = http("POST", f"/api/v1/invitations/{sent['id']}/resend")
    assert again.status_code == 200
    assert http("GET", f"/api/v1/invitations/{sent['id']}").json()["mail_file"] is None


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
def test_smtp_password_is_sent_to_the_server_and_not_logged(make_daemon, tmp_path, caplog):
    logins = []

    def login(server, session, envelope, mechanism, data):
        logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right!pass")

    server = MailServer()
    server.start(authenticator=login, auth_required=True, auth_require_tls=False)
    try:
        url = f"smtp://bot:right%21pass@127.0.0.1:{server.port}"
        daemon = make_daemon(home=str(tmp_path), smtp_url=url)
        http = Http(daemon.app)
        http("POST", "/api/v1/projects", json={"name": "Reef"})
        body = {"project_id": "Reef", "email": "bob@x.org"}
        assert http("POST", "/api/v1/invitations/send", json=body).status_code == 201
        daemon.mail_loop.once()
    finally:
        server.stop()
    assert len(server.mails) == 1
    assert logins == [(b"bot", b"right!pass")]
    assert "right" not in caplog.text


@pytest.mark.parametrize("supports_smtputf8", [True, False], ids=["SMTPUTF8", "ASCII alone"])
@pytest.mark.parametrize(
    ("email", "to"),
    [
        ("jürgen@x.org", "jürgen@x.org"),
        ("bob@münchen.example", "bob@xn--mnchen-3ya.example"),
        ("jürgen@münchen.example", "jürgen@xn--mnchen-3ya.example"),
        ("用户@例子.example", "用户@xn--fsqu00a.example"),
    ],
)
def test_non_ascii_address_is_delivered_or_reported_as_undeliverable(
    ask, daemon, server, project_id, supports_smtputf8, email, to
):
    server.stop()
    server.start(enable_SMTPUTF8=supports_smtputf8)
    sent = ask("POST", "send", project_id=project_id, email=email).json()
    assert send_mails(daemon) == 1
    invitation = ask("GET", sent["id"]).json()
    assert invitation["email"] == email
    if supports_smtputf8 or to.isascii():
        [(_, tos, mail)] = server.mails
        assert tos == [to]
        assert str(mail["To"]) == to
        assert sent["token"] in not_none(mail.get_body(["plain"])).get_content()
        assert invitation["mailed_at"]
        assert invitation["mail_problem"] is None
    else:
        assert server.mails == []
        assert "SMTPUTF8" in invitation["mail_problem"]
        assert invitation["mailed_at"] is None
    assert send_mails(daemon) == 0, "it is not retried"


def test_mail_file_contains_non_ascii_addresses(ask, make_daemon, tmp_path, url):
    daemon = make_daemon(home=str(tmp_path), mail_from="prüfer@lab.org")
    ask = Http(daemon.app)
    project = ask("POST", "/api/v1/projects", json={"name": "Reef"}).json()["id"]
    body = {"project_id": project, "email": "jürgen@x.org"}
    assert ask("POST", "/api/v1/invitations/send", json=body).status_code == 201
    assert send_mails(daemon) == 1
    [file] = (tmp_path / "outbox").glob("*.eml")
    written = file.read_text("utf-8")
    assert "To: jürgen@x.org\n" in written
    assert "From: Prism <prüfer@lab.org>\n" in written
