"""`prismd` as a real process: start, sockets, log and end."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from prism import __version__
from prism.client.transport.address import DaemonAddress
from prism.daemon import main as prismd
from prism.daemon.listeners import PortTaken
from prism.daemon.main import AlreadyRunning, only_one
from prism.home import default_port, port_file
from prism.kit.clock import StoppedClock
from prism.settings import Settings
from tests.daemons import BIN, DAEMON, started
from tests.providers.local.test_life import python_for_all
from tests.waiting import eventually


class Daemon:
    """A `prismd` in a home of its own."""

    def __init__(self, home):
        self.home = home
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
        ours = {"PRISM_HOME": str(home), "PRISM_PORT": "0", "PRISM_USER": "ada@example.org"}
        self.environ = inherited | ours | {"AWS_CONFIG_FILE": str(home / "none")}

    @contextlib.contextmanager
    def running(self, *words, program=DAEMON, **environ):
        folder = self.home.parent
        process = started([*program, *words], self.environ | environ, folder / "log", folder)
        try:
            eventually(lambda: '"ready"' in self.log or process.poll() is not None)
            assert process.poll() is None, self.log
            yield process
        finally:
            process.terminate()
            process.wait(120)

    def run(self, *words, **environ):
        """Run a `prismd` that ends by itself; return its log and exit code."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            code = started([*DAEMON, *words], self.environ | environ, log).wait(20)
            return CompletedProcess(words, code, stderr=log.read_text())

    @property
    def log(self):
        return (self.home.parent / "log").read_text()

    @property
    def about(self):
        """The contents of the lock file."""
        return json.loads((self.home / "daemon.lock").read_text())

    def ask(self, method, path, headers=None, host="127.0.0.1"):
        connection = http.client.HTTPConnection(host, self.about["port"], timeout=120)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture
def daemon(tmp_path):
    return Daemon(tmp_path / "home")


def test_daemon_writes_private_files_and_ends_on_sigterm(daemon):
    with daemon.running(program=("/usr/bin/env", *DAEMON)) as process:  # no fork
        about = daemon.about
        assert about["pid"] == process.pid
        assert about["version"] == __version__
        assert about["url"] == f"http://localhost:{about['port']}"
        for file in ("prism.sock", "state.db", "daemon.lock"):
            assert oct((daemon.home / file).stat().st_mode)[-3:] == "600", file
        assert oct(daemon.home.stat().st_mode)[-3:] == "700"
        assert daemon.ask("GET", "/api/v1/instances") == (200, b"[]")
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert not (daemon.home / "prism.sock").exists()
    assert (daemon.home / "daemon.lock").read_text() == ""
    for line in daemon.log.splitlines():
        assert {"at", "level", "logger", "message"} <= set(json.loads(line)), line


def test_shutdown_route_ends_the_process(daemon):
    with daemon.running() as process:
        status, body = daemon.ask("POST", "/api/v1/daemon/shutdown")
        assert (status, json.loads(body)["shutdown_timeout"]) == (200, 30)
        assert process.wait(120) == 0


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGTERM,
        *[pytest.param(how, marks=pytest.mark.slow) for how in (signal.SIGINT, "shutdown")],
    ],
)
def test_event_streams_end_when_the_daemon_stops(daemon, how):
    with daemon.running() as process:
        stream = http.client.HTTPConnection("127.0.0.1", daemon.about["port"], timeout=120)
        stream.request("GET", "/api/v1/events")
        answer = stream.getresponse()
        assert answer.readline() == b"retry: 1000\n"
        if how == "shutdown":
            daemon.ask("POST", "/api/v1/daemon/shutdown")
        else:
            process.send_signal(how)
        assert b"id: evt_" in answer.read(), "the stream ends"
        stream.close()
        assert process.wait(120) == 0


def test_date_header_follows_the_clock():
    clock = StoppedClock(datetime(1970, 1, 1, tzinfo=UTC))
    state = prismd._ServerState(clock)
    assert state.default_headers == [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
    clock.advance(seconds=61.9)
    assert state.default_headers == [(b"date", b"Thu, 01 Jan 1970 00:01:01 GMT")]


def test_answer_of_a_running_daemon_has_the_present_date(daemon):
    with daemon.running():
        began = datetime.now(UTC).replace(microsecond=0)
        connection = http.client.HTTPConnection("127.0.0.1", daemon.about["port"], timeout=120)
        with contextlib.closing(connection):
            connection.request("GET", "/api/v1/daemon/status")
            date = parsedate_to_datetime(connection.getresponse().headers["date"])
        assert began <= date <= datetime.now(UTC)


def test_request_in_progress_is_completed_after_sigterm(daemon):
    with daemon.running() as process:
        slow = socket.create_connection(("127.0.0.1", port := daemon.about["port"]))
        body = b'{"template": "x", "name": "y"}'
        slow.sendall(
            b"POST /api/v1/instances/launch HTTP/1.1\r\nHost: localhost:%d\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (port, len(body))
        )
        slow.sendall(body[:5])
        eventually(lambda: daemon.ask("GET", "/api/v1/instances")[0] == 200)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: connection_refused(port))
        slow.sendall(body[5:])
        slow.settimeout(120)
        assert slow.recv(12) == b"HTTP/1.1 404"
        slow.close()
        assert process.wait(120) == 0


def connection_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_second_daemon_exits_and_names_the_running_one(daemon):
    with daemon.running() as process:
        again = daemon.run()
        assert again.returncode == 1
        error, hint = again.stderr.splitlines()
        assert error.startswith(
            f"error: A daemon already runs in {daemon.home} (pid {process.pid}"
        )
        assert f"http://localhost:{daemon.about['port']}" in error
        assert hint == "hint: Use it, or end it with `prism daemon stop`"
        assert daemon.ask("GET", "/api/v1/instances") == (200, b"[]")
        assert (daemon.home / "prism.sock").exists()


def test_daemon_starts_after_a_killed_one(daemon):
    with daemon.running() as process:
        process.kill()
        process.wait(120)
        assert (daemon.home / "prism.sock").exists()
        (daemon.home.parent / "log").unlink()
        with daemon.running():
            assert daemon.ask("GET", "/api/v1/instances") == (200, b"[]")


def test_daemon_exits_if_the_port_is_in_use(daemon):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for run in (daemon.run("--port", port), daemon.run(PRISM_PORT=port)):
            assert run.returncode == 1
            error, hint = run.stderr.splitlines()
            assert error == f"error: Port {port} is taken (another program listens on 127.0.0.1)"
            assert hint.startswith("hint: ")
    assert not (daemon.home / "prism.sock").exists()


def listening_below_the_ephemeral_ports():
    """A listener on a port that the system gives to no other program, nor are its neighbours."""
    while True:
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", random.randrange(10_000, 30_000)))


@pytest.fixture
def taken_port(daemon):
    """A port that another program listens on, which is the usual one of the daemon's home."""
    with listening_below_the_ephemeral_ports() as other:
        number = other.getsockname()[1]
        daemon.home.mkdir(mode=0o700, exist_ok=True)
        Path(port_file(str(daemon.home))).write_text(f"{number}\n")
        yield number


def test_second_daemon_takes_a_free_port_and_keeps_to_it(daemon, taken_port):
    with daemon.running(PRISM_PORT=""):
        first = daemon.about["port"]
        assert first != taken_port
        assert f"port {taken_port} is taken; this home now uses {first}" in daemon.log
        address = DaemonAddress.read({"PRISM_HOME": str(daemon.home)})
        assert address.page == f"http://localhost:{first}"
        assert daemon.ask("GET", "/api/v1/instances") == (200, b"[]")
    (daemon.home.parent / "log").unlink()
    with daemon.running(PRISM_PORT=""):
        assert daemon.about["port"] == first
        assert "is taken" not in daemon.log


def test_chosen_port_never_moves_and_is_not_kept(daemon, taken_port):
    for run in (daemon.run("--port", str(taken_port)), daemon.run(PRISM_PORT=str(taken_port))):
        assert (run.returncode, f"Port {taken_port} is taken" in run.stderr) == (1, True)
    (daemon.home / "env").write_text(f"PRISM_PORT={taken_port}\n")
    assert f"Port {taken_port} is taken" in daemon.run(PRISM_PORT="").stderr
    with daemon.running("--port", "0"):
        assert default_port(str(daemon.home)) == str(taken_port)


def test_port_that_a_public_address_leads_to_never_moves(daemon, taken_port):
    public = Settings(
        home=str(daemon.home),
        port=taken_port,
        auth="tokens",
        public_url="https://prism.example.org",
    )
    with pytest.raises(PortTaken):
        prismd._listen(public, has_port=False)


@pytest.mark.parametrize(
    ("words", "environ", "says"),
    [
        (["--host", "0.0.0.0"], {}, "PRISM_AUTH=tokens and PRISM_PUBLIC_URL"),
        (
            ["--host", "0.0.0.0"],
            {"PRISM_AUTH": "tokens"},
            "PRISM_AUTH=tokens and PRISM_PUBLIC_URL",
        ),
        ([], {"PRISM_HOST": "192.0.2.1"}, "PRISM_AUTH=tokens and PRISM_PUBLIC_URL"),
        (["--port", "x"], {}, "PRISM_PORT"),
    ],
)
def test_daemon_exits_with_invalid_settings(daemon, words, environ, says):
    run = daemon.run(*words, **environ)
    assert run.returncode == 1
    assert run.stderr.startswith("error: ")
    assert "\nhint: " in run.stderr
    assert says in run.stderr
    assert "Traceback" not in run.stderr


def test_daemon_on_an_external_address_requires_a_token(daemon):
    ours = {"PRISM_AUTH": "tokens", "PRISM_PUBLIC_URL": "https://prism.example.org"}
    with daemon.running("--host", "0.0.0.0", **ours):
        for host, token, status in (
            ("prism.example.org", "", 401),
            ("prism.example.org", "Bearer prism_tok_0.x", 401),
            ("evil.example.org", "", 421),
        ):
            headers = {"Host": host} | ({"Authorization": token} if token else {})
            assert daemon.ask("GET", "/api/v1/projects", headers)[0] == status
        command = [str(BIN / "prism"), "token", "create", "first", "--scope", "admin"]
        process = subprocess.run(command, env=daemon.environ, capture_output=True, text=True)
        token_headers = {
            "Authorization": f"Bearer {process.stdout.strip()}",
            "Host": "prism.example.org",
        }
        assert daemon.ask("GET", "/api/v1/projects", token_headers) == (200, b"[]")
        assert process.stdout.strip() not in daemon.log


def test_daemon_exits_if_the_home_is_a_file(daemon):
    daemon.home.write_text("a file")
    run = daemon.run()
    assert run.returncode == 1
    assert run.stderr.startswith(f"error: Cannot use {daemon.home} (File exists)\nhint: ")


def test_daemon_exits_if_postgresql_does_not_answer(daemon):
    run = daemon.run(PRISM_DATABASE_URL="postgresql://ada:secret@127.0.0.1:1/prism")
    assert run.returncode == 1
    assert "error: The database does not answer. (" in run.stderr
    assert "secret" not in run.stderr
    assert "Traceback" not in run.stderr


def test_version_option_prints_the_version():
    run = subprocess.run([*DAEMON, "--version"], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, f"prismd {__version__}\n")


def test_host_and_port_options_are_used(daemon):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with daemon.running("--host", "localhost", "--port", str(port)):
        assert daemon.about["port"] == port


def status_of_raw_request(port, request):
    """The status of the answer to exactly these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        client.sendall(request)
        return client.recv(4096).partition(b"\r\n")[0].split()[1]


def test_gate_checks_host_and_origin_on_real_sockets(daemon):
    with daemon.running():
        port = daemon.about["port"]
        own = b"localhost:%d" % port
        upgrade = (
            b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        )
        ws, sse, list_ = b"/api/v1/ws", b"/api/v1/events", b"/api/v1/instances"
        evil = b"Origin: https://evil.example\r\n"
        mine = b"Origin: http://localhost:%d\r\n" % port
        gui = daemon.about["gui"].removeprefix("http://").encode()
        of_gui = b"Origin: http://%s\r\n" % gui
        for path, lines, status in [
            (list_, b"", b"400"),
            (list_, b"Host: %s\r\nHost: evil.example\r\n" % own, b"400"),
            (list_, b"Host: evil.example:%d\r\n" % port, b"421"),
            (list_, b"Host: 2130706433:%d\r\n" % port, b"421"),
            (list_, b"Host: mine.localhost:%d\r\n" % port, b"404"),
            (list_, b"Host: %s\r\n" % own + evil, b"403"),
            (list_, b"Host: %s\r\n" % own, b"200"),
            (list_, b"Host: %s\r\n" % own + mine, b"403"),  # browsers use the GUI's origin
            (list_, b"Host: %s\r\n" % gui + of_gui, b"200"),
            (list_, b"Host: %s\r\n" % gui + mine, b"403"),
            (list_, b"Host: prism--x.localhost:%d\r\n" % port, b"421"),
            (sse, b"Host: %s\r\n" % own + evil, b"403"),
            (sse, b"Host: evil.example:%d\r\n" % port, b"421"),
            (sse, b"Host: %s\r\n" % gui + of_gui, b"200"),
            (ws, b"Host: %s\r\n" % own + upgrade + evil, b"403"),
            (ws, b"Host: %s\r\nHost: x\r\n" % own + upgrade, b"400"),
            (ws, b"Host: evil.example:%d\r\n" % port + upgrade, b"421"),
            (ws, b"Host: %s\r\n" % own + upgrade + mine, b"403"),
            (ws, b"Host: %s\r\n" % gui + upgrade + of_gui, b"101"),
            (ws, b"Host: %s\r\n" % own + upgrade, b"101"),
        ]:
            request = b"GET " + path + b" HTTP/1.1\r\n" + lines + b"\r\n"
            assert status_of_raw_request(port, request) == status, request
        for garbage in (b"\x00\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            assert status_of_raw_request(port, garbage) == b"400"
        assert '"level": "error"' not in daemon.log


def test_connection_closed_before_accept_is_refused(daemon):
    """Even for the same user: the kernel no longer knows the owner of a closed connection."""
    with daemon.running() as process:
        process.send_signal(signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", daemon.about["port"])) as client:
            client.sendall(b"POST /api/v1/daemon/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n")
        process.send_signal(signal.SIGCONT)
        eventually(lambda: "refused a connection of" in daemon.log)
        assert daemon.ask("GET", "/api/v1/instances")[0] == 200


def test_connection_of_another_user_is_refused(daemon):
    """Only root can run a client as another user; for other users see `test_peer`."""
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    client = "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', int(sys.argv[1]))"
    ask = "c.request('GET', '/api/v1/instances'); a = c.getresponse(); print(a.status, a.read())"
    command = [python_for_all("python3"), "-I", "-S", "-c", f"{client}; {ask}"]
    with daemon.running():
        port = str(daemon.about["port"])
        mine = subprocess.run([*command, port], capture_output=True, text=True, timeout=120)
        assert mine.stdout == "200 b'[]'\n"
        if os.geteuid() == 0:
            theirs = [*prefix, *command, port]
            run = subprocess.run(theirs, capture_output=True, text=True, timeout=120)
            assert run.stdout.startswith("403 ")
            assert "PEER_REJECTED" in run.stdout


def test_home_lock_is_exclusive(tmp_path):
    with only_one(tmp_path):
        with pytest.raises(AlreadyRunning) as second, only_one(tmp_path):
            pass
        assert f"pid {os.getpid()}, still starting" in second.value.details
        (tmp_path / "daemon.lock").write_text("garbage")
        with pytest.raises(AlreadyRunning, match="already runs"), only_one(tmp_path):
            pass
    with only_one(tmp_path):
        assert json.loads((tmp_path / "daemon.lock").read_text())["pid"] == os.getpid()
