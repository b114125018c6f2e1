"""The daemon speaks TLS itself, and takes new certificates without an outage."""

import json
import os
import socket
import ssl
from contextlib import closing, suppress

import httpx
import pytest
from websockets.sync.client import connect

from prism.daemon.server_certificate import CertificateInvalid, ServerCertificate
from tests.conftest import free_port
from tests.optional import not_none
from tests.project.home import Home
from tests.tls import Authority
from tests.waiting import eventually

HOST = "prism.test"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def handshake(certificate, client):
    """The certificate that a client gets."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = certificate.context.wrap_bio(incoming, outgoing, server_side=True)
        to_server, to_client = incoming, outgoing
        inbox, outbox = ssl.MemoryBIO(), ssl.MemoryBIO()
        browser = client.wrap_bio(inbox, outbox, server_hostname=HOST)
        for _ in range(10):
            for side in (browser, server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                to_server.write(outbox.read())
                inbox.write(to_client.read())
        return browser.getpeercert(binary_form=True), browser.version()


def test_new_files_are_used_and_bad_ones_change_nothing(authority):
    cert, key = authority.files(HOST)
    certificate = ServerCertificate(cert, key)
    client = ssl.create_default_context(cafile=str(authority.file))
    client.set_alpn_protocols(["http/1.1"])
    first, version = handshake(certificate, client)
    assert version == "TLSv1.3"
    certificate.refresh()
    assert handshake(certificate, client)[0] == first
    authority.files(HOST)
    certificate.refresh()
    second, _ = handshake(certificate, client)
    assert second != first
    good = key.read_bytes()
    _, foreign = authority.files("other.test")
    for bad in (b"", b"not a key", foreign.read_bytes()):
        key.write_bytes(bad)
        certificate.refresh()
        assert handshake(certificate, client)[0] == second
        [trouble] = certificate.troubles()
        assert "goes on with the former certificate" in trouble
    key.write_bytes(good)
    os.utime(key, (1, 1))
    certificate.refresh()
    assert certificate.troubles() == []
    assert handshake(certificate, client)[0] == second


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644])
def test_key_that_others_can_use_or_replace_is_refused(authority, mode):
    cert, key = authority.files(HOST)
    certificate = ServerCertificate(cert, key)
    key.chmod(mode)
    with pytest.raises(CertificateInvalid) as raised:
        ServerCertificate(cert, key)
    assert f"{mode:04o}" in raised.value.details
    assert raised.value.remediation.startswith("`chmod 600 ")
    os.utime(key, (1, 1))
    certificate.refresh()
    assert len(certificate.troubles()) == 1, "also if it is there later"
    key.chmod(0o640)
    ServerCertificate(cert, key)


def test_key_of_another_user_is_refused(authority, monkeypatch):
    cert, key = authority.files(HOST)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if key.stat().st_uid == 0:
        os.chown(key, 4712, -1)
    with pytest.raises(CertificateInvalid, match="not safe"):
        ServerCertificate(cert, key)


@pytest.fixture
def secure_home(tmp_path, authority):
    """A shared daemon that speaks TLS, and the port of that."""
    home, port = Home(tmp_path / "home"), free_port()
    cert, key = authority.files(HOST)
    settings = {
        "PRISM_AUTH": "tokens",
        "PRISM_HOST": "0.0.0.0",
        "PRISM_PUBLIC_URL": f"https://{HOST}:{port}",
        "PRISM_TLS_CERT": str(cert),
        "PRISM_TLS_KEY": str(key),
    }
    try:
        with home.run_daemon(**settings):
            yield home, port
    finally:
        home.clear()


def get(authority, port, path, address="127.0.0.1", scheme="https", **headers):
    """An answer at the public address."""
    context = ssl.create_default_context(cafile=str(authority.file))
    with httpx.Client(verify=context) as client:
        return client.get(
            f"{scheme}://{address}:{port}{path}",
            headers={"Host": f"{HOST}:{port}", **headers},
            extensions={"sni_hostname": HOST},
        )


def test_daemon_speaks_tls_to_others_and_plain_http_to_this_computer_only(secure_home, authority):
    home, port = secure_home
    ways = get(authority, port, "/api/v1/login").json()
    assert ways["problem"] is None
    token = home.client.tokens.create("laptop").token
    assert get(authority, port, "/api/v1/me", Authorization=f"Bearer {token}").status_code == 200
    context = ssl.create_default_context(cafile=str(authority.file))
    with connect(
        f"wss://{HOST}:{port}/api/v1/ws",
        sock=socket.create_connection(("127.0.0.1", port)),
        ssl=context,
        additional_headers={"Authorization": f"Bearer {token}"},
    ) as events:
        home.client.tokens.create("phone")
        assert "phone" in str(events.recv(timeout=30))
    plain = home.client.daemon.status()
    assert plain.status in {"healthy", "degraded"}
    http_port = json.loads((home.folder / "daemon.lock").read_text())["port"]
    addresses = {
        str(a[4][0]) for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    for address in addresses - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, http_port), timeout=5)


def test_public_address_without_tls_is_refused_and_a_browser_is_led_on(secure_home, authority):
    home, port = secure_home
    http_port = json.loads((home.folder / "daemon.lock").read_text())["port"]
    host = {"Host": f"{HOST}:{port}"}
    refused = httpx.get(f"http://127.0.0.1:{http_port}/api/v1/login", headers=host)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "HTTPS_REQUIRED")
    forged = {**host, "X-Forwarded-Proto": "https", "Forwarded": "proto=https"}
    refused = httpx.get(f"http://127.0.0.1:{http_port}/api/v1/login", headers=forged)
    assert refused.json()["error"]["code"] == "HTTPS_REQUIRED"
    visit = {**host, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    led = httpx.get(f"http://127.0.0.1:{http_port}/workspaces?a=b", headers=visit)
    assert led.headers["location"] == f"https://{HOST}:{port}/workspaces?a=b"


def test_running_daemon_takes_a_new_certificate(secure_home, authority):
    home, port = secure_home

    def serial():
        context = ssl.create_default_context(cafile=str(authority.file))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            return not_none(tls.getpeercert())["serialNumber"]

    before = serial()
    authority.files(HOST)
    eventually(lambda: serial() != before, 30)
    (authority.file.parent / f"{HOST}.key").write_text("broken")
    eventually(lambda: "goes on with the former" in str(home.client.daemon.status()), 30)
    assert serial()
