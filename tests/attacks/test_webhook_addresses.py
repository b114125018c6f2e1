"""Webhooks cannot be used to reach what only the daemon can reach (SSRF)."""

import socket
import threading
from ipaddress import ip_address, ip_network

import pytest

from prism.notices.ports import WebhookFailed, WebhookRefused
from prism.providers.webhooks.guarded_http import GuardedTransport, is_public
from tests.notices.receivers import WebhookReceiver
from tests.tls import Authority

INNER = (
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
    *("::1", "::", "fe80::1", "fe80::1%2", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1"),
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo of 169.254.169.254
)
PUBLIC = ("93.184.215.14", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808")


@pytest.fixture
def receiver():
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_not_public(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", INNER)
def test_name_that_means_an_inner_address_is_never_connected_to(address, monkeypatch):
    def connect(*_, **__):
        raise AssertionError("it connects")

    monkeypatch.setattr(socket, "create_connection", connect)
    transport = GuardedTransport(resolve=lambda *_: [address])
    with pytest.raises(WebhookRefused):
        transport.post("https://innocent.example.org/", {}, b"")


def test_connection_is_made_to_the_address_that_was_checked(receiver):
    """The second look-up of a name that rebinds would mean another address: there is none."""
    lookups = []

    def resolve(host, port):
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["10.0.0.1"]

    allowed = [ip_network("127.0.0.0/8")]
    transport = GuardedTransport(allowed, resolve=resolve)
    transport.post(f"http://rebinding.example.org:{receiver.port}/", {}, b"{}")
    assert lookups == ["rebinding.example.org"]
    assert receiver.requests[0].headers["host"] == f"rebinding.example.org:{receiver.port}"


def test_name_that_means_an_inner_address_cannot_be_told_from_one_that_nobody_knows():
    """Else a person could list the names of the network of the daemon."""

    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def inner(*_):
        return ["10.1.2.3"]

    def both(*_):
        return ["10.1.2.3", "169.254.169.254"]

    answers = set()
    for resolve in (unknown, inner, both):
        with pytest.raises(WebhookRefused) as refused:
            GuardedTransport(resolve=resolve).post("https://git.inside.example.org/", {}, b"")
        problem = refused.value
        answers.add((problem.code, problem.message, problem.details, problem.remediation))
    assert len(answers) == 1


def test_of_several_addresses_only_allowed_ones_are_tried(receiver):
    allowed = [ip_network("127.0.0.1/32")]
    transport = GuardedTransport(allowed, resolve=lambda *_: ["169.254.169.254", "127.0.0.1"])
    transport.post(f"http://two.example.org:{receiver.port}/", {}, b"{}")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/latest/meta-data/",
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user:secret@example.org/",
        "https://user@example.org/",
        "https://example.org/#fragment",
        "https://example.org:99999/",
        "https:///path",
        "https://example.org/\r\nHost: other",
        "https://exa mple.org/",
        "https://[bad",
        "//example.org/",
        "https://\u0430pple.com/",
    ],
)
def test_addresses_that_can_never_be_used_are_refused_at_once(url):
    with pytest.raises(WebhookRefused):
        GuardedTransport().check(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
def test_other_spellings_of_loopback_are_refused_when_connecting(host):
    with pytest.raises((WebhookRefused, WebhookFailed)):
        GuardedTransport(timeout=5).post(f"https://{host}/", {}, b"")


def test_without_tls_only_allowed_networks_are_reached():
    transport = GuardedTransport([ip_network("10.0.0.0/8")], resolve=lambda *_: ["8.8.8.8"])
    with pytest.raises(WebhookRefused, match="without TLS"):
        transport.post("http://example.org/", {}, b"")


@pytest.mark.parametrize("behave", ["hang", "drip"])
def test_request_ends_in_time_however_slowly_somebody_answers(receiver, behave):
    receiver.behave = behave
    transport = GuardedTransport([ip_network("127.0.0.0/8")], timeout=0.5)
    with pytest.raises(WebhookFailed) as refused:
        transport.post(receiver.url, {}, b"{}")
    assert "did not answer in time" in refused.value.details
    assert "secret" not in refused.value.details


def test_handshake_that_drips_ends_in_time():
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x40\x00")  # a long record, of which little comes
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b"\x00")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        transport = GuardedTransport([ip_network("127.0.0.0/8")], timeout=0.5)
        with pytest.raises(WebhookFailed):
            transport.post(f"https://127.0.0.1:{server.getsockname()[1]}/", {}, b"{}")
        ended.set()
        thread.join()


def test_name_that_is_looked_up_for_ever_ends_in_time():
    ended = threading.Event()

    def resolve(*_):
        ended.wait()
        return ["8.8.8.8"]

    with pytest.raises(WebhookFailed, match="webhook"):
        GuardedTransport(resolve=resolve, timeout=0.2).post("https://example.org/", {}, b"")
    ended.set()


def test_certificate_that_is_not_trusted_is_refused(tmp_path):
    context = Authority(tmp_path).context("127.0.0.1")
    with WebhookReceiver(context) as receiver:
        transport = GuardedTransport([ip_network("127.0.0.0/8")])
        with pytest.raises(WebhookFailed) as refused:
            transport.post(f"https://127.0.0.1:{receiver.port}/", {}, b"{}")
        assert "certificate is not trusted" in refused.value.details
        assert receiver.requests == []
