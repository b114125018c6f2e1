"""`prism team setup`, and shared daemons behind Caddy and nginx as Debian has them."""

import hashlib
import json
import re
import shlex
import socket
import ssl
import time

import httpx
import pytest

from prism.cli.checks.outside import findings_at
from prism.kit.cookies import APP_COOKIE
from tests.conftest import free_port
from tests.connections.apps import (
    APPS,
    BOB,
    HOST,
    behind_proxy,
    names_resolve,
    shared_site,
)
from tests.needs import require
from tests.project.home import Home
from tests.project.tree import ROOT
from tests.tls import Authority

__all__ = ["names_resolve"]  # a fixture
ELSEWHERE = "127.0.0.2"  # the address of a client that is no proxy
UPLOAD_BYTES = 500 << 20


@pytest.fixture(scope="module", params=["caddy", "nginx"])
def proxied(request, tmp_path_factory, names_resolve):
    """A shared daemon behind a real proxy."""
    require(request.param)
    with shared_site(tmp_path_factory.mktemp("proxied"), proxy=request.param) as site:
        yield site


def levels(findings):
    return [(finding.level, finding.message) for finding in findings]


def test_everything_arrives_through_the_proxy(proxied, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(proxied.authority.file))
    assert levels(findings_at(proxied.base, APPS, time.time() - 30 * 86400)) == [
        ("ok", f"{proxied.base} leads to the daemon"),
        ("ok", f"*.{APPS} leads to apps"),
    ]
    tab = proxied.tab()
    tab.log_in(BOB)
    app = proxied.app("mine--bob")
    assert tab.visit(f"{app}/x//y?a=b&c=%20").json()["target"] == "/x//y?a=b&c=%20"
    assert APP_COOKIE in {cookie.name for cookie in tab.http.cookies.jar}
    with tab.socket("mine--bob") as echo:
        echo.send("hello")
        assert echo.recv(timeout=30) == "hello"
    digest, piece = hashlib.sha256(), b"0123456789abcdef" * 65536

    def pieces():
        for _ in range(UPLOAD_BYTES // len(piece)):
            digest.update(piece)
            yield piece

    answer = tab.fetch(f"{app}/upload", "POST", content=pieces())
    assert answer.json() == {"size": UPLOAD_BYTES, "sha256": digest.hexdigest()}
    with tab.http.stream("GET", f"{app}/events?count=1000000", headers={}) as ticks:
        assert next(ticks.iter_lines()).startswith("id: 0"), "nothing is held back"


def test_address_of_a_client_is_what_the_proxy_saw_and_not_what_the_client_says(proxied):
    context = ssl.create_default_context(cafile=str(proxied.authority.file))
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": f"mine--bob.{APPS}",
        "Forwarded": "for=203.0.113.9;proto=http;host=evil.example",
        "X-Real-IP": "203.0.113.9",
    }
    transport = httpx.HTTPTransport(verify=context, local_address=ELSEWHERE)
    with httpx.Client(transport=transport) as client:
        answer = client.post(
            f"{proxied.base}/api/v1/login",
            json={"link": proxied.link(BOB)},
            headers={"Origin": proxied.base, "Sec-Fetch-Site": "same-origin", **forged},
        )
    assert answer.status_code == 200, answer.text
    addresses = {session.address for session in proxied.home.client.sessions.list()}
    assert ELSEWHERE in addresses and "203.0.113.9" not in addresses
    port = json.loads((proxied.home.folder / "daemon.lock").read_text())["port"]
    local = httpx.HTTPTransport(local_address=ELSEWHERE)
    invented = {"Host": proxied.base.partition("//")[2], "X-Forwarded-Proto": "https"}
    with httpx.Client(transport=local) as stranger:
        refused = stranger.get(f"http://127.0.0.1:{port}/api/v1/login", headers=invented)
    assert refused.json()["error"]["code"] == "HTTPS_REQUIRED", "it is no listed proxy"


def test_check_names_the_first_thing_that_is_wrong(tmp_path, names_resolve, monkeypatch):
    require("nginx")
    authority, port, behind = Authority(tmp_path / "authority"), free_port(), free_port()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    url, now = f"https://{HOST}:{port}", time.time() - 30 * 86400

    def first(url=url, apps=APPS):
        return next(iter(findings_at(url, apps, now))).message

    assert first("https://prism.nowhere.invalid", "").startswith("DNS has no entry for")
    assert first().startswith(f"nothing answers at {HOST}")
    with behind_proxy("nginx", tmp_path / "one", authority.files(HOST), port, behind):
        assert f"the certificate is not valid for prism-check--doctor.{APPS}" in first()
        assert f"{HOST} does not lead to Prism: 502" in first(apps="")
        [soon, *_] = findings_at(url, "", time.time())
        assert soon.level == "warning" and "ends in" in soon.message


def test_setup_writes_what_is_missing_and_changes_nothing_again(tmp_path):
    home, authority = Home(tmp_path / "home"), Authority(tmp_path / "authority")
    cert, key = authority.files(HOST, f"*.{APPS}")
    public, port = free_port(), free_port()
    words = ["team", "setup", "--yes", "--no-boot", "--address", f"https://{HOST}:{public}"]
    words += ["--apps-domain", APPS, "--tls-cert", str(cert), "--tls-key", str(key)]
    environ = {"PRISM_PORT": str(port)}
    try:
        refused = home.cli(
            "team", "setup", "--yes", "--no-boot", "--address", "http://x", **environ
        )
        assert refused.returncode and "must begin with https://" in refused.stderr
        assert not (home.folder / "env").exists()
        done = home.cli(*words, "--proxy", "nginx", **environ)
        assert done.returncode == 0, done.stderr
        env = (home.folder / "env").read_text()
        assert f"PRISM_PUBLIC_URL=https://{HOST}:{public}\n" in env
        assert "PRISM_AUTH=tokens\n" in env and "PRISM_TRUSTED_PROXIES=127.0.0.1,::1\n" in env
        conf = (home.folder / "proxy" / "nginx.conf").read_text()
        assert f"server_name {HOST} *.{APPS};" in conf and f"127.0.0.1:{port};" in conf
        about = (home.folder / "daemon.lock").read_text()
        before = {path: path.stat().st_mtime_ns for path in home.folder.glob("*/nginx.conf")}
        again = home.cli(*words, "--proxy", "nginx", "--json", **environ)
        assert json.loads(again.stdout)["settings"] == {}
        assert (home.folder / "env").read_text() == env
        assert before == {path: path.stat().st_mtime_ns for path in before}
        assert (home.folder / "daemon.lock").read_text() == about, "the same daemon runs"
        own = home.cli(*words, "--proxy", "none", "--json", **environ)
        assert set(json.loads(own.stdout)["settings"]) == {
            "PRISM_TLS_CERT",
            "PRISM_TLS_KEY",
            "PRISM_HOST",
        }
        context = ssl.create_default_context(cafile=str(authority.file))
        with (
            socket.create_connection(("127.0.0.1", public)) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            tls.sendall(f"GET /api/v1/login HTTP/1.0\r\nHost: {HOST}:{public}\r\n\r\n".encode())
            assert b'"shared":true' in tls.makefile("rb").read()
        unknown = home.cli("team", "check")
        assert unknown.returncode and "DNS has no entry" in unknown.stdout
    finally:
        home.cli("daemon", "stop")
        home.clear()


def test_commands_of_the_page_are_those_that_work(tmp_path):
    """Each command of the page's first part, with the files and ports of this test."""
    text = (ROOT / "docs" / "team.md").read_text().partition("## Logging in")[0]
    [block] = re.findall(r"```sh\n(.*?)```", text, re.S)
    home, authority = Home(tmp_path / "home"), Authority(tmp_path / "authority")
    cert, key = authority.files("prism.example.org", "*.apps.example.org")
    try:
        for line in block.splitlines():
            program, *words = shlex.split(line)
            assert program == "prism"
            files = {"/etc/prism/cert.pem": str(cert), "/etc/prism/key.pem": str(key)}
            words = [files.get(word, word) for word in words]
            more = ["--no-boot"] if "setup" in words else []  # nothing stays on this computer
            done = home.cli(*words, *more, PRISM_PORT=str(free_port()))
            if words[:2] == ["team", "check"]:  # these names are nobody's
                assert done.returncode and "prism.example.org" in done.stdout
            else:
                assert done.returncode == 0, done.stderr
                assert done.stdout.startswith("sudo cp ") and "nginx" in done.stdout
    finally:
        home.cli("daemon", "stop")
        home.clear()
