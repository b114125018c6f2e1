"""SMTP with and without TLS, to a real server with its own certificate."""

import datetime
import socketserver
import ssl
import threading
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from prism.errors import Unavailable
from prism.invitations.ports import Undeliverable
from prism.providers.mail import smtp
from prism.providers.mail.smtp import MailServerAway, SmtpTransport
from tests.conftest import free_port

LETTER = EmailMessage()
LETTER["From"], LETTER["To"], LETTER["Subject"] = "a@x.org", "b@x.org", "s"
LETTER.set_content("hello")


class RecordingHandler:
    """Records whether each message came with TLS."""

    def __init__(self):
        self.secure = []

    async def handle_DATA(self, server, session, envelope):
        self.secure.append(
            session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None
        )
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost, signed by itself, and the contexts of both ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert", folder / "key")
    return server, ssl.create_default_context(cafile=folder / "cert")


@pytest.fixture
def serve():
    """Start a server; return the handler that records its messages, and its port."""
    running = []

    def start(**options):
        keeper, port = RecordingHandler(), free_port()
        controller = Controller(keeper, "localhost", port, server_hostname="mail", **options)
        controller.start()
        running.append(controller)
        return keeper, port

    yield start
    for controller in running:
        controller.stop()


def test_smtps_uses_tls_from_the_first_byte(serve, certificate):
    server, client = certificate
    keeper, port = serve(ssl_context=server)
    SmtpTransport(f"smtps://localhost:{port}", client).send(LETTER)
    assert keeper.secure == [True]


def test_starttls_is_used_where_it_is_offered(serve, certificate):
    server, client = certificate
    keeper, port = serve(tls_context=server, require_starttls=True)
    SmtpTransport(f"smtp://localhost:{port}", client).send(LETTER)
    assert keeper.secure == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_untrusted_certificate_prevents_delivery(serve, certificate, scheme):
    server, _ = certificate
    how = {"tls_context": server} if scheme == "smtp" else {"ssl_context": server}
    keeper, port = serve(**how)
    with pytest.raises(MailServerAway) as raised:
        SmtpTransport(f"{scheme}://bot:secret@localhost:{port}").send(LETTER)
    assert keeper.secure == []
    assert "certificate is not trusted" in raised.value.details
    assert "secret" not in f"{raised.value} {raised.value.details}"


def test_password_is_not_sent_without_tls(serve, monkeypatch):
    _, port = serve()
    monkeypatch.setattr(smtp, "_is_loopback", lambda host: False)
    with pytest.raises(MailServerAway, match="offers no TLS"):
        SmtpTransport(f"smtp://bot:secret@localhost:{port}").send(LETTER)


def test_unreachable_mail_server_raises_unavailable():
    with pytest.raises(Unavailable):
        SmtpTransport(f"smtp://127.0.0.1:{free_port()}").send(LETTER)


def test_wrong_password_raises_mail_server_away(answering_server):
    post, taken = answering_server({"AUTH": "535 wrong: secret"}, user="bot:secret@")
    with pytest.raises(MailServerAway) as raised:
        post.send(LETTER)
    assert "535" in raised.value.details
    assert "secret" not in raised.value.details
    assert taken == []


TEMPORARY_REFUSALS = [
    ("220", "554 no SMTP service here"),
    ("220", "421 too many of you"),
    ("MAIL", "553 5.1.8 sender address rejected: domain not found"),
    ("MAIL", "553 sorry, that sender is not allowed"),
    ("MAIL", "530 5.7.0 must issue a STARTTLS command first"),
    ("RCPT", "550 5.7.1 Unable to relay"),
    ("RCPT", "550 relaying denied"),
    ("RCPT", "550 5.7.23 SPF says you are not who you are"),
    ("RCPT", "553 that domain is not in my list of allowed rcpthosts (#5.7.1)"),
    ("RCPT", "550 5.1.8 <a@x.org>: Sender address rejected"),
    ("RCPT", "554 5.7.1 Client host [5.1.1.9] blocked"),
    ("RCPT", "550 blocked, see http://list.example.org"),
    ("RCPT", "452 4.2.2 mailbox full"),
    ("RCPT", "550 Authentication is required"),
    ("DATA", "530 5.7.0 Authentication required"),
    ("DATA", "530 must issue a STARTTLS command first"),
    ("DATA", "451 4.7.1 greylisted"),
    (".", "452 no space"),
]
PERMANENT_REFUSALS = [
    ("RCPT", "550 no such user"),
    ("RCPT", "550 5.1.1 User unknown in relay recipient table"),
    ("RCPT", "550 5.4.1 Recipient address rejected: Access denied"),
    ("RCPT", "551 user not local"),
    ("RCPT", "553 mailbox name not allowed"),
    ("RCPT", "554 5.1.2 bad destination system address"),
    (".", "554 5.6.0 message content rejected"),
    ("DATA", "554 no valid recipients"),
]


@pytest.mark.parametrize(("when", "reply"), TEMPORARY_REFUSALS)
def test_refusal_that_may_pass_raises_mail_server_away(answering_server, when, reply):
    post, taken = answering_server({when: reply})
    with pytest.raises(MailServerAway) as raised:
        post.send(LETTER)
    assert reply in raised.value.details
    assert taken == []


@pytest.mark.parametrize(("when", "reply"), PERMANENT_REFUSALS)
def test_refusal_of_the_address_or_the_message_raises_undeliverable(answering_server, when, reply):
    post, taken = answering_server({when: reply})
    with pytest.raises(Undeliverable) as raised:
        post.send(LETTER)
    assert raised.value.details == reply
    assert taken == []


def test_failed_quit_does_not_undo_delivery(answering_server):
    post, taken = answering_server({"QUIT": "500 who said that"})
    post.send(LETTER)
    assert len(taken) == 1


class AnsweringServer(socketserver.ThreadingTCPServer):
    """A mail server with these answers; `taken` lists the accepted messages."""

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers: dict[str, str] = answers
        self.taken: list[bytes] = []


class Answering(socketserver.StreamRequestHandler):
    """Sends the answers of its server."""

    server: AnsweringServer

    def handle(self):
        answers, taken = self.server.answers, self.server.taken
        self.say(answers.get("220", "220 mail"))
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            reply = answers.get(verb, {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 OK"))
            if verb == "EHLO" and verb not in answers:
                self.say("250-mail")
                reply = "250 AUTH PLAIN"
            self.say(reply)
            if verb == "DATA" and reply.startswith("354"):
                letter = b"".join(iter(self.rfile.readline, b".\r\n"))
                self.say(answers.get(".", "250 taken"))
                taken += [letter] if "." not in answers else []

    def say(self, line):
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def answering_server():
    """A server with these answers: a transport to it, and the messages that it accepted."""
    running = []

    def start(answers, user=""):
        server = AnsweringServer(answers)
        running.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return SmtpTransport(f"smtp://{user}127.0.0.1:{server.server_address[1]}"), server.taken

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
