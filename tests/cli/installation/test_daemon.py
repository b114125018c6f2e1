"""`prism daemon` and the automatic start, with real processes and a fake `prismd`."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from prism.cli.connection import StartingWire
from prism.cli.installation import daemon_log, daemon_start
from prism.cli.installation.daemon_start import GAVE_WAY, daemon_info
from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.client.transport.trust import DaemonNotTrusted
from prism.daemon.main import only_one
from tests.cli.conftest import SOURCE
from tests.client.scripted import Scripted
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(60)  # in case a command never ends


@pytest.fixture
def installed_python(home, environ):
    """A Python interpreter with the fake `prismd` in the same folder."""
    scripts = home / "venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").symlink_to(sys.executable)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", home / "venv")
    prismd = scripts / "prismd"
    fake = Path(__file__).parents[1] / "fake_prismd.py"
    prismd.write_text(f"#!{sys.executable}\n{fake.read_text()}")
    prismd.chmod(0o755)
    environ["PYTHONPATH"] = str(SOURCE)
    yield (scripts / "python", "-m", "prism.cli.main")
    for pid in pids(home):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            eventually(partial(has_ended, pid))


def has_ended(pid):
    return not Path(f"/proc/{pid}").exists() or zombie(pid)


def pids(home):
    log = home / "daemon.log"
    text = log.read_text() if log.exists() else ""
    return [int(pid) for pid in re.findall(r"fake daemon (\d+)", text)]


def zombie(pid):
    with contextlib.suppress(FileNotFoundError):
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    return True


def test_first_command_starts_the_daemon_and_the_second_uses_it(prism, installed_python, home):
    first = prism("list", "--json", command=installed_python)
    assert (first.returncode, first.stdout) == (0, "[]\n")
    assert first.stderr == "Starting the daemon\n"
    assert prism("list", "--json", command=installed_python).stderr == ""
    assert len(pids(home)) == 1
    assert "terminal False" in (home / "daemon.log").read_text(), (
        "the daemon has no terminal, so Ctrl-C does not end it"
    )
    assert (home / "daemon.log").stat().st_mode & 0o777 == 0o600


def test_command_does_not_restart_a_daemon_that_was_stopped_meanwhile(
    prism, installed_python, home, monkeypatch
):
    monkeypatch.setattr(
        daemon_start, "daemon_command", lambda: [str(installed_python[0].with_name("prismd"))]
    )
    wire = StartingWire(DaemonAddress(str(home)))
    assert wire.ask("GET", "/instances") == []
    assert prism("daemon", "stop", command=installed_python).returncode == 0
    with pytest.raises(DaemonUnreachable, match="No daemon at"):
        wire.ask("GET", "/instances")
    assert len(pids(home)) == 1


def test_daemon_starts_with_a_missing_home_and_with_a_stale_socket(prism, installed_python, home):
    fresh = home / "fresh"
    assert prism("list", command=installed_python, PRISM_HOME=str(fresh)).returncode == 0
    assert fresh.stat().st_mode & 0o777 == 0o700
    [pid] = pids(fresh)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: zombie(pid))
    assert (fresh / "prism.sock").exists(), "the killed daemon left its socket"
    again = prism("list", command=installed_python, PRISM_HOME=str(fresh))
    assert (again.returncode, len(pids(fresh))) == (0, 2)
    os.kill(pids(fresh)[1], signal.SIGKILL)


def test_concurrent_commands_start_one_daemon(prism, installed_python, home):
    with ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(prism, "list", "--json", command=installed_python) for _ in range(6)]
    assert [(run.result().returncode, run.result().stdout) for run in runs] == [(0, "[]\n")] * 6
    eventually(lambda: sum(not zombie(pid) for pid in pids(home)) == 1)


def test_daemon_start_is_retried_while_the_previous_daemon_is_stopping(
    prism, installed_python, home
):
    (home / "leaving").touch()
    assert prism("list", "--json", command=installed_python).stdout == "[]\n"
    assert len(pids(home)) == 2, "the first exited because of a daemon that was stopping"


def test_failed_daemon_start_prints_the_end_of_the_log(prism, installed_python, home):
    (home / "daemon.log").write_text("from the last time\n")
    done = prism("list", command=installed_python, FAKE="dies")
    assert (done.returncode, done.stdout) == (3, "")
    assert "ended with exit code 1" in done.stderr
    assert "the disk is on fire" in done.stderr
    assert "from the last time" not in done.stderr
    assert "hint: Its whole log: `prism daemon logs`" in done.stderr


def test_daemon_start_status_and_stop_print_their_result(prism, installed_python, home):
    assert prism("daemon", "status", command=installed_python).returncode == 3
    assert not pids(home), "`daemon status` does not start a daemon"
    started = prism("daemon", "start", command=installed_python)
    assert (started.returncode, "workspaces  3, 2 active\n" in started.stdout) == (0, True)
    assert prism("daemon", "start", command=installed_python).stderr == "", (
        "the daemon already runs"
    )
    assert "address     http://localhost:7\n" in started.stdout, (
        "the real port, not that of the settings"
    )
    status = json.loads(prism("daemon", "status", "--json", command=installed_python).stdout)
    assert status["status"] == "healthy"
    stopped = prism("daemon", "stop", command=installed_python)
    assert (stopped.returncode, stopped.stdout) == (
        0,
        "The daemon stopped; workspaces stay as they are\n",
    )
    assert all(map(zombie, pids(home))), "the daemon has ended when the command prints so"
    again = prism("daemon", "stop", command=installed_python)
    assert (again.returncode, again.stderr) == (0, "No daemon runs\n")
    logs = prism("daemon", "logs", "-n", "1", command=installed_python)
    assert logs.stdout == "fake daemon stopped\n"


def test_remote_daemon_is_not_started(prism, installed_python, home):
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
    for words in (["list"], ["daemon", "start"]):
        assert prism(*words, command=installed_python, PRISM_URL=url).returncode == 3
    assert not pids(home)


def test_requests_to_a_remote_daemon_contain_the_token(prism, home):
    server = Scripted.on_port().on("GET /profiles", [])
    try:
        prism("profile", "list", PRISM_URL=server.url, PRISM_TOKEN="secret")
        assert server.asked[0].headers["authorization"] == "Bearer secret"
    finally:
        server.close()


def test_daemon_logs_are_printed_as_text_and_as_json(prism, home):
    assert prism("daemon", "logs").returncode == 1
    record = {"at": "2026-01-01T10:00:00.123Z", "level": "error", "logger": "l", "message": "no"}
    lines = ["Traceback (plain)", json.dumps(record), json.dumps(record | {"trace": "a\nb"}), "{}"]
    (home / "daemon.log").write_text("\n".join(lines) + "\n")
    assert prism("daemon", "logs", TZ="UTC").stdout.splitlines() == [
        "Traceback (plain)",
        "2026-01-01 10:00:00  error    no",
        "2026-01-01 10:00:00  error    no",
        "a",
        "b",
        "{}",
    ]
    assert json.loads(prism("daemon", "logs", "--json").stdout)["lines"] == lines


def test_daemon_logs_returns_the_last_lines_of_a_long_log(prism, home):
    (home / "daemon.log").write_text("".join(f"{n:0100}\n" for n in range(5000)))
    lines = prism("daemon", "logs", "-n", "2000").stdout.splitlines()
    assert [int(line) for line in lines] == [*range(3000, 5000)]


def test_daemon_logs_follow_prints_only_complete_new_lines(begin_command, home):
    log = home / "daemon.log"
    log.write_text("one\ntwo\n")
    child = begin_command("daemon", "logs", "-f")
    assert [child.stdout.readline(), child.stdout.readline()] == ["one\n", "two\n"]
    for piece in ("thr", "ee\nfour\n"):
        with log.open("a") as more:
            more.write(piece)
    assert [child.stdout.readline(), child.stdout.readline()] == ["three\n", "four\n"]
    child.send_signal(2)
    assert child.wait(120) == 130


def test_second_real_daemon_exits_while_the_first_runs(environ, home):
    with only_one(home):
        prismd = Path(sys.executable).with_name("prismd")
        second = subprocess.run([prismd], env=environ, capture_output=True, text=True, timeout=120)
        assert (second.returncode, GAVE_WAY in second.stderr) == (1, True)
        assert daemon_info(DaemonAddress(str(home)))["pid"] == os.getpid()
    assert daemon_info(DaemonAddress(str(home))) == {}


def test_daemon_stop_ends_a_daemon_that_fails_to_shut_down(prism, installed_python, home):
    assert prism("list", command=installed_python, FAKE="sick").returncode == 0
    stopped = prism("daemon", "stop", command=installed_python)
    assert (stopped.returncode, stopped.stdout) == (
        0,
        "The daemon stopped; workspaces stay as they are\n",
    )
    assert all(map(zombie, pids(home)))


def test_daemon_is_started_as_a_module_without_a_script(installed_python, prism, home):
    (home / "venv" / "bin" / "prismd").unlink()
    code = (
        "from prism.cli.installation.daemon_start import daemon_command; print(*daemon_command())"
    )
    done = subprocess.run(
        [installed_python[0], "-c", code],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split()[1:] == ["-m", "prism.daemon.start"]


class Clock:
    """A clock that only advances in `sleep`."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, _):
        self.now += 1.0


class EndlessProcess:
    """A process that does not end."""

    returncode = None

    def poll(self):
        return None


@pytest.mark.parametrize(("after", "comes"), [(5, True), (40, True), (1000, False)])
def test_daemon_start_waits_up_to_a_minute_for_an_answer(monkeypatch, home, capsys, after, comes):
    """A busy computer is slow: a start took 18 s."""
    clock = Clock()
    monkeypatch.setattr(daemon_start, "time", clock)
    monkeypatch.setattr(daemon_start, "_spawn", lambda address: (EndlessProcess(), 0))
    monkeypatch.setattr(daemon_start, "is_listening", lambda address: clock.now >= after)
    address = DaemonAddress(str(home))
    if comes:
        daemon_start.start_daemon(address)
    else:
        with pytest.raises(DaemonUnreachable, match="does not answer"):
            daemon_start.start_daemon(address)
    assert ("It is still starting" in capsys.readouterr().err) is (after > 10)


def test_follower_of_a_log_that_is_shortened_prints_its_new_lines(monkeypatch, tmp_path):
    monkeypatch.setattr(daemon_log, "LOOK_AGAIN", 0.0)
    log = tmp_path / "daemon.log"
    log.write_text("old\n" * 100)
    lines = daemon_log.new_lines(str(log), log.stat().st_size)
    with log.open("a") as file:
        file.write("before\n")
    assert next(lines) == "before"

    def look_again(_):
        if log.stat().st_size > len("old\n"):
            log.write_text("old\n")
        else:
            with log.open("a") as file:
                file.write("after\n")

    monkeypatch.setattr("prism.cli.installation.daemon_log.time.sleep", look_again)
    assert next(lines) == "after"


def test_start_that_meets_the_listener_of_another_user_leaves_no_daemon(home, monkeypatch):
    processes = []

    def is_listening(_):
        raise DaemonNotTrusted("What listens there is not your daemon")

    def spawn(*arguments, **options):
        processes.append(process := subprocess.Popen(*arguments, **options))
        return process

    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(daemon_start, "daemon_command", lambda: sleeper)
    monkeypatch.setattr(daemon_start, "is_listening", is_listening)
    monkeypatch.setattr(
        daemon_start, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": spawn})
    )
    with pytest.raises(DaemonNotTrusted):
        daemon_start.start_daemon(DaemonAddress(str(home)))
    [process] = processes
    assert process.poll() == -signal.SIGTERM
