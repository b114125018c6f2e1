"""`prism login`, `prism logout` and `prism whoami` with a real daemon, and who may answer them."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from prism.cli.output.time_format import local_time
from prism.cli.parser import UsageError
from prism.cli.people.login import checked_session, computer_name, daemon_url, is_this_computer
from prism.cli.people.loopback import LoopbackReceiver, code_of, is_of_this_user
from prism.client.transport.logins import LOGINS_FILE, NotLoggedIn
from tests.conftest import free_port
from tests.needs import skip_outside_ci
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually

BOB = "bob@example.org"
STATE = "s" * 43
NOBODY = 65534


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("prism.example.org", "https://prism.example.org"),
        ("https://Prism.example.org/", "https://prism.example.org"),
        ("https://prism.example.org:8443", "https://prism.example.org:8443"),
        ("http://localhost:8947", "http://localhost:8947"),
        ("http://[::1]:8947", "http://[::1]:8947"),
    ],
)
def test_url_of_a_daemon_is_stored_in_one_form(typed, url):
    assert daemon_url(typed) == url


@pytest.mark.parametrize(
    "typed",
    [
        "http://prism.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "https://ada:secret@prism.example.org",
        "https://prism.example.org/login",
        "https://prism.example.org?x",
        "ftp://prism.example.org",
        "https://",
        "https://a\nb",
    ],
)
def test_other_addresses_are_refused(typed):
    with pytest.raises(UsageError):
        daemon_url(typed)


def test_only_this_computer_is_reached_without_a_network():
    assert is_this_computer("prism--x.localhost")
    assert not is_this_computer("localhost.evil.example")


def test_name_of_the_computer_fits_the_request(monkeypatch):
    for name, sent in (
        ("laptop.lan", "laptop.lan"),
        ("Ada's Mac", "Ada-s-Mac"),
        ("…", "computer"),
    ):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        assert computer_name() == sent


@pytest.mark.parametrize("token", ["", "x", "prism_tok_1.x", "prism_ses_1.short", "a\r\nHost: x"])
def test_token_in_another_form_is_not_stored(token):
    answer = {"token": token, "user": "a", "session": "s", "expires_at": "z"}
    with pytest.raises(NotLoggedIn):
        checked_session(answer)


@pytest.mark.parametrize(
    "line",
    [
        f"GET /?code=c&state={'x' * 43} HTTP/1.1",
        "GET /?code=c HTTP/1.1",
        f"GET /?code=c&state={STATE}&state={STATE} HTTP/1.1",
        f"GET /?code=c&code=d&state={STATE} HTTP/1.1",
        f"POST /?code=c&state={STATE} HTTP/1.1",
        "GET /favicon.ico HTTP/1.1",
        "",
        "\x16\x03\x01",
    ],
)
def test_request_without_the_state_is_no_answer(line):
    assert code_of(line, STATE) == ""
    assert code_of(f"GET /?code=c&state={STATE} HTTP/1.1", STATE) == "c"


def test_receiver_waits_for_the_right_answer():
    with LoopbackReceiver(STATE) as receiver:
        received = []
        thread = threading.Thread(target=lambda: received.append(receiver.code(60)))
        thread.start()
        base = f"http://127.0.0.1:{receiver.port}/"
        assert httpx.get(base, params={"code": "evil", "state": "x" * 43}).status_code == 404
        answer = httpx.get(base, params={"code": "good", "state": STATE})
        thread.join(60)
    assert received == ["good"]
    assert "good" not in answer.text and "frame-ancestors 'none'" in str(answer.headers)
    with LoopbackReceiver(STATE) as receiver, pytest.raises(NotLoggedIn, match="not logged in"):
        receiver.code(0.01)


def test_answer_of_another_user_of_this_computer_is_not_read():
    """He may know the state, which stands in the browser's arguments, but not our sockets."""
    if os.geteuid() != 0:
        skip_outside_ci("root: another user has to exist")
    answer = f"GET /?code=evil&state={STATE} HTTP/1.1\r\n\r\n"
    program = (
        "import os, socket, sys\n"
        f"os.setuid({NOBODY})\n"
        "to = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        f"to.sendall({answer.encode()!r})\n"
        "sys.stdout.write(repr(to.recv(10)))\n"
    )
    with LoopbackReceiver(STATE) as receiver:
        received = []
        thread = threading.Thread(target=lambda: received.append(receiver.code(60)))
        thread.start()
        command = [sys.executable, "-c", program, str(receiver.port)]
        subprocess.run(command, check=False, capture_output=True, timeout=60)
        assert received == []
        httpx.get(f"http://127.0.0.1:{receiver.port}/", params={"code": "good", "state": STATE})
        thread.join(60)
    assert received == ["good"]


def test_connection_without_an_owner_is_not_taken_for_ours():
    assert not is_of_this_user(("127.0.0.1", 1), ("127.0.0.1", 2))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A shared daemon, and the home of another computer that is logged in nowhere."""
    server = Home(tmp_path_factory.mktemp("lab") / "server")
    laptop = Home(server.folder.parent / "laptop")
    try:
        with server.run_daemon(PRISM_AUTH="tokens", PRISM_PORT=str(free_port())):
            server.client.projects.create("reef")
            server.client.members.add("reef", BOB)
            yield server, laptop
    finally:
        server.clear()
        laptop.clear()


class PersonInBrowser:
    """A person who is logged in with a browser, by the requests that its pages make."""

    def __init__(self, server):
        lock = json.loads((server.folder / "daemon.lock").read_text())
        self.gui, self.port = lock["gui"], lock["port"]
        self.url = f"http://localhost:{self.port}"
        secret = server.client.sessions.create_link(BOB).url.partition("#")[2]
        self.cookie = ""
        answer = self.post("login", {"link": secret})
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def post(self, path, body):
        host = self.gui.removeprefix("http://")
        headers = {"Host": host, "Origin": self.gui, "Cookie": self.cookie}
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        answer = httpx.post(address, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer


def log_in_by_code(laptop, person):
    """Run `prism login --device`, and enter its code in the browser; what the command spoken."""
    with laptop.run_command("login", person.url, "--device", "--json") as command:
        spoken = command.stderr.readline() + command.stderr.readline()
        code = not_none(re.search(r"enter this code: (\S+)", spoken))[1]
        person.post("login/device/answer", {"user_code": code, "allow": True})
        output, rest = command.communicate(timeout=120)
    assert command.returncode == 0, rest
    assert f"{person.url}/login/device" in spoken
    return output + spoken + rest


def terminal_sessions(server):
    """The ids of the sessions of command lines."""
    return {each.id for each in server.client.sessions.list() if each.method == "terminal"}


def test_person_logs_in_by_code_and_every_command_uses_it(lab):
    server, laptop = lab
    person = PersonInBrowser(server)
    assert "logged in nowhere" in laptop.cli("login").stderr
    before = terminal_sessions(server)  # of other tests
    spoken = log_in_by_code(laptop, person)
    assert len(terminal_sessions(server) - before) == 1
    file = laptop.folder / LOGINS_FILE
    token = not_none(re.search(r"prism_ses_\S+?(?=\")", file.read_text()))[0]
    assert token not in spoken and file.stat().st_mode & 0o777 == 0o600
    me = laptop.cli_json("whoami")
    assert (me["user"], me["daemon"]) == (BOB, person.url)
    [reef] = laptop.cli_json("project", "list")
    assert reef["name"] == "reef" and me["until"] == {}
    end = datetime(2030, 3, 31, 23, 59, tzinfo=UTC)
    server.client.members.change("reef", BOB, until=end)
    printed = laptop.cli("whoami").stdout
    assert f"member of reef until {local_time(end.isoformat())}" in printed
    server.client.members.change("reef", BOB, until=None)
    [row] = laptop.cli_json("login")
    assert (row["daemon"], row["user"], row["current"]) == (person.url, BOB, True)
    again = laptop.cli("login", person.url)
    assert again.returncode == 0 and BOB in again.stdout, "it is logged in already"
    listed = {each.browser for each in server.client.sessions.list()}
    assert f"prism on {computer_name()}" in listed
    done = laptop.cli("logout")
    assert done.returncode == 0, done.stderr
    assert terminal_sessions(server) <= before
    assert token not in file.read_text()
    for log in (server.folder / "log", server.folder / "daemon.log"):
        assert not log.exists() or token not in log.read_text()


def test_ended_login_says_how_to_log_in_again(lab):
    server, laptop = lab
    person = PersonInBrowser(server)
    log_in_by_code(laptop, person)
    server.client.sessions.end_all(BOB)
    done = laptop.cli("list")
    assert done.returncode == 1
    assert "Your login has ended" in done.stderr and "prism login URL" in done.stderr
    assert laptop.cli("logout").returncode == 0, "what has ended is removed"
    assert laptop.cli_json("login") == []


def test_local_and_forget(lab):
    server, laptop = lab
    person = PersonInBrowser(server)
    log_in_by_code(laptop, person)
    assert "this computer" in laptop.cli_json("login", "--local")["message"]
    [row] = laptop.cli_json("login")
    assert row["current"] is False
    done = laptop.cli("logout")
    assert done.returncode == 1 and "prism logout URL" in done.stderr
    dead = f"http://localhost:{free_port()}"
    file = laptop.folder / LOGINS_FILE
    file.write_text(file.read_text().replace(person.url, dead))
    refused = laptop.cli("logout", dead)
    assert refused.returncode == 1 and "--forget" in refused.stderr
    assert laptop.cli("logout", dead, "--forget").returncode == 0
    assert laptop.cli_json("login") == []


def test_denied_login_ends_with_1_and_stores_nothing(lab):
    server, laptop = lab
    person = PersonInBrowser(server)
    with laptop.run_command("login", person.url, "--device") as command:
        spoken = command.stderr.readline()
        code = not_none(re.search(r"enter this code: (\S+)", spoken))[1]
        person.post("login/device/answer", {"user_code": code, "allow": False})
        _, rest = command.communicate(timeout=120)
    assert command.returncode == 1 and "denied in the browser" in rest
    assert laptop.cli_json("login") == []


def test_browser_of_this_computer_brings_the_code(lab, tmp_path):
    """`BROWSER` is a program that writes down the address that it should open."""
    server, laptop = lab
    person = PersonInBrowser(server)
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.new; mv {opened}.new {opened}\n')
    browser.chmod(0o700)
    laptop = laptop.at(laptop.folder)
    laptop.environ = {
        name: value for name, value in laptop.environ.items() if name != "SSH_CONNECTION"
    } | {"BROWSER": str(browser)}
    with laptop.run_command("login", person.url, "--json") as command:
        eventually(opened.exists, 60)
        address = urlsplit(opened.read_text().strip())
        assert address.path == "/login/terminal"
        fields = {name: values[0] for name, values in parse_qs(address.query).items()}
        body = fields | {"port": int(fields["port"])}
        url = person.post("login/terminal", body).json()["url"]
        assert "close this page" in httpx.get(url).text
        output, rest = command.communicate(timeout=120)
    assert command.returncode == 0, rest
    assert BOB in output
    assert laptop.cli_json("whoami")["user"] == BOB
    code = parse_qs(urlsplit(url).query)["code"][0]
    assert code not in (server.folder / "log").read_text()
    assert laptop.cli("logout").returncode == 0


def test_login_of_a_daemon_for_one_person_is_refused(tmp_path):
    home = Home(tmp_path / "home")
    port = str(free_port())
    try:
        with home.run_daemon(PRISM_PORT=port):
            done = home.cli("login", f"http://localhost:{port}", "--device")
        assert done.returncode == 1 and "needs no login" in done.stderr
    finally:
        home.clear()


def test_squatter_on_the_daemons_port_learns_nothing_of_a_login(tmp_path):
    """Another user listens there while the daemon is down: no code and no verifier reach him."""
    if os.geteuid() != 0:
        skip_outside_ci("root: another user has to exist")
    program = (
        "import os, socket, sys\n"
        f"os.setuid({NOBODY})\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "connection, _ = listener.accept()\n"
        "print(repr(connection.recv(1000)), flush=True)\n"
    )
    home = Home(tmp_path / "home")
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as squatter:
        port = not_none(squatter.stdout).readline().strip()
        done = home.cli("login", f"http://localhost:{port}", "--device")
        heard = not_none(squatter.stdout).readline()
        squatter.kill()
    assert done.returncode == 1 and "may not be your daemon" in done.stderr
    assert heard.strip() == "b''"
