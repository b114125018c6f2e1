"""Terminals: WebSockets that the daemon connects to a real SSH server with a PTY."""

import asyncio
import json
import socket
import threading
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from prism.connections.terminal import Size
from prism.connections.terminal_sessions import ShellSessions
from prism.kit.clock import WallClock
from prism.kit.network.http_protocol import http_protocol
from prism.kit.network.websocket_upgrade import WebSockets
from prism.workspaces.ports import Access
from tests.conftest import free_port
from tests.doubles.memory import MemoryCompute
from tests.optional import not_none
from tests.waiting import eventually


class ReachableCompute(MemoryCompute):
    """A cloud whose machines have the SSH server of the test."""

    ways = None

    def access(self, id):
        super().access(id)
        return self.ways


class SshServer:
    """An SSH server for one key, with shells on terminals."""

    def __init__(self, folder):
        self.key = folder / "key"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(self.key)
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.sizes = []
        self.port = free_port()

    async def listen(self):
        allowed = asyncssh.import_authorized_keys(
            asyncssh.read_private_key(self.key).export_public_key().decode()
        )
        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host_key],
            authorized_client_keys=allowed,
            process_factory=self.shell,
            encoding=None,
        )

    async def shell(self, process):
        """A small shell that echoes its input and records the size of its terminal."""
        self.sizes.append(process.term_size[:2])
        process.stdout.write(b"ready\r\n")
        while True:
            try:
                typed = await process.stdin.read(65536)
            except asyncssh.TerminalSizeChanged as changed:
                self.sizes.append((changed.width, changed.height))
                continue
            if not typed:
                return
            if typed.startswith(b"exit"):
                process.exit(int(typed.split()[1]))
                return
            if typed.startswith(b"flood"):
                for _ in range(500):
                    process.stdout.write(b"x" * 10_000)
                    await process.stdout.drain()
                process.stdout.write(b"done")
                continue
            process.stdout.write(typed)

    @property
    def access(self):
        """The answer of a provider about SSH to this server."""
        host_key = self.host_key.export_public_key().decode().strip()
        return Access(
            host="127.0.0.1",
            user="ada",
            ssh_port=self.port,
            ssh_key=str(self.key),
            ssh_host_key=host_key,
        )


@pytest.fixture
def cloud(clock):
    return ReachableCompute(clock)


@pytest.fixture
def shells(tmp_path):
    shells = SshServer(tmp_path)
    started, loop = threading.Event(), asyncio.new_event_loop()

    async def serve():
        async with await shells.listen():
            started.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(120)
    yield shells
    loop.call_soon_threadsafe(stop.set)
    thread.join(120)
    loop.close()


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def terminal_url(daemon, http, cloud, clock, shells):
    """Where the daemon's terminal of the running workspace `mine` is."""
    assert http.launch().status_code == 201
    for _ in range(5):
        clock.advance(seconds=timedelta(minutes=1).total_seconds())
        daemon.settle()
    assert http.state() == "running"
    cloud.ways = shells.access
    with serving(daemon.app, daemon.shells) as port:
        yield f"ws://127.0.0.1:{port}/ssh-proxy/mine"


@contextmanager
def serving(app, shells):
    """The application behind real sockets, with the host header of the usual port."""
    port = free_port()

    async def renamed(scope, receive, send):
        if scope["type"] == "lifespan":
            async with shells.open():
                for stage in ("startup", "shutdown"):
                    await receive()
                    await send({"type": f"lifespan.{stage}.complete"})
            return
        scope["headers"] = [
            (k, b"localhost:8947" if k == b"host" else v) for k, v in scope["headers"]
        ]
        await app(scope, receive, send)

    config = uvicorn.Config(
        renamed,
        port=port,
        log_config=None,
        http=http_protocol(None, WallClock()),
        ws=WebSockets,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(120)


@contextmanager
def opened(at, **more):
    with connect(at, proxy=None, **more) as connection:
        read_until(connection, b"ready\r\n")
        yield connection


def read_until(connection, end):
    """The output up to these bytes."""
    output = b""
    while end not in output:
        output += connection.recv(timeout=120)
    return output


def test_terminal_passes_input_and_resizes(terminal_url, shells):
    with opened(f"{terminal_url}?cols=100&rows=30") as connection:
        connection.send(b"echo \xff\x00\n")
        assert read_until(connection, b"\n") == b"echo \xff\x00\n"
        connection.send(json.dumps({"type": "resize", "cols": 132, "rows": 50}))
        eventually(lambda: shells.sizes == [(100, 30), (132, 50)])


@pytest.mark.parametrize("status", [0, 3])
def test_terminal_reports_the_exit_status(terminal_url, status):
    with opened(terminal_url) as connection:
        connection.send(f"exit {status}\n".encode())
        assert json.loads(connection.recv(timeout=120)) == {"type": "exit", "status": status}
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=120)
    assert not_none(closed.value.rcvd).code == 1000


def test_terminal_delivers_large_output_completely(terminal_url):
    with opened(terminal_url, max_size=None) as connection:
        connection.send(b"flood\n")
        assert len(read_until(connection, b"done")) == 5_000_000 + 4


@pytest.mark.parametrize(
    "message",
    [
        *("{}x", '{"type":"paint"}', '{"type":"resize","cols":0,"rows":1}'),
        *[pytest.param(control, marks=pytest.mark.slow) for control in ("", "[]", '{"cols":1e9}')],
    ],
)
def test_invalid_control_message_closes_the_terminal(terminal_url, message):
    with opened(terminal_url) as connection:
        connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            read_until(connection, b"never")
    assert not_none(closed.value.rcvd).code == 1007


def refusal(at):
    with pytest.raises(InvalidStatus) as refused, connect(at, proxy=None):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body)["error"]["code"]


def test_terminal_is_refused_without_the_known_host_key_port_or_key(terminal_url, cloud, shells):
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known = shells.access
    for ways in (
        dict(ssh_host_key=stranger.strip()),
        dict(ssh_host_key=None),
        dict(ssh_host_key="nonsense"),
        dict(ssh_port=None),
        dict(ssh_port=free_port()),
        dict(ssh_key="/nowhere"),
    ):
        fields = {name: getattr(known, name) for name in Access.__struct_fields__}
        cloud.ways = Access(**(fields | ways))
        assert refusal(terminal_url) == (503, "SSH_UNREACHABLE"), ways


def test_terminal_is_refused_before_the_handshake(terminal_url, http):
    assert refusal(terminal_url.replace("mine", "nobody")) == (404, "INSTANCE_NOT_FOUND")
    assert refusal(f"{terminal_url}?cols=0") == (422, "VALIDATION_FAILED")
    assert refusal(f"{terminal_url}?rows=many") == (422, "VALIDATION_FAILED")
    http.post("mine", "stop")
    assert refusal(terminal_url) == (409, "INVALID_STATE")


def test_disconnect_without_a_session_ends_the_shell(terminal_url, shells):
    with opened(terminal_url) as connection:
        assert established(shells.port) == 1
        connection.socket.shutdown(socket.SHUT_RDWR)  # without a word
        eventually(lambda: established(shells.port) == 0)


SESSION = "a1b2c3d4e5f6a7b8"


def first_message(connection):
    """The first message of the daemon to a browser with a session."""
    message = json.loads(connection.recv(timeout=120))
    assert message.pop("type") == "attached"
    return message


def test_session_is_resumed_with_its_last_output(terminal_url, shells):
    path = f"{terminal_url}?session={SESSION}"
    with connect(path, proxy=None) as connection:
        assert first_message(connection)["resumed"] is False
        read_until(connection, b"ready\r\n")
        connection.send(b"kept\n")
        read_until(connection, b"kept\n")
        connection.socket.shutdown(socket.SHUT_RDWR)  # without a word
    with connect(f"{path}&cols=99&rows=33", proxy=None) as again:
        assert first_message(again) == {"resumed": True, "replay": len(b"ready\r\nkept\n")}
        assert read_until(again, b"kept\n") == b"ready\r\nkept\n"
        again.send(b"more\n")
        assert read_until(again, b"more\n") == b"more\n"
        assert established(shells.port) == 1
        eventually(lambda: (99, 33) in shells.sizes)
        again.send(b"exit 3")
        assert json.loads(again.recv(timeout=120)) == {"type": "exit", "status": 3}
    with connect(path, proxy=None) as new:  # an ended session is not resumed
        assert first_message(new) == {"resumed": False, "replay": 0}
        new.send(b"exit 0")


def test_replayed_output_of_a_session_is_bounded_and_contains_its_end(terminal_url, shells):
    path = f"{terminal_url}?session={SESSION}"
    with connect(path, proxy=None) as connection:
        first_message(connection)
        read_until(connection, b"ready\r\n")
        connection.send(b"flood")  # 5 MB that are not read
        read_until(connection, b"x")
    with connect(path, proxy=None) as again:
        message = first_message(again)
        output = read_until(again, b"done")
        assert message["resumed"] is True
        assert message["replay"] <= 300_000
        assert len(output) <= len(b"ready\r\ndone") + 5_000_000, "no output is repeated"
        again.send(b"exit 0")


def test_newer_browser_replaces_the_older_one_of_a_session(terminal_url):
    path = f"{terminal_url}?session={SESSION}"
    with connect(path, proxy=None) as older:
        first_message(older)
        read_until(older, b"ready\r\n")
        with connect(path, proxy=None) as newer:
            assert first_message(newer)["resumed"] is True
            assert json.loads(older.recv(timeout=120)) == {"type": "replaced"}
            with pytest.raises(ConnectionClosed):
                older.recv(timeout=120)
            read_until(newer, b"ready\r\n")
            newer.send(b"exit 0")


@pytest.mark.parametrize("session", ["short", "a" * 65, "a1b2c3d4e5f6a7b-", ""])
def test_invalid_session_name_is_refused(terminal_url, session):
    assert refusal(f"{terminal_url}?session={session}") == (422, "VALIDATION_FAILED")


class Connection:
    """The connection and the shell of a session, without output or end."""

    def __init__(self, ended, name):
        self.ended, self.name, self.stdout = ended, name, self

    async def read(self, _):
        await asyncio.Event().wait()

    def change_terminal_size(self, cols, rows):
        pass

    def abort(self):
        self.ended.put_nowait(self.name)


async def visit(sessions, ended, name):
    """Open a session as a browser that disconnects at once."""

    async def opens():
        connection = Connection(ended, name)
        return connection, connection

    async def receive():
        return {"type": "websocket.disconnect"}

    async def send(_):
        pass

    await sessions.serve(("ada", "mine", name), opens, receive, send, Size())


def test_oldest_detached_shell_ends_at_the_limit_and_all_at_shutdown():
    async def leave():
        ended, sessions = asyncio.Queue[str](), ShellSessions(seconds=3600, most=2)
        async with sessions.open():
            for name in ("first", "second", "third"):
                await visit(sessions, ended, name)
            assert ended.qsize() == 1
        assert [await ended.get() for _ in range(3)] == ["first", "second", "third"]

    asyncio.run(leave())


def test_detached_shell_ends_after_the_time_limit():
    async def leave():
        ended, sessions = asyncio.Queue[str](), ShellSessions(seconds=0)
        await visit(sessions, ended, "soon")
        assert await asyncio.wait_for(ended.get(), 30) == "soon"

    asyncio.run(leave())


def established(port):
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_terminal_opens_a_shell_in_a_real_workspace(served_daemon):
    """From WebSocket frames through the daemon and SSH to a shell in a workspace."""
    at = f"ws://127.0.0.1:{served_daemon.port}/ssh-proxy/bare?cols=101&rows=33"
    with connect(at, proxy=None) as connection:
        connection.send(b"stty size; echo $((6 * 7)) in $HOME\n")
        output = read_until(connection, b"42 in ")
        assert b"33 101" in output
        connection.send(json.dumps({"type": "resize", "cols": 80, "rows": 24}))
        connection.send(b"stty size; exit 7\n")
        output = b""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                message = connection.recv(timeout=120)
                if isinstance(message, str):
                    assert json.loads(message) == {"type": "exit", "status": 7}
                else:
                    output += message
        assert b"24 80" in output
        assert not_none(closed.value.rcvd).code == 1000
