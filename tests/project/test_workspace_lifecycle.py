"""A workspace from launch to termination: real daemon, command line and JupyterLab."""

import contextlib
import signal

import psutil
import pytest

from tests.jupyter import Kernel
from tests.project.home import Home
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


FROZEN = 0.1  # seconds of CPU until everything has stopped; a program that computes uses more
PROGRAM = """
import os, pathlib, signal
x = 6
def answer(*_):
    pathlib.Path("draft").write_text(str(x * 7))
    os.rename("draft", "answer")
signal.signal(signal.SIGUSR1, answer)
pathlib.Path("pid").write_text(str(os.getpid()))
while True:
    pass
"""


class Program:
    """A program that computes, with a number in its memory."""

    def __init__(self, home):
        self.home = home
        self.run(f"setsid python -c '{PROGRAM}' <&- >&- 2>&- &")

    def run(self, line):
        """The output of a shell command in the workspace."""
        done = self.home.cli("exec", "mine", "--", "sh", "-c", line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def answer(self):
        """The answer that the program computes from its memory."""
        self.run("kill -USR1 $(cat pid)")
        return eventually(lambda: self.run("cat answer 2>&- || true"))

    def write(self):
        """Writes a file."""
        self.run("echo here > kept.txt")

    def read(self):
        """The file, read after the next start."""
        return self.run("cat kept.txt")


class Notebook:
    """A kernel of the real JupyterLab that does the same."""

    def __init__(self, home):
        self.home, self.kernel = home, kernel(home)
        self.kernel.run("x = 6")
        self.kernel.send("while True: pass")

    def answer(self):
        """The answer that the kernel computes from its memory."""
        self.kernel = interrupt(self.home, self.kernel)
        return self.kernel.run("print(x * 7, end='')")

    def write(self):
        """Writes a file."""
        self.kernel.run("open('kept.txt', 'w').write('here\\n')")
        self.kernel.close()

    def read(self):
        """The file, read by a kernel after the next start."""
        fresh = kernel(self.home)
        content = fresh.run("print(open('kept.txt').read(), end='')")
        fresh.close()
        return content


def kernel(home, id=None):
    jupyter = home.cli_json("connect", "mine")["services"]["jupyter"]
    return Kernel(jupyter["url"], jupyter["token"], id)


def cpu(home):
    """The CPU seconds of the processes of the workspace."""
    spent = 0.0
    for process in home.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "supervisor.py" not in " ".join(process.cmdline()):
                spent += sum(process.cpu_times()[:2])
    return spent


# The installation of JupyterLab takes most of the time.
@pytest.mark.timeout(280)
@pytest.mark.parametrize(
    ("template", "work_type"),
    [
        ("Plain Shell", Program),
        pytest.param("JupyterLab", Notebook, marks=pytest.mark.slow),
    ],
)
def test_workspace_keeps_memory_and_files_from_launch_to_termination(home, template, work_type):
    with home.run_daemon() as daemon:
        launched = home.cli_json("launch", template, "mine", "--ttl", "8")
        assert launched["state"] == "running"
        work = work_type(home)
        before = cpu(home)
        eventually(lambda: cpu(home) > before + 0.2)
        assert home.cli_json("hibernate", "mine")["state"] == "hibernated"
        asleep = cpu(home)
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(120)
    assert cpu(home) < asleep + FROZEN, "it stays frozen without a daemon"
    with home.run_daemon():
        assert home.cli_json("show", "mine")["state"] == "hibernated"
        assert cpu(home) < asleep + FROZEN
        assert home.cli_json("resume", "mine")["state"] == "running"
        assert work.answer() == "42"
        work.write()

        assert home.cli_json("stop", "mine")["state"] == "stopped"
        assert len(home.processes()) <= 1, "only the supervisor may remain"
        assert home.cli_json("start", "mine")["state"] == "running"
        assert work.read() == "here\n"

        expiry = home.cli_json("show", "mine")["expires_at"]
        assert home.cli("extend", "mine", "4").returncode == 0
        assert home.cli_json("show", "mine")["expires_at"] > expiry

        assert home.cli("terminate", "mine").returncode == 1, "it cannot ask for confirmation"
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"
        assert home.processes() == []
        assert set(remaining_files(home)) == {"lock", "seen.json", "wanted.json"}, (
            "the files that record the termination"
        )
        assert home.cli("launch", "Plain Shell", "mine").returncode == 0, (
            "the name can be used again"
        )
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"
        assert sorted(remaining_files(home)) == sorted(["lock", "seen.json", "wanted.json"] * 2)
    with home.run_daemon(PRISM_TERMINATED_RETENTION="1"):
        eventually(
            lambda: not any(path.is_dir() for path in (home.folder / "workspaces").iterdir())
        )


def remaining_files(home):
    """The names of all files that workspaces have left."""
    return [path.name for path in (home.folder / "workspaces").glob("*/**/*") if not path.is_dir()]


def interrupt(home, kernel_):
    """The same kernel after an interrupt, without the pending output."""
    kernel_._ask("POST", f"/api/kernels/{kernel_.id}/interrupt", {})
    kernel_.close()
    again = kernel(home, kernel_.id)
    eventually(lambda: again.run("print('listening')"))
    return again


def test_events_command_starts_no_daemon_and_continues_with_the_next_one(home):
    with home.run_daemon() as daemon, home.run_command("events", "--since", "0") as reader:
        home.cli_json("project", "create", "one")
        assert any("project_created" in line for line in reader.stdout)
        assert home.cli("daemon", "stop").returncode == 0
        assert daemon.wait(120) == 0
        with home.run_daemon() as another:
            home.cli_json("project", "create", "two")
            assert any("  two  " in line for line in reader.stdout)
            assert another.poll() is None, "the second daemon still runs"
        reader.terminate()
        assert reader.communicate()[1] == "", "it started no daemon meanwhile"
