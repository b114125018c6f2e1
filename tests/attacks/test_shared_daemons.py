"""A daemon for people with tokens never answers without one; one for one person has no proxy."""

import json

import httpx
import pytest

from prism.daemon.kept_access import AccessNotKept, access_changes, keep_access
from prism.settings import SettingInvalid, Settings
from tests.kit.test_gate import SITE, answering, gate, send_request
from tests.project.home import Home

LOCAL = {"host": "localhost:8947"}
SOCKET = ("prism.sock", None)
PROXY_HEADERS = [
    {"forwarded": "for=203.0.113.7"},
    {"Via": "1.1 proxy.example.org"},
    {"x-forwarded-for": "203.0.113.7"},
    {"X-Forwarded-Host": "lab.example.org"},
    {"x-forwarded-proto": ""},
    {"x-real-ip": "203.0.113.7"},
    {"cf-connecting-ip": "203.0.113.7"},
]


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def test_daemon_that_asks_for_tokens_does_so_again_after_an_automatic_start(home):
    with home.run_daemon(PRISM_AUTH="tokens", PRISM_PUBLIC_URL="https://lab.example.org"):
        pass
    with home.run_daemon():  # as `prism list` starts it in a shell without these variables
        port = json.loads((home.folder / "daemon.lock").read_text())["port"]
        hosts = {f"localhost:{port}": 401, "lab.example.org": 401, "evil.example": 421}
        for host, status in hosts.items():
            address = f"http://127.0.0.1:{port}/api/v1/instances"
            assert httpx.get(address, headers={"host": host}).status_code == status, host
        socket = httpx.HTTPTransport(uds=str(home.folder / "prism.sock"))
        with httpx.Client(transport=socket) as at:
            assert at.get("http://localhost/api/v1/instances").status_code == 200, "the operator"
            assert at.get("http://lab.example.org/api/v1/instances").status_code == 421
            proxied = at.get("http://localhost/api/v1/instances", headers={"via": "1.1 proxy"})
            assert proxied.status_code == 401, "a proxy is not the operator"
    refused = home.cli("daemon", "start", PRISM_AUTH="local")
    assert refused.returncode != 0
    assert "people with tokens share this home's daemon" in refused.stderr


def test_environment_cannot_take_back_what_the_home_says_about_tokens(tmp_path):
    (tmp_path / "env").write_text("PRISM_AUTH=tokens\n")
    environ = {"PRISM_HOME": str(tmp_path)}
    assert Settings.load(environ).auth == "tokens"
    assert Settings.load({**environ, "PRISM_AUTH": ""}).auth == "tokens"
    with pytest.raises(SettingInvalid, match="people with tokens share"):
        Settings.load({**environ, "PRISM_AUTH": "local"})
    (tmp_path / "env").unlink()
    (tmp_path / "env").symlink_to(tmp_path / "not-mounted" / "env")
    with pytest.raises(FileNotFoundError):  # not: "there is no file, so nobody needs a token"
        Settings.load(environ)


def test_daemon_that_cannot_keep_its_mode_does_not_start(tmp_path):
    keep_access(Settings(home=str(tmp_path / "none")))  # local mode is the default
    assert not (tmp_path / "none").exists()
    (tmp_path / "home").write_text("not a folder")
    with pytest.raises(AccessNotKept):
        keep_access(Settings(home=str(tmp_path / "home"), auth="tokens"))


def test_home_keeps_what_differs_from_its_file():
    team = Settings(auth="tokens", host="0.0.0.0", public_url="https://lab.example.org")
    lines = {
        "PRISM_AUTH": "tokens",
        "PRISM_HOST": "0.0.0.0",
        "PRISM_PUBLIC_URL": "https://lab.example.org",
    }
    assert access_changes(team, {}) == lines
    assert access_changes(team, lines) == {}
    assert access_changes(Settings(auth="tokens"), lines) == {
        "PRISM_HOST": "127.0.0.1",
        "PRISM_PUBLIC_URL": "",
    }
    assert access_changes(Settings(), lines) == {}


@pytest.mark.parametrize("headers", PROXY_HEADERS, ids=lambda headers: next(iter(headers)))
def test_daemon_of_one_person_refuses_what_a_proxy_passes_on(headers):
    at = gate(content=answering(name="content"))
    for host in ("localhost:8947", SITE):
        for kind in ("http", "websocket"):
            [start, *_] = send_request({"host": host} | headers, kind, at=at)
            assert start.get("status", 403) == 403, start
            assert start["type"] != "websocket.accept"
    assert send_request(LOCAL | headers, at=at, server=SOCKET)[0]["status"] == 403
    team = gate(team=True)
    assert send_request(LOCAL | headers, at=team)[0]["status"] == 200, "it needs a token there"


def test_proxy_at_the_operators_socket_makes_nobody_an_operator():
    team = gate(team=True, hosts=["lab.example.org"])
    for host in ("lab.example.org", "evil.example:8947", "localhost.evil.example"):
        assert send_request({"host": host}, at=team, server=SOCKET)[0]["status"] == 421
    for host in ("localhost", "localhost:8947", "127.0.0.1:1", "[::1]", "[::1]:8947", ""):
        assert send_request({"host": host}, at=team, server=SOCKET)[0]["status"] == 200
