"""Each thing that can be wrong, made wrong: a broken world, what is said of it, and the fix."""

import fcntl
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from prism import __version__
from prism.cli.checks import aws, folder, machine, rounds, sandbox, service, variables
from prism.cli.checks.context import CheckContext, ok, parse_date, run_check
from prism.cli.checks.rounds import AROUND, EVERYWHERE, HERE
from prism.cli.checks.trials import ProgramResult, start_trials
from prism.client.address import DaemonAddress
from prism.client.daemon import Daemon
from prism.client.errors import DaemonUnreachable
from prism.client.profiles import Profiles
from prism.client.templates import Templates
from prism.client.workspaces import Workspaces

STATUS = {"status": "healthy", "version": __version__, "uptime": "5s", "places": []}
ID = "local-0123456789abcdef0"


@pytest.fixture
def world(home):
    """A sound world, with whatever is wrong in it."""
    os.chmod(home, 0o700)

    def make(port="0", url="", **more):
        context = CheckContext(
            place=DaemonAddress(str(home), url, port=port),
            environ={},
            platform="linux",
            which=lambda name: f"/usr/bin/{name}",
            run=lambda *argv: ProgramResult(0, "fine 1.0"),
            trial=lambda check: ProgramResult(0, "fine 1.0"),
        )
        return replace(context, **more)

    return make


def found(check, world):
    """How bad, and what is said, of the worst that was found."""
    order = ["broken", "warning", "skipped", "ok"]
    worst = min(run_check(check, world), key=lambda it: order.index(it.level))
    assert worst.fix or worst.level in {"ok", "skipped"}, "what is wrong has a fix"
    return worst.level, f"{worst.message} | {worst.fix}"


def system(root, **files):
    """A file system with these files of the kernel's."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("check", [*EVERYWHERE, *HERE, *AROUND], ids=lambda it: it.__name__)
def test_nothing_is_broken_in_a_sound_world(world, check):
    daemon = {"status": STATUS, "ask": answers({Workspaces.list: [], Profiles.list: []})}
    environ = {"PRISM_USER": "ada@example.org", "HOME": "/nonexistent"}
    for sound_world in (world(environ=environ), world(environ=environ, **daemon)):
        assert found(check, sound_world)[0] != "broken"


def answers(more):
    valid = {"validated": 1, "total_templates": 1, "validation_results": []}
    return ({Templates.validate: valid} | more).__getitem__


def test_an_old_python(world):
    level, message = found(machine.python, world(python=(3, 10, 4)))
    assert (level, "3.10.4 is too old" in message) == ("broken", True)


@pytest.mark.parametrize(
    ("ran", "message"),
    [
        (ProgramResult(None, "Exec format error"), "Exec format"),
        (ProgramResult(1, "boom"), "boom"),
    ],
)
def test_uv_that_does_not_run(world, ran, message):
    level, words = found(machine.uv, world(run=lambda *argv: ran))
    assert (level, message in words) == ("broken", True)


def test_uv_that_is_gone(world, monkeypatch):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr("uv.find_uv_bin", gone)
    assert found(machine.uv, world())[0] == "broken"


def test_no_bubblewrap_says_what_that_means_and_how_to_install_it(world):
    level, message = found(sandbox.bubblewrap, world(which={"dnf": "/bin/dnf"}.get))
    assert level == "warning"
    assert "kept apart against accidents, not hostile code" in message
    assert message.endswith("sudo dnf install bubblewrap")
    assert "accidents" in found(sandbox.bubblewrap, world(platform="darwin"))[1]


@pytest.mark.parametrize(
    ("file", "text", "fix"),
    [
        (
            "proc__sys__kernel__apparmor_restrict_unprivileged_userns",
            "1\n",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("proc__sys__kernel__unprivileged_userns_clone", "0\n", "userns_clone=1"),
        ("proc__sys__user__max_user_namespaces", "0\n", "user.max_user_namespaces=15000"),
        ("proc__else", "", "Ask your administrator"),
    ],
)
def test_a_kernel_that_forbids_the_sandbox(world, tmp_path, file, text, fix):
    refused = ProgramResult(1, "bwrap: No permissions to create new namespace")
    examined = world(trial=lambda check: refused, root=system(tmp_path, **{file: text}))
    level, message = found(sandbox.bubblewrap, examined)
    assert (level, fix in message, "accidents" in message) == ("warning", True, True)


def really_tried(home, environ):
    """A world whose sandbox is tried."""
    trials = start_trials(home, environ)
    place = DaemonAddress(home)
    return CheckContext(place=place, environ=environ, trial=lambda check: trials[check].result())


def test_the_real_bubblewrap_is_really_tried():
    real = really_tried("/nowhere", {})
    level, message = found(sandbox.bubblewrap, real)
    assert (level, "or each other" in message) == ("ok", True), message


def test_the_user_of_a_workspace_is_tested_and_reported(home):
    real = really_tried(str(home), {"PRISM_PIDS_MAX": "77"})
    level, message = found(sandbox.isolation, real)
    user_text = "each runs as its own user" if os.geteuid() == 0 else "they run as you"
    has_own = "a network for each workspace" in message
    assert (level, user_text in message) == ("ok" if has_own else "warning", True), message
    assert has_own or "this computer's network" in message
    if os.geteuid() == 0 and shutil.which("pasta"):
        assert has_own
    promises = ("no capabilities", "no new user namespaces", "a filter", "at most 77 pro")
    assert [promise for promise in promises if has_own and promise not in message] == []
    assert list(home.iterdir()) == []


PROMISED = ("capabilities", "filter", "namespaces")
HOLDS: dict[str, Any] = {
    "user": 9,
    "is_shared": False,
    "kept": dict.fromkeys(PROMISED, True),
    "processes": 64,
}
HOLDS |= {"network": "own"}


def tried(**changes):
    """A trial of what a workspace's programs may do, with this outcome."""
    return lambda check: ProgramResult(0, json.dumps(HOLDS | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kept": HOLDS["kept"] | {"filter": False}}, "but no filter of system calls"),
        ({"kept": dict.fromkeys(PROMISED, False)}, "have capabilities, they can make user name"),
        ({"processes": None}, "but no limit of processes"),
        ({"is_shared": True, "user": 7}, "all run as uid 7, but no user for each"),
    ],
)
def test_a_limit_that_does_not_apply_is_named(world, monkeypatch, changes, words):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    level, message = found(sandbox.isolation, world(trial=tried(**changes)))
    assert (level, words in message) == ("warning", True), message


@pytest.mark.parametrize(
    ("why", "programs", "environ", "fix"),
    [
        ("`pasta` is not installed", {"apt-get"}, {}, "sudo apt-get install passt"),
        (
            "PRISM_WORKSPACE_NETWORK is shared",
            {"pasta"},
            {"PRISM_WORKSPACE_NETWORK": "shared"},
            "Set PRISM_WORKSPACE_NETWORK to own, and restart the daemon",
        ),
    ],
)
def test_a_shared_network_is_reported_with_the_reason(world, why, programs, environ, fix):
    known = {name: f"/bin/{name}" for name in {"bwrap", *programs}}
    examined = world(trial=tried(network=f"shared: {why}"), which=known.get, environ=environ)
    level, message = found(sandbox.isolation, examined)
    assert level == "warning"
    assert f"each other's ports ({why})" in message
    assert message.endswith(fix)


def test_where_no_workspace_can_start_that_is_broken_and_why(world):
    why = "nothing can be started inside: bubblewrap is not installed"
    examined = world(trial=lambda check: ProgramResult(1, why), which={"dnf": "/bin/dnf"}.get)
    level, message = found(sandbox.isolation, examined)
    assert (level, why in message) == ("broken", True)
    assert message.endswith("sudo dnf install bubblewrap")
    assert found(sandbox.isolation, world(platform="darwin"))[0] == "skipped"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives others' ids away")
def test_an_id_that_somebody_has_already_is_named(world):
    examined = world(environ={"PRISM_UID_RANGE": "65534-65535"}, trial=tried())
    level, message = found(sandbox.isolation, examined)
    assert (level, "has the id of nobody" in message) == ("warning", True)


def test_what_every_workspace_sees_is_named(world, home):
    (home / "state.db").touch()
    environ = {"AWS_CONFIG_FILE": "/etc/hosts", "PRISM_DATABASE_URL": f"sqlite:///{home}/state.db"}
    real = really_tried(str(home), environ)
    level, message = found(sandbox.bubblewrap, real)
    assert level == "warning"
    assert message.startswith("workspaces can read /etc/hosts |"), message
    more = world(trial=lambda check: ProgramResult(3, "/opt/ada/.ssh\n/opt/ada/.aws"))
    assert "read /opt/ada/.ssh and 1 more" in found(sandbox.bubblewrap, more)[1]
    real.trial("isolation")  # it writes into the home until it ends


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has sockets without a file")
@pytest.mark.parametrize(
    ("answer", "level", "message"),
    [
        (b"\1", "warning", "your screen"),
        (b"\2", "ok", "asks for a key"),
        (b"", "ok", "asks for a key"),
    ],
)
def test_a_display_that_asks_for_no_key(world, tmp_path, answer, level, message):
    assert found(sandbox.display, world(root=system(tmp_path, proc__net__unix=""))) == (
        "ok",
        "none that a workspace could reach | ",
    )
    name = f"/tmp/.X11-unix/X{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        table = f"Num RefCount\n0: 2 0 10000 1 1 12 @{name}\n0: 2 0 10000 1 1 13 {name}\n"
        root = system(tmp_path, proc__net__unix=table)
        thread = threading.Thread(target=greet, args=(server, answer))
        thread.start()
        seen, words = found(sandbox.display, world(root=root))
        thread.join()
    assert (seen, message in words) == (level, True), words


def greet(server, answer):
    """An X server that has heard who comes."""
    visitor, _ = server.accept()
    with visitor:
        assert visitor.recv(100) == b"l\0\x0b" + b"\0" * 9
        visitor.sendall(answer)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("MemAvailable:   9000000 kB", "ok"),
        ("MemAvailable: 300000 kB", "warning"),
        ("", "skipped"),
    ],
)
def test_memory(world, tmp_path, text, level):
    assert found(machine.memory, world(root=system(tmp_path, proc__meminfo=text)))[0] == level


def test_too_few_open_files(world, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 1000))
    assert found(machine.open_files, world()) == (
        "warning",
        "at most 256: many readers at once fail | ulimit -n 1000",
    )


def test_a_hidden_proc(world, tmp_path):
    root = system(tmp_path, proc__self__stat="1", proc__net__tcp="")
    level, message = found(machine.proc, world(root=root))
    assert (level, "/proc/1/stat cannot be read" in message) == ("warning", True)


def test_localhost_in_a_world_without_ipv6(world, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_listens", lambda host: ":" not in host)
    named = system(tmp_path / "a", etc__hosts="127.0.0.1 localhost\n::1 ip6 localhost\n")
    assert found(machine.loopback, world(root=named))[0] == "warning"
    plain = system(tmp_path / "b", etc__hosts="127.0.0.1 localhost\n")
    assert found(machine.loopback, world(root=plain))[0] == "ok"
    monkeypatch.setattr(machine, "_listens", lambda host: False)
    assert found(machine.loopback, world(root=plain))[0] == "broken"


@pytest.mark.parametrize(("address", "level"), [("127.0.0.1", "ok"), ("203.0.113.9", "warning")])
def test_a_name_server_that_answers_for_localhost(world, monkeypatch, address, level):
    addresses = [(2, 1, 6, "", (address, 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: addresses)
    assert found(machine.localhost_names, world())[0] == level


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({"http_proxy": "http://p:1"}, "warning"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.org, localhost"}, "ok"),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, "ok"),
    ],
)
def test_a_proxy_that_is_asked_for_what_runs_here(world, environ, level):
    assert found(machine.proxy, world(environ=environ))[0] == level


@pytest.mark.parametrize(
    ("zone", "level"),
    [("Europe/Berlin", "ok"), ("UTC", "ok"), ("EST5EDT", "ok"), ("Middle/Earth", "warning")],
)
def test_a_time_zone_that_nobody_knows(world, zone, level):
    assert found(machine.time_zone, world(environ={"TZ": zone}))[0] == level


def test_no_ssh_client(world):
    only = {"scp": "/usr/bin/scp", "apt-get": "/usr/bin/apt-get"}
    level, message = found(machine.ssh, world(which=only.get))
    assert (level, message.startswith("ssh and sftp not found")) == ("warning", True)
    assert message.endswith("sudo apt-get install openssh-client")


def test_another_prism_on_the_path(world):
    other = world(which=lambda name: "/elsewhere/prism")
    assert found(machine.command, other)[0] == "warning"
    assert found(machine.command, world(which=lambda name: None))[0] == "warning"


def test_a_home_that_others_may_enter(world, home):
    os.chmod(home, 0o755)
    assert found(folder.home, world()) == (
        "broken",
        f"other users of this computer have access to {home} | chmod 700 {home}",
    )


def test_a_home_that_is_none(world, home, monkeypatch):
    file = home / "file"
    file.touch()
    assert (
        found(folder.home, CheckContext(place=DaemonAddress(str(file)), environ={}))[0] == "broken"
    )
    to_come = CheckContext(place=DaemonAddress(str(home / "a" / "b")), environ={})
    assert found(folder.home, to_come)[0] == "ok"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "is not writable for you" in found(folder.home, to_come)[1]
    assert "cannot be written to" in found(folder.home, world())[1]


MOUNT = "30 1 0:1 / / rw - ext4 a rw\n31 30 0:2 / {} {} - {} b rw\n"


@pytest.mark.parametrize(
    ("kind", "options", "level", "message"),
    [
        ("ext4", "rw", "ok", "ext4"),
        ("nfs4", "rw", "warning", "its locks may not work"),
        ("fuse.sshfs", "rw", "warning", "another machine"),
        ("tmpfs", "rw", "warning", "lost after a reboot"),
        ("ext4", "rw,noexec", "broken", "noexec"),
        ("ext4", "ro,relatime", "broken", "read-only"),
    ],
)
def test_the_file_system_below_the_home(world, home, tmp_path, kind, options, level, message):
    text = MOUNT.format(home.resolve(), options, kind)
    examined = world(root=system(tmp_path, proc__self__mountinfo=text))
    assert (
        found(folder.file_system, examined)[0],
        message in found(folder.file_system, examined)[1],
    ) == (
        level,
        True,
    )


@pytest.mark.parametrize("call", ["os.link", "fcntl.flock", "fcntl.lockf"])
def test_a_file_system_that_cannot(world, home, monkeypatch, call):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(call, refuse)
    level, message = found(folder.file_system, world())
    assert (level, "Operation not supported" in message) == ("broken", True)
    assert list(home.iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize(
    ("free", "level"), [(100 * 2**20, "broken"), (2 * 2**30, "warning"), (50 * 2**30, "ok")]
)
def test_a_disk_that_fills_up(world, monkeypatch, free, level):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert found(folder.disk, world())[0] == level


@pytest.mark.parametrize(
    ("files", "left", "level"),
    [(0, 0, "ok"), (10**6, 100, "broken"), (10**6, 10_000, "warning"), (10**6, 10**6, "ok")],
)
def test_inodes_that_run_out(world, monkeypatch, files, left, level):
    stat = type("Stat", (), {"f_files": files, "f_favail": left})
    monkeypatch.setattr("os.statvfs", lambda _: stat)
    assert found(folder.inodes, world())[0] == level


def test_a_socket_that_others_may_open(world, home):
    path = home / "prism.sock"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        os.chmod(path, 0o666)
        assert f"chmod 600 {path}" in found(folder.unix_socket, world())[1]
        os.chmod(path, 0o600)
        assert found(folder.unix_socket, world())[0] == "ok"
        os.chmod(home, 0o750)
        assert f"chmod 700 {home}" in found(folder.unix_socket, world())[1]
    os.chmod(home, 0o700)
    path.unlink()
    path.write_text("no socket")
    assert found(folder.unix_socket, world())[0] == "broken"


def test_a_clock_that_is_off(world):
    assert found(folder.clock, world())[0] == "ok"
    assert "years behind" in found(folder.clock, world(now=lambda: 86400.0))[1]
    ahead = world(now=lambda: time.time() + 500)
    assert "file system of the home is -500 s off" in found(folder.clock, ahead)[1]
    theirs = world(daemon_time=time.time() - 300, status=STATUS)
    assert "daemon's clock is -300 s off" in found(folder.clock, theirs)[1]


@pytest.mark.parametrize(
    ("header", "at"),
    [
        ("Thu, 01 Jan 1970 00:01:05 GMT", 65.0),
        ("Sat, 28 Nov 2026 19:34:38 GMT", 1795894478.0),
        ("Sat, 31 Dec 2016 23:59:60 GMT", None),
        ("Sat, 28 Nev 2026 19:34:38 GMT", None),
        ("soon", None),
        (None, None),
    ],
)
def test_when_an_answer_says_that_it_was_made(header, at):
    assert parse_date(header) == at


def test_templates_that_are_wrong(world, home):
    issue = {"message": "unknown field `sise`", "where": "mine.yml:3"}
    result = {"template": "mine", "status": "invalid", "issues": [issue]}
    validation = {"validated": 1, "total_templates": 2, "validation_results": [result]}
    examined = world(status=STATUS, ask=answers({Templates.validate: validation}))
    level, message = found(folder.templates, examined)
    assert (level, "mine: unknown field `sise` (mine.yml:3)" in message) == ("broken", True)
    (home / "templates").mkdir()
    (home / "templates" / "mine.yml").touch()
    assert found(folder.templates, world())[1].startswith("1 of your own")


def test_a_folder_that_no_workspace_knows(world, home):
    place = home / "workspaces" / ID
    place.mkdir(parents=True)
    (home / "workspaces" / ".half-made").mkdir()
    assert found(folder.orphans, world())[0] == "skipped"
    for listed, level in (
        ([], "warning"),
        ([{"id": ID}], "ok"),
        ([{"id": None}], "ok"),
    ):
        examined = world(status=STATUS, ask=answers({Workspaces.list: listed}))
        assert found(folder.orphans, examined)[0] == level
    (place / "seen.json").write_text('{"phase": "gone"}')
    examined = world(status=STATUS, ask=answers({Workspaces.list: []}))
    assert found(folder.orphans, examined)[0] == "ok"


def test_a_daemon_that_is_ill(world):
    examined = world(status=STATUS | {"status": "degraded", "reasons": ["aws:1:x: ExpiredToken"]})
    level, message = found(service.daemon, examined)
    assert (level, "ExpiredToken" in message, "healthy" in message) == ("warning", True, False)


def test_a_daemon_that_has_the_home_and_does_not_answer(world, home):
    assert found(service.daemon, world()) == ("ok", "none runs; the next command starts it | ")
    (home / "prism.sock").touch()
    assert "left its socket behind" in found(service.daemon, world())[1]
    with (home / "daemon.lock").open("w") as lock:
        assert found(service.daemon, world())[0] == "warning"
        fcntl.flock(lock, fcntl.LOCK_EX)
        level, message = found(service.daemon, world(about={"pid": 7}))
        assert (level, "process 7 holds the lock" in message) == ("broken", True)


def test_a_distant_daemon_that_does_not_answer(world):
    fault = DaemonUnreachable("No daemon at http://x", details="refused", remediation="Check it")
    level, message = found(service.daemon, world(url="http://x", fault=fault))
    assert (level, message) == ("broken", "No daemon at http://x (refused) | Check it")


def test_a_daemon_of_another_version(world):
    level, message = found(service.version, world(status=STATUS | {"version": "0.0.9"}))
    assert (level, "the daemon is 0.0.9" in message) == ("broken", True)


def test_a_port_that_somebody_else_has(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        level, message = found(service.port, world(port=port))
        assert (level, f"process {os.getpid()}" in message) == ("broken", True)
        ours = world(port=port, status=STATUS, about={"port": int(port)})
        assert found(service.port, ours) == ("ok", f"{port}, used by this daemon | ")
        moved = world(port="1", status=STATUS, about={"port": int(port)})
        assert found(service.port, moved)[0] == "warning"
    assert found(service.port, world(port=port)) == ("ok", f"{port} is free | ")


def test_a_database_that_is_damaged(world, home, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")  # no sandbox is tried there

    def verdict():
        forks = start_trials(str(home), {})
        return found(service.database, world(trial=lambda check: forks[check].result()))

    file = home / "state.db"
    assert found(service.database, world()) == ("ok", "SQLite; the first start makes it | ")
    with closing(sqlite3.connect(file)) as sql:
        sql.execute("CREATE TABLE t (a)")
        sql.commit()
    assert verdict()[0] == "ok"
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 4096)
    assert verdict()[0] == "broken"
    file.write_bytes(b"not a database, but long enough to be one" * 99)
    assert verdict()[0] == "broken"
    killed = found(service.database, world(trial=lambda check: ProgramResult(-signal.SIGBUS, "")))
    assert (killed[0], "not a database" in killed[1]) == ("broken", True)
    unread = found(
        service.database, world(trial=lambda check: ProgramResult(None, "it did not end"))
    )
    assert unread == ("skipped", "SQLite was not checked: it did not end | ")


@pytest.mark.parametrize(
    ("says", "level", "message"),
    [(b"N", "ok", "answers"), (b"H", "broken", "is not a PostgreSQL")],
)
def test_a_postgres_that_answers_or_is_none(world, says, level, message):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        url = f"postgresql://ada:secret@127.0.0.1:{number}/prism"
        child = subprocess.Popen(
            [sys.executable, "-c", ANSWERING, str(server.fileno()), says.decode()],
            pass_fds=[server.fileno()],
        )
        found_ = found(service.database, world(environ={"PRISM_DATABASE_URL": url}))
        child.wait(120)
    assert (found_[0], message in found_[1], "secret" in found_[1]) == (level, True, False)
    gone = found(service.database, world(environ={"PRISM_DATABASE_URL": url}))
    assert (gone[0], f"no PostgreSQL at 127.0.0.1, port {number}" in gone[1]) == ("broken", True)


ANSWERING = """
import socket, sys
door = socket.socket(fileno=int(sys.argv[1])).accept()[0]
door.recv(8)
door.sendall(sys.argv[2].encode())
"""


def test_the_real_postgres_answers(world, postgres):
    assert found(service.database, world(environ={"PRISM_DATABASE_URL": postgres}))[0] == "ok"


@pytest.mark.parametrize(
    ("environ", "level", "message"),
    [
        ({"PRISM_PROT": "9000"}, "warning", "Did you mean PRISM_PORT?"),
        ({"PRISM_PORT": "http"}, "broken", "PRISM_PORT is 'http'"),
        ({"PRISM_HOST": "0.0.0.0"}, "broken", "PRISM_HOST"),
        ({"PRISM_MACHINE": "x", "PRISM_PORT": "9000"}, "ok", "PRISM_PORT"),
        ({}, "ok", "all have their defaults"),
    ],
)
def test_variables_that_are_wrong(world, environ, level, message):
    result = found(variables.settings, world(environ=environ))
    assert (result[0], message in result[1]) == (level, True)


@pytest.mark.parametrize(
    ("text", "mode", "level", "message"),
    [
        ("PRISM_USER=ada@example.org", 0o600, "ok", "all have their defaults"),
        ("PRISM_USER=ada@example.org", 0o644, "warning", "chmod 600"),
        ("PRISM_USR=ada@example.org", 0o600, "broken", "line 1: PRISM_USR is not a setting"),
        ("\nwhatever", 0o600, "broken", "line 2 is not NAME=value"),
        ("PRISM_HOME=/x", 0o600, "broken", "cannot say where that is"),
        (b"\xff", 0o600, "broken", "cannot be read"),
    ],
)
def test_a_settings_file_that_is_wrong(world, home, text, mode, level, message):
    (home / "env").write_bytes(text if isinstance(text, bytes) else text.encode())
    (home / "env").chmod(mode)
    result = found(variables.settings, world())
    assert (result[0], message in result[1]) == (level, True)


@pytest.mark.parametrize(
    ("user", "level"), [("", "warning"), ("ada", "warning"), ("ada@example.org", "ok")]
)
def test_who_you_are(world, user, level):
    result = found(variables.who_you_are, world(environ={"PRISM_USER": user}))
    assert (result[0], "prism init --user" in result[1]) == (level, level != "ok")


def test_a_remote_daemon_says_who_you_are(world):
    distant_daemon = {"url": "https://prism.example.org", "environ": {"PRISM_USER": ""}}
    examined = world(**distant_daemon, status=STATUS | {"user": "bob@example.org"})
    assert found(variables.who_you_are, examined) == (
        "ok",
        "bob@example.org, according to the daemon at PRISM_URL | ",
    )
    assert found(variables.who_you_are, world(**distant_daemon))[0] == "skipped"


@pytest.fixture
def amazon(world, tmp_path):
    """What is said of AWS with these files and variables."""
    (tmp_path / ".aws").mkdir()

    def look(credentials=None, config=None, profiles=None, mode=0o600, **environ):
        for name, text in (("credentials", credentials), ("config", config)):
            if text is not None:
                (tmp_path / ".aws" / name).write_text(text)
                (tmp_path / ".aws" / name).chmod(mode)
        more = {} if profiles is None else {"status": STATUS}
        ask = answers({Profiles.list: profiles})
        return found(
            aws.aws_credentials, world(environ={"HOME": str(tmp_path)} | environ, ask=ask, **more)
        )

    return look


KEYS = "[lab]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = verysecret\n"


def test_aws_profiles_are_named_and_their_secrets_are_not(amazon):
    config = (
        "[profile sso]\nsso_session = x\n[sso-session x]\n[profile bare]\nregion = eu-west-1\n"
    )
    level, message = amazon(KEYS, config)
    assert (level, message) == ("ok", "profiles lab, sso | ")


@pytest.mark.parametrize(
    ("settings", "level", "message"),
    [
        ({}, "ok", "none: workspaces run on this machine only"),
        ({"credentials": KEYS, "mode": 0o644}, "warning", "chmod 600"),
        ({"credentials": "no section"}, "broken", "cannot be read"),
        ({"AWS_ACCESS_KEY_ID": "AKIA"}, "broken", "AWS_SECRET_ACCESS_KEY is missing"),
        ({"AWS_SECRET_ACCESS_KEY": "x"}, "broken", "AWS_ACCESS_KEY_ID is missing"),
        ({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x"}, "ok", "keys in the env"),
        ({"credentials": KEYS, "AWS_PROFILE": "lap"}, "broken", "unset AWS_PROFILE"),
        ({"credentials": KEYS, "AWS_PROFILE": "lab"}, "ok", "profiles lab"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, "ok", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ],
)
def test_aws_credentials_that_are_wrong(amazon, settings, level, message):
    result = amazon(**settings)
    assert (result[0], message in result[1]) == (level, True)


def test_a_profile_of_prism_whose_aws_profile_is_gone(amazon):
    mine = {"name": "mine", "provider": "aws", "aws_profile": "lost"}
    level, message = amazon(KEYS, profiles=[mine, {"name": "local", "provider": "local"}])
    assert (level, "the AWS profile lost, which no file has" in message) == ("broken", True)
    fine = mine | {"aws_profile": "lab"}
    assert amazon(KEYS, profiles=[fine])[0] == "ok"


def test_the_command_without_a_daemon_starts_none(prism, home):
    done = prism("doctor", PRISM_PORT="0")
    assert (done.returncode, "✓ daemon" in done.stdout) == (0, True), done.stdout
    assert done.stderr.startswith("Prism works, with")
    assert not (home / "daemon.lock").exists()


def test_what_is_broken_ends_with_1_for_programs_too(prism):
    done = prism("doctor", "--json", PRISM_PORT="http")
    findings = {load["said"]: load for load in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["PRISM_PORT is 'http'"]["level"] == "broken"
    assert findings["PRISM_PORT is 'http'"]["check"] == "settings"
    assert "One check failed" in done.stderr


def test_the_command_with_a_daemon(prism, server):
    server.on("GET /daemon/status", STATUS)
    server.on("GET /templates/validate", answers({})(Templates.validate))
    server.on("GET /instances", []).on("GET /profiles", [])
    done = prism("doctor", PRISM_PORT="0", PRISM_USER="ada@example.org")
    assert f"✓ version          {__version__}, both" in done.stdout
    assert "healthy, up 5s" in done.stdout
    assert all(request.method == "GET" for request in server.asked)


def test_a_distant_daemon_is_all_that_is_asked_about(prism):
    done = prism("doctor", PRISM_URL="http://127.0.0.1:1")
    assert (done.returncode, "bubblewrap" in done.stdout) == (1, False)
    assert "✗ daemon" in done.stdout


def test_a_terminal_without_our_marks_gets_plain_ones(prism):
    done = prism("doctor", PRISM_PORT="0", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "ok python" in done.stdout


IDENTITY = "arn:aws:iam::1:user/ada"
LAB: dict[str, Any] = {
       "profile": "lab", "region": "us-west-2", "identity": IDENTITY, "problem": None,
       "remediation": None, "missing": [], "unknown": [], "note": None}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "level", "message"),
    [
        ({}, "ok", f"lab is {IDENTITY} in us-west-2"),
        ({"unknown": ["a", "b"]}, "ok", "2 permissions could not be tried"),
        ({"missing": ["ec2:RunInstances"]}, "warning", "may not ec2:RunInstances"),
        ({"missing": ["ec2:RunInstances"]}, "warning", "prism aws policy"),
        ({"note": "there is no role for machines"}, "warning", "prism aws setup"),
        ({"problem": "expired", "remediation": "log in"}, "broken", "log in"),
        ({"problem": "expired", "remediation": "`prism doctor`"}, "broken", "prism aws check lab"),
    ],
)
def test_who_the_daemon_is_to_aws(world, more, level, message):
    status = STATUS | {"aws_connectivity": "connected"}
    ask = answers({Daemon.aws: [LAB | more]})
    result = found(aws.aws_access, world(status=status, ask=ask))
    assert (result[0], message in result[1]) == (level, True)


def test_aws_is_not_asked_about_where_nobody_uses_it(world):
    unused = STATUS | {"aws_connectivity": "not_configured"}
    assert found(aws.aws_access, world(status=unused)) == ("ok", "not used | ")
    asleep = STATUS | {"aws_connectivity": "disconnected"}
    ask = answers({Daemon.aws: []})
    assert "AWS was not asked" in found(aws.aws_access, world(status=asleep, ask=ask))[1]
    assert found(aws.aws_access, world())[0] == "skipped"


def test_checks_run_beside_each_other_and_are_told_in_their_order(world, monkeypatch):
    both = threading.Barrier(2, timeout=120)

    def first(world):
        both.wait()  # the second runs meanwhile, or this never ends
        return ok("one")

    def second(world):
        both.wait()
        return ok("two")

    for name, checks in (("EVERYWHERE", (first, second)), ("HERE", ()), ("AROUND", ())):
        monkeypatch.setattr(rounds, name, checks)
    assert [check.message for check in rounds.run_checks(world())] == ["one", "two"]


@pytest.mark.parametrize("raised", [DaemonUnreachable("it has gone"), ZeroDivisionError()])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_check_that_fails_is_not_passed_over(world, monkeypatch, raised):
    def failing(world):
        yield ok("one")
        raise raised

    for name, checks in (("EVERYWHERE", (failing,)), ("HERE", ()), ("AROUND", ())):
        monkeypatch.setattr(rounds, name, checks)
    with pytest.raises((DaemonUnreachable, RuntimeError), match=r"it has gone|failing has failed"):
        list(rounds.run_checks(world()))


def test_what_needs_no_daemon_is_looked_at_while_it_is_asked(world, monkeypatch):
    begun, answered = threading.Event(), threading.Event()

    def trial(world):
        begun.set()
        assert answered.wait(120)  # the daemon is asked meanwhile, or this never ends
        return ok("tried")

    def asked(self):
        assert begun.wait(120)
        answered.set()
        return replace(self, status=STATUS)

    def status(world):
        return ok(world.status["status"])

    monkeypatch.setattr(CheckContext, "asked", asked)
    monkeypatch.setattr(rounds, "WAITING", (trial,))
    for name, checks in (("EVERYWHERE", (status,)), ("HERE", (trial,)), ("AROUND", ())):
        monkeypatch.setattr(rounds, name, checks)
    assert [check.message for check in rounds.run_checks(world())] == ["healthy", "tried"]
