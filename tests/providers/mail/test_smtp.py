"""SMTP with and without TLS, against a real server with a certificate of its own."""

import datetime
import ssl
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
from prism.providers.mail.smtp import MailServerAway, SmtpPost
from tests.conftest import free_port

LETTER = EmailMessage()
LETTER["From"], LETTER["To"], LETTER["Subject"] = "a@x.org", "b@x.org", "s"
LETTER.set_content("hello")


class Keeper:
    """Keeps how each letter came: with TLS or without."""

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
    made = (
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
    (folder / "cert").write_bytes(made.public_bytes(serialization.Encoding.PEM))
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
    """Start a server; the keeper of its letters, and its port."""
    running = []

    def start(**options):
        keeper, port = Keeper(), free_port()
        controller = Controller(keeper, "localhost", port, server_hostname="mail", **options)
        controller.start()
        running.append(controller)
        return keeper, port

    yield start
    for controller in running:
        controller.stop()


def test_smtps_is_tls_from_the_first_byte(serve, certificate):
    server, client = certificate
    keeper, port = serve(ssl_context=server)
    SmtpPost(f"smtps://localhost:{port}", client).send(LETTER)
    assert keeper.secure == [True]


def test_tls_is_taken_where_it_is_offered(serve, certificate):
    server, client = certificate
    keeper, port = serve(tls_context=server, require_starttls=True)
    SmtpPost(f"smtp://localhost:{port}", client).send(LETTER)
    assert keeper.secure == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_nobody_vouches_for_gets_no_mail(serve, certificate, scheme):
    server, _ = certificate
    how = {"tls_context": server} if scheme == "smtp" else {"ssl_context": server}
    keeper, port = serve(**how)
    with pytest.raises(MailServerAway) as raised:
        SmtpPost(f"{scheme}://bot:secret@localhost:{port}").send(LETTER)
    assert keeper.secure == []
    assert "secret" not in f"{raised.value} {raised.value.details}"


def test_a_password_never_travels_in_the_clear(serve, monkeypatch):
    _, port = serve()
    monkeypatch.setattr(smtp, "_here", lambda host: False)
    with pytest.raises(MailServerAway, match="offers no TLS"):
        SmtpPost(f"smtp://bot:secret@localhost:{port}").send(LETTER)


def test_nobody_there_is_a_reason_to_try_again():
    with pytest.raises(Unavailable):
        SmtpPost(f"smtp://127.0.0.1:{free_port()}").send(LETTER)


def test_whose_password_is_wrong_may_try_again_with_the_right_one():
    assert isinstance(smtp._refused(535, b"wrong: secret"), Unavailable)
    assert smtp._refused(535, b"wrong: secret").details == "535"
    assert isinstance(smtp._refused(550, b"no such user"), Undeliverable)
