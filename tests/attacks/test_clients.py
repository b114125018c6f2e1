"""Which daemons a client trusts, and what of their answers it prints on a terminal."""

import ast
import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from prism import cli
from prism import home as homes
from prism.cli.output.clean_output import CleanStream, cleaned, control, escaped
from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.trust import DaemonNotTrusted, check_server
from prism.client.transport.wire import Wire
from prism.daemon.listeners import SocketUnsafe, open_listeners
from tests.cli.conftest import (  # noqa: F401  fixtures
    begin_command,
    environ,
    prism,
    run_on_terminal,
)
from tests.cli.shown import workspace
from tests.client.conftest import home, server, wire  # noqa: F401  fixtures
from tests.client.scripted import Scripted, problem
from tests.kit.network.test_peer_credentials import as_another_user
from tests.optional import not_none
from tests.providers.local.test_life import python_for_all
from tests.waiting import eventually

HOSTILE = {
    "clear the screen": ("a\x1b[2Jb", "ab"),
    "colour": ("a\x1b[31;1mb\x1b[0m", "ab"),
    "conceal": ("a\x1b[8mb", "ab"),
    "set the title": ("a\x1b]0;title\x07b", "ab"),
    "a link": ("\x1b]8;;http://evil\x1b\\b", "b"),
    "copy into the clipboard": ("a\x1b]52;c;ZXZpbA==\x07b", "ab"),
    "a device control string": ("a\x1bP$q\x1b\\b", "ab"),
    "one byte that begins a sequence": ("a\x9b2Jb", "ab"),
    "a title without its end": ("a\x1b]0;b", "a\ufffd]0;b"),
    "escape alone": ("a\x1bcb", "a\ufffdcb"),
    "back to the start of the line": ("a\rb", "a\ufffdb"),
    "backspace": ("a\x08b", "a\ufffdb"),
    "bell": ("a\x07b", "a\ufffdb"),
    "NUL": ("a\0b", "a\ufffdb"),
    "delete": ("a\x7fb", "a\ufffdb"),
    "next line": ("a\x85b", "a\ufffdb"),
    "right to left": ("a\u202eb", "a\ufffdb"),
    "isolate": ("a\u2066b\u2069", "a\ufffdb\ufffd"),
    "mark": ("a\u200fb\u061c", "a\ufffdb\ufffd"),
    "line separator": ("a\u2028b", "a\ufffdb"),
    "a lone surrogate": ("a\ud800b", "a\ufffdb"),
    "invisible tags": ("a\U000e0041b", "a\ufffdb"),
    "harmless text": ("ä\tб\n\u200dو👩\u200d🔬", "ä\tб\n\u200dو👩\u200d🔬"),
}
ALL = "x" + "".join(text for name, (text, _) in HOSTILE.items() if name != "a lone surrogate")
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("kind", HOSTILE)
def test_output_is_cleaned_of_terminal_control_sequences(kind):
    text, clean = HOSTILE[kind]
    assert cleaned(text) == clean
    safe = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(safe) == text
    assert not BAD.search(safe)


def test_clean_stream_passes_only_its_own_control_sequences(tmp_path):
    with (tmp_path / "out").open("w+", encoding="utf-8", newline="") as file:
        stream: Any = CleanStream(file)
        red = control("\x1b[31m", stream)
        stream.write(f"{red}a\x1b[2J\r{red}")
        stream.write("\x00" + red[1:9] + "\x1b[2J\x00")  # a guess of a part of the marker
        stream.writelines(["b\x1b[2J\n"])
        assert control("\x1b[31m", file) == "\x1b[31m"
        stream.flush()
        file.seek(0)
        printed = file.read()
    assert printed.count("\x1b") == 2
    assert printed.startswith("\x1b[31ma\ufffd\x1b[31m")
    assert printed.endswith("b\n")


def with_hostile_strings(value):
    """The same answer, with control sequences in each string."""
    if isinstance(value, dict):
        return {name: with_hostile_strings(element) for name, element in value.items()}
    if isinstance(value, list):
        return [with_hostile_strings(element) for element in value]
    return value + ALL if isinstance(value, str) and not value.startswith("2026-") else value


COMMANDS: dict[tuple[str, ...], dict[str, Any]] = {
    ("list",): {"GET /instances": [workspace()]},
    ("list", "--json"): {"GET /instances": [workspace()]},
    ("profile", "list", "--json"): {"GET /profiles": [{"name": "x"}]},
    ("logs", "mine"): {"GET /logs/mine?type=console&tail=100": {"lines": ["x"]}},
    ("stop", "mine", "--no-wait"): {
        "POST /instances/mine/stop": {"name": "x", "previous_state": "running", "new_state": "x"},
        "GET /instances/mine": workspace(),
    },
    ("token", "revoke", "x"): {"DELETE /tokens/x": {"message": "x"}},
    ("invite", "revoke", "x"): {"DELETE /invitations/x": {"message": "x"}},
    ("member", "list", "x"): {
        "GET /projects/x/members": [
            {"email": "x", "role": "x", "join_date": "2026-01-01T00:00:00Z"}
        ]
    },
}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_prints_no_control_sequence_of_an_answer(prism, server, words):  # noqa: F811
    for line, answer in COMMANDS[words].items():
        server.on(line, with_hostile_strings(answer))
    done = prism(*words)
    printed = done.stdout + done.stderr
    assert "Traceback" not in printed
    assert "title" in printed or "]0;b" in printed or "ab" in printed, "it was shown"
    assert not BAD.search(printed)


def test_error_prints_no_control_sequence(prism, run_on_terminal, server):  # noqa: F811
    more = {"details": ALL, "remediation": ALL}
    server.on("GET /instances", problem(409, "CONFLICT", ALL, **more))
    assert not BAD.search(prism("list").stderr)
    screen = run_on_terminal("list")[1]
    assert screen.count("\x1b") == 4, "red, its end, cyan, its end"
    server.on("GET /instances", b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n\x1b[2Ja")
    assert not BAD.search(prism("list").stderr)
    assert not BAD.search(prism("list", "--state", "\x1b[2J").stderr)
    assert not BAD.search(prism("no\x1b[2Jthing").stderr)


def test_followed_logs_and_events_print_no_control_sequence(prism, begin_command, server):  # noqa: F811
    text = f"{ALL}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode()
    server.on("GET /logs/mine?type=console&tail=100&follow=true", head + text)
    for more in ((), ("--json",)):
        assert not BAD.search(prism("logs", "mine", "-f", *more).stdout)
    fact: dict[str, Any] = {
        "id": "evt_1",
        "event": "e",
        "at": None,
        "actor": ALL,
        "subject": ALL,
        "data": {},
    }
    event = f"id: 1\ndata: {json.dumps(fact)}\n\n".encode()
    server.on("GET /events", b"HTTP/1.1 200 OK\r\n\r\n" + event)
    for more in ((), ("--json",)):
        with begin_command("events", *more) as child:
            line = child.stdout.readline()
            assert line
            assert not BAD.search(line)
            child.kill()


def test_cli_writes_to_a_terminal_only_through_the_clean_streams():
    """Its source names no other way to a terminal."""
    past = {"__stdout__", "__stderr__", "buffer", "openpty", "ctermid"}
    for file in Path(cli.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text())
        named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not named & past, file.name
        assert "/dev/tty" not in words, file.name


# ------------------------------------------------------------------ trusted daemons


@pytest.fixture
def short_folder():
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        yield Path(folder)


@pytest.fixture
def deep_home(short_folder, tmp_path, monkeypatch):
    """A home whose path is too long for a socket, and a folder that all users share."""
    shared = short_folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(homes, "SHARED", str(shared))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(homes, "RUNTIME", str(short_folder / "run" / "user"))
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    return folder


def impostor_at(path):
    """A listener at that path that answers like a daemon and records the requests."""
    impostor = Scripted.on_path(path)
    impostor.on("GET /daemon/status", {"status": "healthy"})
    return impostor


def test_socket_of_a_long_home_is_in_the_users_runtime_folder(
    deep_home, short_folder, monkeypatch
):
    uid = os.getuid()
    shared = f"{homes.SHARED}/prism-{uid}/"
    assert homes.socket_of(str(deep_home)).startswith(shared)
    if uid == 0:
        (short_folder / "run").mkdir()
        assert homes.socket_of(str(deep_home)).startswith(f"{short_folder}/run/prism/")
    run = short_folder / "run" / "user" / str(uid)
    run.mkdir(parents=True)
    assert homes.socket_of(str(deep_home)).startswith(f"{run}/prism/")
    own = short_folder / "xdg"
    own.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
    assert homes.socket_of(str(deep_home)).startswith(f"{own}/prism/")
    for wrong in ("relative", str(short_folder / "none"), "", str(short_folder / ("y" * 90))):
        monkeypatch.setenv("XDG_RUNTIME_DIR", wrong)
        assert homes.socket_of(str(deep_home)).startswith(f"{run}/prism/")
    if uid == 0:  # a folder of another user, as `su` leaves it in the variable
        own.rename(short_folder / "theirs")
        os.chown(short_folder / "theirs", 65534, 65534)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder / "theirs"))
        assert homes.socket_of(str(deep_home)).startswith(f"{run}/prism/")


def test_client_finds_a_daemon_with_another_runtime_folder(deep_home, short_folder, monkeypatch):
    socket_path = Path(homes.socket_of(str(deep_home)))
    with contextlib.closing(open_listeners("localhost", 0, socket_path)):
        own = short_folder / "xdg"
        own.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
        assert homes.socket_of(str(deep_home)) != str(socket_path)
        assert DaemonAddress(str(deep_home)).socket == str(socket_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_daemon_starts_although_another_user_took_the_name_of_its_folder(deep_home, kind):
    taken = Path(homes.socket_of(str(deep_home))).parent
    if kind == "folder":
        taken.mkdir()
    elif kind == "file":
        taken.touch()
    else:
        taken.symlink_to("/")
    os.chown(taken, 65534, 65534, follow_symlinks=False)
    path = Path(homes.socket_of(str(deep_home)))
    assert path.parent.parent == taken.parent
    assert path.parent.name.startswith(f"{taken.name}-")
    assert Path(homes.socket_of(str(deep_home))) == path, "it is chosen once"
    with contextlib.closing(open_listeners("localhost", 0, path)):
        assert DaemonAddress(str(deep_home)).socket == str(path)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_client_sends_nothing_to_a_socket_in_a_folder_that_others_may_write(deep_home, mode):
    path = Path(homes.socket_of(str(deep_home)))
    path.parent.mkdir()
    impostor = impostor_at(path)
    path.parent.chmod(mode)
    try:
        with pytest.raises(DaemonNotTrusted, match="Others may write"):
            Wire(DaemonAddress(str(deep_home), token="secret")).ask("GET", "/daemon/status")
        assert impostor.asked == []
        with pytest.raises(SocketUnsafe, match="Others may write"):
            open_listeners("localhost", 0, path)
        path.parent.chmod(0o700)
        Wire(DaemonAddress(str(deep_home), token="secret")).ask("GET", "/daemon/status")
    finally:
        impostor.close()


def test_client_sends_nothing_to_a_socket_in_a_folder_of_another_user(deep_home, monkeypatch):
    path = Path(homes.socket_of(str(deep_home)))
    path.parent.mkdir()
    impostor = impostor_at(path)
    try:
        if os.geteuid() == 0:
            os.chown(path.parent, 65534, 65534)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(DaemonNotTrusted, match="is not yours"):
            Wire(DaemonAddress(str(deep_home), token="secret")).ask("GET", "/daemon/status")
        assert impostor.asked == []
    finally:
        impostor.close()


LISTEN = """
import os, socket, sys
door = socket.socket(fileno=int(sys.argv[1]))
door.listen()
print("ready", flush=True)
client, _ = door.accept()
print(client.recv(65536).decode(), flush=True)
"""


def test_client_sends_nothing_to_a_daemon_of_another_user(tmp_path, home, monkeypatch):  # noqa: F811
    """The kernel's peer credentials decide, not the owner of the file or its folder."""
    become, daemon = as_another_user()
    path = home / "prism.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        command = [
            *become,
            python_for_all("python3"),
            "-I",
            "-S",
            "-c",
            LISTEN,
            str(listener.fileno()),
        ]
        pipes: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "text": True,
            "pass_fds": [listener.fileno()],
        }
        with subprocess.Popen(command, **pipes) as impostor:
            assert not_none(impostor.stdout).readline() == "ready\n"
            if not become:  # the impostor runs as the same user, so the test changes the client
                monkeypatch.setattr("prism.client.transport.trust._trusted", lambda _: {daemon, 0})
                monkeypatch.setattr("prism.client.transport.wire.check_folder", lambda *_: None)
            with pytest.raises(DaemonNotTrusted, match="is not your daemon"):
                Wire(DaemonAddress(str(home), token="secret")).ask("GET", "/daemon/status")
            heard = impostor.communicate(timeout=120)[0]
    assert "secret" not in heard
    assert heard.strip() == ""


def test_client_trusts_a_daemon_of_its_own_user(tmp_path):
    first, other = socket.socketpair()
    with first, other:
        check_server(first, "path", str(tmp_path))


def test_socket_folder_is_accessible_to_its_user_only(deep_home):
    path = Path(homes.socket_of(str(deep_home)))
    listeners = open_listeners("localhost", 0, path)
    try:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        eventually(path.exists)
    finally:
        listeners.close()


def test_cost_export_is_unchanged_in_a_pipe_and_cleaned_on_a_terminal(
    prism,  # noqa: F811
    run_on_terminal,  # noqa: F811
    server,  # noqa: F811
):
    text = f"id,name\n1,{ALL.replace(chr(10), '')}\n".replace("\r", "").replace("\0", "")
    body = text.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    words = ("cost", "export")
    done = prism(*words)
    requests = [request for request in server.asked if request.path.startswith("/costs/export")]
    for request in requests:
        server.on(f"GET {request.path}", head + body)
    assert requests
    assert prism(*words).stdout == text, done.stderr
    assert not BAD.search(run_on_terminal(*words)[1].replace("\r", ""))


# ------------------------------------------------------------------ endless answers


def endless(begin, more):
    """Sends `begin`, then `more` until the connection is closed."""

    def send_endlessly(_, connection):
        connection.sendall(begin)
        while True:
            connection.sendall(more)

    return send_endlessly


OK = b"HTTP/1.1 200 X\r\n"
ENDLESS = {
    "headers": endless(OK, b"X: y\r\n" * 1000),
    "new headers": endless(OK, b"".join(b"X%d: y\r\n" % number for number in range(1000))),
    "a header": endless(OK + b"X: ", b"y" * 65536),
    "a status": endless(b"HTTP/1.1 2", b"0" * 65536),
    "a huge length": OK + b"Content-Length: 99999999999999\r\n\r\n",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "no length": endless(OK + b"\r\n", b"y" * 65536),
    "chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nyyyy\r\n" * 1000),
    "a huge chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
    "a negative chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "the size of a chunk": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "trailers": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_client_aborts_an_endless_or_invalid_answer(wire, server, kind, monkeypatch):  # noqa: F811
    monkeypatch.setattr("prism.client.transport.wire.MAX_ANSWER_BYTES", 1 << 20)
    server.on("GET /x", ENDLESS[kind])
    with pytest.raises(DaemonUnreachable):
        wire.ask("GET", "/x")
