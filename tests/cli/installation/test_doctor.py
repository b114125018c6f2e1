"""`prism doctor`: each check with a fault, its level, its message and its fix."""

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
from prism.cli.checks.rounds import AROUND, EVERYWHERE, LOCAL_CHECKS
from prism.cli.checks.trials import ProgramResult, start_trials
from prism.client.daemon import Daemon
from prism.client.errors import DaemonUnreachable
from prism.client.profiles import Profiles
from prism.client.templates import Templates
from prism.client.transport.address import DaemonAddress
from prism.client.workspaces import Workspaces
from prism.errors import Denied
from tests.optional import not_none

STATUS = {"status": "healthy", "version": __version__, "uptime": "5s", "places": []}
ID = "local-0123456789abcdef0"


@pytest.fixture
def make_context(home):
    """Makes a context in which all checks pass but for the given changes."""
    os.chmod(home, 0o700)

    def make(port="0", url="", **more):
        context = CheckContext(
            address=DaemonAddress(str(home), url, port=port),
            environ={},
            platform="linux",
            which=lambda name: f"/usr/bin/{name}",
            run=lambda *argv: ProgramResult(0, "fine 1.0"),
            trial=lambda check: ProgramResult(0, "fine 1.0"),
        )
        return replace(context, **more)

    return make


def worst_finding(check, context):
    """The level and the message of the worst finding of a check."""
    order = ["broken", "warning", "skipped", "ok"]
    worst = min(run_check(check, context), key=lambda it: order.index(it.level))
    assert worst.fix or worst.level in {"ok", "skipped"}, "a fault has a fix"
    return worst.level, f"{worst.message} | {worst.fix}"


def root_with(root, **files):
    """A root folder with these kernel files."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    "check", [*EVERYWHERE, *LOCAL_CHECKS, *AROUND], ids=lambda it: it.__name__
)
def test_check_finds_no_fault_in_a_working_setup(make_context, check):
    daemon = {"status": STATUS, "ask": answers({Workspaces.list: [], Profiles.list: []})}
    environ = {"PRISM_USER": "ada@example.org", "HOME": "/nonexistent"}
    for sound_world in (make_context(environ=environ), make_context(environ=environ, **daemon)):
        assert worst_finding(check, sound_world)[0] != "broken"


def answers(more):
    valid = {"validated": 1, "total_templates": 1, "validation_results": []}
    return ({Templates.validate: valid} | more).__getitem__


def test_old_python_is_broken(make_context):
    level, message = worst_finding(machine.python, make_context(python=(3, 10, 4)))
    assert (level, "3.10.4 is too old" in message) == ("broken", True)


@pytest.mark.parametrize(
    ("ran", "message"),
    [
        (ProgramResult(None, "Exec format error"), "Exec format"),
        (ProgramResult(1, "boom"), "boom"),
    ],
)
def test_uv_that_fails_to_run_is_broken(make_context, ran, message):
    level, words = worst_finding(machine.uv, make_context(run=lambda *argv: ran))
    assert (level, message in words) == ("broken", True)


def test_missing_uv_is_broken(make_context, monkeypatch):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr("uv.find_uv_bin", gone)
    assert worst_finding(machine.uv, make_context())[0] == "broken"


@pytest.mark.parametrize(
    ("uid", "effect"),
    [
        (1000, "kept apart against accidents, not hostile code"),
        (0, "each local workspace is a user of its own that no other can enter"),
    ],
)
def test_missing_bubblewrap_warning_explains_the_effect_and_the_fix(
    make_context, monkeypatch, uid, effect
):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    level, message = worst_finding(sandbox.bubblewrap, make_context(which={"dnf": "/bin/dnf"}.get))
    assert level == "warning"
    assert effect in message
    assert message.endswith("sudo dnf install bubblewrap")
    assert "accidents" in worst_finding(sandbox.bubblewrap, make_context(platform="darwin"))[1]


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
def test_kernel_that_forbids_the_sandbox_is_a_warning_with_its_setting(
    make_context, tmp_path, file, text, fix
):
    refused = ProgramResult(1, "bwrap: No permissions to create new namespace")
    examined = make_context(trial=lambda check: refused, root=root_with(tmp_path, **{file: text}))
    level, message = worst_finding(sandbox.bubblewrap, examined)
    effect = "a user of its own" if os.geteuid() == 0 else "accidents"
    assert (level, fix in message, effect in message) == ("warning", True, True)


def context_with_real_trials(home, environ):
    """A context that really tries the sandbox."""
    trials = start_trials(home, environ)
    address = DaemonAddress(home)
    return CheckContext(
        address=address, environ=environ, trial=lambda check: trials[check].result()
    )


@pytest.mark.needs("bwrap")
def test_real_bubblewrap_passes_the_check():
    real = context_with_real_trials("/nowhere", {})
    level, message = worst_finding(sandbox.bubblewrap, real)
    assert (level, "or each other" in message) == ("ok", True), message


@pytest.mark.needs("bwrap")
def test_isolation_check_reports_user_network_and_limits_of_a_workspace(home):
    real = context_with_real_trials(str(home), {"PRISM_PIDS_MAX": "77"})
    level, message = worst_finding(sandbox.isolation, real)
    user_text = "each runs as its own user" if os.geteuid() == 0 else "they run as you"
    has_own = "a network for each workspace" in message
    is_weaker = not has_own or "no limit of memory" in message
    assert (level, user_text in message) == ("warning" if is_weaker else "ok", True), message
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
HOLDS |= {"network": "own", "unfiltered": ""}


def trial_result(**changes):
    """A trial of the sandbox with this result."""
    return lambda check: ProgramResult(0, json.dumps(HOLDS | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kept": HOLDS["kept"] | {"filter": False}}, "but no filter of system calls"),
        ({"kept": dict.fromkeys(PROMISED, False)}, "have capabilities, they can make user name"),
        ({"processes": None}, "but no limit of processes"),
        ({"is_shared": True, "user": 7}, "but no user for each"),
        ({"unfiltered": "Protocol not supported"}, "no filter of their network"),
    ],
)
def test_isolation_check_names_a_limit_that_does_not_apply(
    make_context, monkeypatch, changes, words
):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    level, message = worst_finding(sandbox.isolation, make_context(trial=trial_result(**changes)))
    assert (level, words in message) == ("warning", True), message


@pytest.mark.parametrize(
    ("why", "programs", "environ", "fix"),
    [
        ("`pasta` is not installed", {"apt-get"}, {}, "sudo apt-get install passt"),
        (
            "PRISM_WORKSPACE_NETWORK is shared",
            {"pasta"},
            {"PRISM_WORKSPACE_NETWORK": "shared"},
            "Set PRISM_WORKSPACE_NETWORK to lan, and restart the daemon",
        ),
    ],
)
def test_shared_network_is_reported_with_the_reason(make_context, why, programs, environ, fix):
    known = {name: f"/bin/{name}" for name in {"bwrap", *programs}}
    examined = make_context(
        trial=trial_result(network=f"shared: {why}"), which=known.get, environ=environ
    )
    level, message = worst_finding(sandbox.isolation, examined)
    assert level == "warning"
    assert f"each other's ports ({why})" in message
    assert message.endswith(fix)


def test_isolation_is_broken_with_the_reason_if_no_workspace_can_start(make_context):
    why = "nothing can be started inside: bubblewrap is not installed"
    examined = make_context(
        trial=lambda check: ProgramResult(1, why), which={"dnf": "/bin/dnf"}.get
    )
    level, message = worst_finding(sandbox.isolation, examined)
    assert (level, why in message) == ("broken", True)
    assert message.endswith("sudo dnf install bubblewrap")
    assert worst_finding(sandbox.isolation, make_context(platform="darwin"))[0] == "skipped"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root gives others' ids away")
def test_user_id_in_use_is_a_warning(make_context):
    examined = make_context(environ={"PRISM_UID_RANGE": "65534-65535"}, trial=trial_result())
    level, message = worst_finding(sandbox.isolation, examined)
    assert (level, "has the id of nobody" in message) == ("warning", True)


@pytest.mark.needs("bwrap")
def test_sensitive_files_visible_to_workspaces_are_named(make_context, home):
    (home / "state.db").touch()
    environ = {"AWS_CONFIG_FILE": "/etc/hosts", "PRISM_DATABASE_URL": f"sqlite:///{home}/state.db"}
    real = context_with_real_trials(str(home), environ)
    level, message = worst_finding(sandbox.bubblewrap, real)
    assert level == "warning"
    assert message.startswith("workspaces can read /etc/hosts |"), message
    more = make_context(trial=lambda check: ProgramResult(3, "/opt/ada/.ssh\n/opt/ada/.aws"))
    assert "read /opt/ada/.ssh and 1 more" in worst_finding(sandbox.bubblewrap, more)[1]
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
def test_x_display_without_authentication_is_a_warning(
    make_context, tmp_path, monkeypatch, answer, level, message
):
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 5)
    assert worst_finding(
        sandbox.display, make_context(root=root_with(tmp_path, proc__net__unix=""))
    ) == (
        "ok",
        "none that a workspace could reach | ",
    )
    name = f"/tmp/.X11-unix/X{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        table = f"Num RefCount\n0: 2 0 10000 1 1 12 @{name}\n0: 2 0 10000 1 1 13 {name}\n"
        root = root_with(tmp_path, proc__net__unix=table)
        thread = threading.Thread(target=answer_as_x_server, args=(server, answer))
        thread.start()
        seen, words = worst_finding(sandbox.display, make_context(root=root))
        thread.join()
    assert (seen, message in words) == (level, True), words


def test_x_display_is_closed_to_workspaces_by_a_newer_kernel(make_context, tmp_path, monkeypatch):
    table = "Num RefCount\n0: 2 0 10000 1 1 12 @/tmp/.X11-unix/X0\n"
    root = root_with(tmp_path, proc__net__unix=table)
    monkeypatch.setattr(sandbox, "landlock_version", lambda: 6)
    level, words = worst_finding(sandbox.display, make_context(root=root))
    assert level == "ok"
    assert "closes @/tmp/.X11-unix/X0 to workspaces" in words


def answer_as_x_server(server, answer):
    """An X server that accepts one connection."""
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
def test_low_memory_is_a_warning(make_context, tmp_path, text, level):
    assert (
        worst_finding(machine.memory, make_context(root=root_with(tmp_path, proc__meminfo=text)))[
            0
        ]
        == level
    )


def test_low_limit_of_open_files_is_a_warning(make_context, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 1000))
    assert worst_finding(machine.open_files, make_context()) == (
        "warning",
        "at most 256: many readers at once fail | ulimit -n 1000",
    )


def test_hidden_proc_is_a_warning(make_context, tmp_path):
    root = root_with(tmp_path, proc__self__stat="1", proc__net__tcp="")
    level, message = worst_finding(machine.proc, make_context(root=root))
    assert (level, "/proc/1/stat cannot be read" in message) == ("warning", True)


def test_localhost_without_ipv6_is_checked_in_etc_hosts(make_context, tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_listens", lambda host: ":" not in host)
    named = root_with(tmp_path / "a", etc__hosts="127.0.0.1 localhost\n::1 ip6 localhost\n")
    assert worst_finding(machine.loopback, make_context(root=named))[0] == "warning"
    plain = root_with(tmp_path / "b", etc__hosts="127.0.0.1 localhost\n")
    assert worst_finding(machine.loopback, make_context(root=plain))[0] == "ok"
    monkeypatch.setattr(machine, "_listens", lambda host: False)
    assert worst_finding(machine.loopback, make_context(root=plain))[0] == "broken"


@pytest.mark.parametrize(("address", "level"), [("127.0.0.1", "ok"), ("203.0.113.9", "warning")])
def test_name_server_that_resolves_localhost_elsewhere_is_a_warning(
    make_context, monkeypatch, address, level
):
    addresses = [(2, 1, 6, "", (address, 80))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: addresses)
    assert worst_finding(machine.localhost_names, make_context())[0] == level


@pytest.mark.parametrize(
    ("environ", "level"),
    [
        ({"http_proxy": "http://p:1"}, "warning"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.org, localhost"}, "ok"),
        ({"ALL_PROXY": "http://p:1", "no_proxy": "*"}, "ok"),
    ],
)
def test_proxy_used_for_localhost_is_a_warning(make_context, environ, level):
    assert worst_finding(machine.proxy, make_context(environ=environ))[0] == level


@pytest.mark.parametrize(
    ("zone", "level"),
    [("Europe/Berlin", "ok"), ("UTC", "ok"), ("EST5EDT", "ok"), ("Middle/Earth", "warning")],
)
def test_unknown_time_zone_is_a_warning(make_context, zone, level):
    assert worst_finding(machine.time_zone, make_context(environ={"TZ": zone}))[0] == level


def test_missing_ssh_client_is_a_warning_with_the_package(make_context):
    only = {"scp": "/usr/bin/scp", "apt-get": "/usr/bin/apt-get"}
    level, message = worst_finding(machine.ssh, make_context(which=only.get))
    assert (level, message.startswith("ssh and sftp not found")) == ("warning", True)
    assert message.endswith("sudo apt-get install openssh-client")


def test_missing_or_other_prism_on_the_path_is_a_warning(make_context):
    other = make_context(which=lambda name: "/elsewhere/prism")
    assert worst_finding(machine.command, other)[0] == "warning"
    assert worst_finding(machine.command, make_context(which=lambda name: None))[0] == "warning"


def test_home_accessible_to_other_users_is_broken(make_context, home):
    os.chmod(home, 0o755)
    assert worst_finding(folder.home, make_context()) == (
        "broken",
        f"other users of this computer have access to {home} | chmod 700 {home}",
    )


def test_home_that_is_a_file_or_not_writable_is_broken(make_context, home, monkeypatch):
    file = home / "file"
    file.touch()
    assert (
        worst_finding(folder.home, CheckContext(address=DaemonAddress(str(file)), environ={}))[0]
        == "broken"
    )
    to_come = CheckContext(address=DaemonAddress(str(home / "a" / "b")), environ={})
    assert worst_finding(folder.home, to_come)[0] == "ok"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "is not writable for you" in worst_finding(folder.home, to_come)[1]
    assert "cannot be written to" in worst_finding(folder.home, make_context())[1]


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
def test_file_system_of_the_home_is_judged_by_its_type_and_options(
    make_context, home, tmp_path, kind, options, level, message
):
    text = MOUNT.format(home.resolve(), options, kind)
    examined = make_context(root=root_with(tmp_path, proc__self__mountinfo=text))
    assert (
        worst_finding(folder.file_system, examined)[0],
        message in worst_finding(folder.file_system, examined)[1],
    ) == (
        level,
        True,
    )


@pytest.mark.parametrize("call", ["os.link", "fcntl.flock", "fcntl.lockf"])
def test_file_system_without_links_or_locks_is_broken(make_context, home, monkeypatch, call):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(call, refuse)
    level, message = worst_finding(folder.file_system, make_context())
    assert (level, "Operation not supported" in message) == ("broken", True)
    assert list(home.iterdir()) == [], "the check leaves no files"


@pytest.mark.parametrize(
    ("free", "level"), [(100 * 2**20, "broken"), (2 * 2**30, "warning"), (50 * 2**30, "ok")]
)
def test_low_disk_space_is_a_warning_or_broken(make_context, monkeypatch, free, level):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert worst_finding(folder.disk, make_context())[0] == level


@pytest.mark.parametrize(
    ("files", "left", "level"),
    [(0, 0, "ok"), (10**6, 100, "broken"), (10**6, 10_000, "warning"), (10**6, 10**6, "ok")],
)
def test_few_free_inodes_are_a_warning_or_broken(make_context, monkeypatch, files, left, level):
    stat = type("Stat", (), {"f_files": files, "f_favail": left})
    monkeypatch.setattr("os.statvfs", lambda _: stat)
    assert worst_finding(folder.inodes, make_context())[0] == level


def test_socket_accessible_to_other_users_is_reported(make_context, home):
    path = home / "prism.sock"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        os.chmod(path, 0o666)
        assert f"chmod 600 {path}" in worst_finding(folder.unix_socket, make_context())[1]
        os.chmod(path, 0o600)
        assert worst_finding(folder.unix_socket, make_context())[0] == "ok"
        os.chmod(home, 0o750)
        assert f"chmod 700 {home}" in worst_finding(folder.unix_socket, make_context())[1]
    os.chmod(home, 0o700)
    path.unlink()
    path.write_text("no socket")
    assert worst_finding(folder.unix_socket, make_context())[0] == "broken"


def test_clock_difference_to_file_system_or_daemon_is_reported(make_context):
    assert worst_finding(folder.clock, make_context())[0] == "ok"
    assert "years behind" in worst_finding(folder.clock, make_context(now=lambda: 86400.0))[1]
    ahead = make_context(now=lambda: time.time() + 500)
    assert "file system of the home is -500 s off" in worst_finding(folder.clock, ahead)[1]
    theirs = make_context(daemon_time=time.time() - 300, status=STATUS)
    assert "daemon's clock is -300 s off" in worst_finding(folder.clock, theirs)[1]


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
def test_parse_date_returns_the_time_of_a_date_header_or_none(header, at):
    assert parse_date(header) == at


def test_invalid_template_is_broken(make_context, home):
    issue = {"message": "unknown field `sise`", "where": "mine.yml:3"}
    result = {"template": "mine", "status": "invalid", "issues": [issue]}
    validation = {"validated": 1, "total_templates": 2, "validation_results": [result]}
    examined = make_context(status=STATUS, ask=answers({Templates.validate: validation}))
    level, message = worst_finding(folder.templates, examined)
    assert (level, "mine: unknown field `sise` (mine.yml:3)" in message) == ("broken", True)
    (home / "templates").mkdir()
    (home / "templates" / "mine.yml").touch()
    assert worst_finding(folder.templates, make_context())[1].startswith("1 of your own")


def test_workspace_folder_without_a_workspace_is_a_warning(make_context, home):
    place = home / "workspaces" / ID
    place.mkdir(parents=True)
    (home / "workspaces" / ".half-made").mkdir()
    assert worst_finding(folder.orphans, make_context())[0] == "skipped"
    for listed, level in (
        ([], "warning"),
        ([{"id": ID}], "ok"),
        ([{"id": None}], "ok"),
    ):
        examined = make_context(status=STATUS, ask=answers({Workspaces.list: listed}))
        assert worst_finding(folder.orphans, examined)[0] == level
    (place / "seen.json").write_text('{"phase": "gone"}')
    examined = make_context(status=STATUS, ask=answers({Workspaces.list: []}))
    assert worst_finding(folder.orphans, examined)[0] == "ok"


@pytest.mark.parametrize(
    ("answer", "level", "message"),
    [
        (
            {"reachable": True, "problem": None, "identity": "ada"},
            "ok",
            "gpu1 answers, to ada | ",
        ),
        (
            {"reachable": False, "problem": "gpu1 cannot be reached", "identity": None},
            "warning",
            "gpu1: gpu1 cannot be reached | See whether `ssh gpu1` logs in",
        ),
        (
            {"reachable": None, "problem": None, "identity": None},
            "warning",
            "gpu1 was not asked yet | `prism doctor`, in a minute",
        ),
    ],
)
def test_lab_server_is_reported_by_the_last_look_at_it(make_context, answer, level, message):
    computer = {"place": "local:a", "provider": "local"}
    server = {"place": "ssh:gpu1", "provider": "ssh", **answer}
    context = make_context(status=STATUS | {"places": [computer, server]})
    assert worst_finding(service.lab_servers, context) == (level, message)


def test_degraded_daemon_is_a_warning_with_its_reasons(make_context):
    examined = make_context(
        status=STATUS | {"status": "degraded", "reasons": ["aws:1:x: ExpiredToken"]}
    )
    level, message = worst_finding(service.daemon, examined)
    assert (level, "ExpiredToken" in message, "healthy" in message) == ("warning", True, False)


def test_daemon_that_holds_the_lock_without_answering_is_broken(make_context, home):
    assert worst_finding(service.daemon, make_context()) == (
        "ok",
        "none runs; the next command starts it | ",
    )
    (home / "prism.sock").touch()
    assert "left its socket behind" in worst_finding(service.daemon, make_context())[1]
    with (home / "daemon.lock").open("w") as lock:
        assert worst_finding(service.daemon, make_context())[0] == "warning"
        fcntl.flock(lock, fcntl.LOCK_EX)
        level, message = worst_finding(service.daemon, make_context(about={"pid": 7}))
        assert (level, "process 7 holds the lock" in message) == ("broken", True)


def test_unreachable_remote_daemon_is_broken(make_context):
    fault = DaemonUnreachable("No daemon at http://x", details="refused", remediation="Check it")
    level, message = worst_finding(service.daemon, make_context(url="http://x", fault=fault))
    assert (level, message) == ("broken", "No daemon at http://x (refused) | Check it")


def test_daemon_of_another_version_is_broken(make_context):
    level, message = worst_finding(
        service.version, make_context(status=STATUS | {"version": "0.0.9"})
    )
    assert (level, "the daemon is 0.0.9" in message) == ("broken", True)


def test_port_in_use_by_another_process_is_broken_if_it_was_chosen(make_context, home):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        level, message = worst_finding(service.port, make_context(port=port))
        assert (level, f"process {os.getpid()}" in message) == ("broken", True)
        ours = make_context(port=port, status=STATUS, about={"port": int(port)})
        assert worst_finding(service.port, ours) == ("ok", f"{port}, used by this daemon | ")
        moved = make_context(port="1", status=STATUS, about={"port": int(port)})
        assert worst_finding(service.port, moved)[0] == "warning"
        (home / "port").write_text(port)
        level, message = worst_finding(service.port, make_context(port=""))
        assert (level, "the daemon takes the next free one" in message) == ("ok", True)
        public = make_context(port="", environ={"PRISM_PUBLIC_URL": "https://prism.example.org"})
        assert worst_finding(service.port, public)[0] == "broken"
    assert worst_finding(service.port, make_context(port=port)) == ("ok", f"{port} is free | ")


STRANGER = """
import os, socket, sys
host, number, user = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setresuid(user, user, user)
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.create_server((host, number), family=family) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_another_user_who_listens_on_the_daemons_port_is_reported(make_context, host):
    """While the daemon is down, and also while it has only the other family of addresses."""
    line = [sys.executable, "-c", STRANGER, host, "0", "65534"]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as other:
        port = not_none(other.stdout).readline().strip()
        up = {"status": STATUS, "about": {"port": int(port), "gui": "http://prism--a.localhost"}}
        down = make_context(port=port)
        for context, expected in ((down, "broken"), (make_context(port=port, **up), "warning")):
            level, message = worst_finding(service.port, context)
            assert level == expected
            assert "(uid 65534) listens" in message
            assert f"do not open http://localhost:{port}" in message
            assert "is new at each start" in message
            named = replace(
                context,
                address=DaemonAddress(context.address.home, port=port, daemon_user="65534"),
            )
            assert "listens on port" not in worst_finding(service.port, named)[1]
        team = replace(down, environ={"PRISM_AUTH": "tokens"})
        assert "is new at each start" not in worst_finding(service.port, team)[1]
        other.kill()
    level, message = worst_finding(service.port, make_context(port=port, **up))
    assert (level, "is new at each start" in message) == ("ok", True)


def test_listener_at_another_address_is_not_the_daemons(make_context, home):
    root = home / "root"
    (home / "port").write_text("8947")
    zeros = "00000000:00000000 00:00000000 00000000"
    row = f"   0: 0202007F:22F3 00000000:0000 0A {zeros} 65534 0 99 1"
    root_with(root, proc__net__tcp=f"  sl local_address\n{row}\n")
    assert service._stranger(make_context(root=root, port=""), "8947") is None
    root_with(root, proc__net__tcp=f"  sl\n{row.replace('0202007F', '0100007F')}\n")
    assert not_none(service._stranger(make_context(root=root, port=""), "8947")).level == "warning"
    assert service._stranger(make_context(root=root, port=""), "8948") is None
    (home / "port").unlink()
    unused = make_context(root=root, port="")
    assert service._stranger(unused, "8947") is None, "the daemon takes the next free port"


def test_damaged_sqlite_database_is_broken(make_context, home, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")  # no sandbox is tried there

    def verdict():
        forks = start_trials(str(home), {})
        return worst_finding(
            service.database, make_context(trial=lambda check: forks[check].result())
        )

    file = home / "state.db"
    assert worst_finding(service.database, make_context()) == (
        "ok",
        "SQLite; the first start makes it | ",
    )
    with closing(sqlite3.connect(file)) as sql:
        sql.execute("CREATE TABLE t (a)")
        sql.commit()
    assert verdict()[0] == "ok"
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 4096)
    assert verdict()[0] == "broken"
    file.write_bytes(b"not a database, but long enough to be one" * 99)
    assert verdict()[0] == "broken"
    killed = worst_finding(
        service.database, make_context(trial=lambda check: ProgramResult(-signal.SIGBUS, ""))
    )
    assert (killed[0], "not a database" in killed[1]) == ("broken", True)
    unread = worst_finding(
        service.database, make_context(trial=lambda check: ProgramResult(None, "it did not end"))
    )
    assert unread == ("skipped", "SQLite was not checked: it did not end | ")


@pytest.mark.parametrize(
    ("says", "level", "message"),
    [(b"N", "ok", "answers"), (b"H", "broken", "is not a PostgreSQL")],
)
def test_postgresql_check_recognizes_a_server_without_showing_the_password(
    make_context, says, level, message
):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        url = f"postgresql://ada:secret@127.0.0.1:{number}/prism"
        child = subprocess.Popen(
            [sys.executable, "-c", ANSWERING, str(server.fileno()), says.decode()],
            pass_fds=[server.fileno()],
        )
        found_ = worst_finding(service.database, make_context(environ={"PRISM_DATABASE_URL": url}))
        child.wait(120)
    assert (found_[0], message in found_[1], "secret" in found_[1]) == (level, True, False)
    gone = worst_finding(service.database, make_context(environ={"PRISM_DATABASE_URL": url}))
    assert (gone[0], f"no PostgreSQL at 127.0.0.1, port {number}" in gone[1]) == ("broken", True)


ANSWERING = """
import socket, sys
door = socket.socket(fileno=int(sys.argv[1])).accept()[0]
door.recv(8)
door.sendall(sys.argv[2].encode())
"""


def test_real_postgresql_passes_the_check(make_context, postgres):
    assert (
        worst_finding(service.database, make_context(environ={"PRISM_DATABASE_URL": postgres}))[0]
        == "ok"
    )


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
def test_environment_variables_are_checked(make_context, environ, level, message):
    result = worst_finding(variables.settings, make_context(environ=environ))
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
def test_settings_file_is_checked(make_context, home, text, mode, level, message):
    (home / "env").write_bytes(text if isinstance(text, bytes) else text.encode())
    (home / "env").chmod(mode)
    result = worst_finding(variables.settings, make_context())
    assert (result[0], message in result[1]) == (level, True)


@pytest.mark.parametrize(
    ("user", "level"), [("", "warning"), ("ada", "warning"), ("ada@example.org", "ok")]
)
def test_user_name_must_be_an_email_address(make_context, user, level):
    result = worst_finding(variables.who_you_are, make_context(environ={"PRISM_USER": user}))
    assert (result[0], "prism init --user" in result[1]) == (level, level != "ok")


def test_user_name_comes_from_a_remote_daemon(make_context):
    distant_daemon = {"url": "https://prism.example.org", "environ": {"PRISM_USER": ""}}
    examined = make_context(**distant_daemon, status=STATUS | {"user": "bob@example.org"})
    assert worst_finding(variables.who_you_are, examined) == (
        "ok",
        "bob@example.org, according to the daemon at PRISM_URL | ",
    )
    assert worst_finding(variables.who_you_are, make_context(**distant_daemon))[0] == "skipped"


@pytest.fixture
def check_aws(make_context, tmp_path):
    """A function that checks AWS with these files and variables."""
    (tmp_path / ".aws").mkdir()

    def look(credentials=None, config=None, profiles=None, mode=0o600, **environ):
        for name, text in (("credentials", credentials), ("config", config)):
            if text is not None:
                (tmp_path / ".aws" / name).write_text(text)
                (tmp_path / ".aws" / name).chmod(mode)
        more = {} if profiles is None else {"status": STATUS}
        ask = answers({Profiles.list: profiles})
        return worst_finding(
            aws.aws_credentials,
            make_context(environ={"HOME": str(tmp_path)} | environ, ask=ask, **more),
        )

    return look


KEYS = "[lab]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = verysecret\n"


def test_aws_check_lists_profiles_with_credentials_only(check_aws):
    config = (
        "[profile sso]\nsso_session = x\n[sso-session x]\n[profile bare]\nregion = eu-west-1\n"
    )
    level, message = check_aws(KEYS, config)
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
def test_aws_credentials_are_checked(check_aws, settings, level, message):
    result = check_aws(**settings)
    assert (result[0], message in result[1]) == (level, True)


def test_prism_profile_with_a_missing_aws_profile_is_broken(check_aws):
    mine = {"name": "mine", "provider": "aws", "aws_profile": "lost"}
    level, message = check_aws(KEYS, profiles=[mine, {"name": "local", "provider": "local"}])
    assert (level, "the AWS profile lost, which no file has" in message) == ("broken", True)
    fine = mine | {"aws_profile": "lab"}
    assert check_aws(KEYS, profiles=[fine])[0] == "ok"


def test_doctor_does_not_start_a_daemon(prism, home):
    done = prism("doctor", PRISM_PORT="0")
    assert (done.returncode, "✓ daemon" in done.stdout) == (0, True), done.stdout
    assert done.stderr.startswith("Prism works, with")
    assert not (home / "daemon.lock").exists()


def test_doctor_json_exits_with_1_if_a_check_is_broken(prism):
    done = prism("doctor", "--json", PRISM_PORT="http")
    findings = {load["said"]: load for load in json.loads(done.stdout)}
    assert done.returncode == 1
    assert findings["PRISM_PORT is 'http'"]["level"] == "broken"
    assert findings["PRISM_PORT is 'http'"]["check"] == "settings"
    assert "One check failed" in done.stderr


def test_doctor_uses_a_running_daemon_with_get_requests_only(prism, server):
    server.on("GET /daemon/status", STATUS)
    server.on("GET /templates/validate", answers({})(Templates.validate))
    server.on("GET /instances", []).on("GET /profiles", [])
    done = prism("doctor", PRISM_PORT="0", PRISM_USER="ada@example.org")
    assert f"✓ version          {__version__}, both" in done.stdout
    assert "healthy, up 5s" in done.stdout
    assert all(request.method == "GET" for request in server.asked)


def test_doctor_skips_local_checks_for_a_remote_daemon(prism):
    done = prism("doctor", PRISM_URL="http://127.0.0.1:1")
    assert (done.returncode, "bubblewrap" in done.stdout) == (1, False)
    assert "✗ daemon" in done.stdout


def test_doctor_prints_ascii_marks_on_an_ascii_terminal(prism):
    done = prism("doctor", PRISM_PORT="0", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "ok python" in done.stdout


IDENTITY = "arn:aws:iam::1:user/ada"
LAB: dict[str, Any] = {
       "profile": "lab", "region": "us-west-2", "identity": IDENTITY, "problem": None,
       "remediation": None, "missing": [], "unknown": [], "note": None}  # fmt: skip
REFUSED = {"name": "launch", "ok": False, "message": "no t3", "remediation": "ask"}


@pytest.mark.parametrize(
    ("more", "level", "message"),
    [
        ({}, "ok", f"lab is {IDENTITY} in us-west-2"),
        ({"unknown": ["a", "b"]}, "ok", "2 permissions could not be tried"),
        ({"missing": ["ec2:RunInstances"]}, "warning", "may not ec2:RunInstances"),
        ({"missing": ["ec2:RunInstances"]}, "warning", "prism aws policy"),
        ({"checks": [REFUSED]}, "warning", "no t3"),
        ({"note": "there is no role for machines"}, "warning", "prism aws setup"),
        ({"problem": "expired", "remediation": "log in"}, "broken", "log in"),
        ({"problem": "expired", "remediation": "`prism doctor`"}, "broken", "prism aws check lab"),
    ],
)
def test_aws_identity_and_permissions_of_the_daemon_are_checked(
    make_context, more, level, message
):
    status = STATUS | {"aws_connectivity": "connected"}
    ask = answers({Daemon.aws: [LAB | more]})
    result = worst_finding(aws.aws_access, make_context(status=status, ask=ask))
    assert (result[0], message in result[1]) == (level, True)


def test_aws_access_is_not_checked_if_unused_or_disconnected(make_context):
    unused = STATUS | {"aws_connectivity": "not_configured"}
    assert worst_finding(aws.aws_access, make_context(status=unused)) == ("ok", "not used | ")
    asleep = STATUS | {"aws_connectivity": "disconnected"}
    ask = answers({Daemon.aws: []})
    assert (
        "AWS was not asked"
        in worst_finding(aws.aws_access, make_context(status=asleep, ask=ask))[1]
    )
    assert worst_finding(aws.aws_access, make_context())[0] == "skipped"


def test_checks_run_concurrently_and_are_reported_in_order(make_context, monkeypatch):
    both = threading.Barrier(2, timeout=120)

    def first(context):
        both.wait()  # the second runs meanwhile, or this never ends
        return ok("one")

    def second(context):
        both.wait()
        return ok("two")

    for name, checks in (("EVERYWHERE", (first, second)), ("LOCAL_CHECKS", ()), ("AROUND", ())):
        monkeypatch.setattr(rounds, name, checks)
    assert [check.message for check in rounds.run_checks(make_context())] == ["one", "two"]


@pytest.mark.parametrize("raised", [DaemonUnreachable("it has gone"), ZeroDivisionError()])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_exception_in_a_check_is_raised(make_context, monkeypatch, raised):
    def failing(context):
        yield ok("one")
        raise raised

    for name, checks in (("EVERYWHERE", (failing,)), ("LOCAL_CHECKS", ()), ("AROUND", ())):
        monkeypatch.setattr(rounds, name, checks)
    with pytest.raises((DaemonUnreachable, RuntimeError), match=r"it has gone|failing has failed"):
        list(rounds.run_checks(make_context()))


def test_checks_without_the_daemon_run_while_it_is_queried(make_context, monkeypatch):
    begun, answered = threading.Event(), threading.Event()

    def trial(context):
        begun.set()
        assert answered.wait(120)  # the daemon is asked meanwhile, or this never ends
        return ok("tried")

    def asked(self):
        assert begun.wait(120)
        answered.set()
        return replace(self, status=STATUS)

    def status(context):
        return ok(context.status["status"])

    monkeypatch.setattr(CheckContext, "asked", asked)
    monkeypatch.setattr(rounds, "SLOW_CHECKS", (trial,))
    for name, checks in (("EVERYWHERE", (status,)), ("LOCAL_CHECKS", (trial,)), ("AROUND", ())):
        monkeypatch.setattr(rounds, name, checks)
    assert [check.message for check in rounds.run_checks(make_context())] == ["healthy", "tried"]


def test_daemon_that_refuses_the_token_is_not_called_missing(make_context):
    refused = make_context(url="https://prism.example.org", fault=Denied("The token is not valid"))
    for check in (service.version, aws.aws_access, variables.who_you_are):
        level, message = worst_finding(check, refused)
        assert (level, "The token is not valid" in message) == ("skipped", True)
        assert "no daemon" not in message
    local = make_context(fault=Denied("The token is not valid"))
    assert worst_finding(service.daemon, local)[0] == "broken"
    silent = make_context(fault=DaemonUnreachable("No daemon"))
    assert "no daemon runs" in worst_finding(service.version, silent)[1]
