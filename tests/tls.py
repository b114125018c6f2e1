"""A certificate authority, and a network that inspects TLS with it."""

import contextlib
import datetime
import http.server
import ssl
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.attacks.index import Index

DAY = datetime.timedelta(days=1)
SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """An authority that no program knows by itself; `file` is its certificate."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.file = folder, folder / "authority.pem"
        self._lock, self._contexts = threading.Lock(), dict[str, ssl.SSLContext]()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Inspection of an example network")
        certificate = self._signed(self._name, self._key.public_key(), ca=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str) -> ssl.SSLContext:
        """TLS for a server with a certificate for this host."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._context(host)
            return self._contexts[host]

    def _context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(host))
        return context

    def files(self, *hosts: str, name: str = "") -> tuple[Path, Path]:
        """New files of a certificate for these hosts, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_named(hosts[0]), key.public_key(), hosts=hosts)
        pem = self._folder / f"{name or hosts[0]}.pem"
        key_file = pem.with_suffix(".key")
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.unlink(missing_ok=True)
        key_file.touch(0o600)
        key_file.write_bytes(secret)
        return pem, key_file

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        hosts: Sequence[str] = (),
        ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        # Python 3.13 insists on what RFC 5280 demands.
        ours = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        parent = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours)
        builder = builder.add_extension(parent, critical=False)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        )
        if ca:
            builder = builder.add_extension(SIGNS, critical=True)
        if hosts:
            names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class InspectingProxy:
    """An HTTP proxy that answers TLS for every host itself, from a package index."""

    def __init__(self, authority: Authority, index: Index) -> None:
        self.hosts: list[str] = []
        proxy = self

        class Answers(http.server.BaseHTTPRequestHandler):
            """What comes by TLS."""

            protocol_version = "HTTP/1.1"

            def do_GET(self):
                index.answer(self)

            def do_HEAD(self):
                index.answer(self)

            def log_message(self, *_):
                """Be silent."""

        class Connections(http.server.BaseHTTPRequestHandler):
            """Answers `CONNECT`."""

            def do_CONNECT(self):
                host = self.path.partition(":")[0]
                proxy.hosts.append(host)
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                tls = authority.context(host)
                with (
                    contextlib.suppress(OSError),  # such as a client that refuses the certificate
                    tls.wrap_socket(self.connection, server_side=True) as connection,
                ):
                    Answers(connection, self.client_address, self.server)

            def log_message(self, *_):
                """Be silent."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Connections)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, for `HTTPS_PROXY`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def inspected_network(folder: Path) -> Iterator[tuple[Authority, Index, InspectingProxy]]:
    """An authority, a package index, and the proxy that leads to it with such certificates."""
    authority, index = Authority(folder), Index()
    proxy = InspectingProxy(authority, index)
    try:
        yield authority, index, proxy
    finally:
        proxy.close()
        index.close()
