"""Workspaces on a real lab server, with a real daemon and the real command."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prism.catalog.plan import machine_type
from tests.project.home import Home
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.lab import Lab
from tests.waiting import eventually

pytestmark = LAB
DAEMON = (str(Path(__file__).parents[3] / ".venv/bin/prismd"),)


class LabHome(Home):
    """The home of a person who has a profile for the lab server."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        super().__init__(folder)
        self.environ |= {"HOME": str(lab.person), "PRISM_TERMINATED_RETENTION": "60"}

    def begin(self, *rates: str) -> None:
        """Make the profile, and use it."""
        self.must("profile", "create", "lab", "--provider", "ssh", "--host", "gpu1", *rates)
        self.must("profile", "switch", "lab")

    def must(self, *words: str) -> str:
        """Run a command that must succeed; returns what it prints."""
        done = self.cli(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def inside(self, name: str, script: str) -> str:
        """What a script prints inside."""
        return self.must("exec", name, "--", "sh", "-c", script)

    def state(self, name: str) -> str:
        """The state of a workspace."""
        return self.client.workspaces.get(name).state

    def page(self, name: str) -> Any:
        """What JupyterLab's API answers through the tunnel."""
        service = self.client.workspaces.connect(name).services["jupyter"]
        base = service.url.partition("?")[0].rstrip("/").removesuffix("/lab")
        request = urllib.request.Request(f"{base}/api/status?token={service.token}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


@pytest.fixture
def home(tmp_path: Path, lab: Lab) -> Iterator[LabHome]:
    """A home without a daemon yet."""
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


def tree(folder: Path) -> set[str]:
    """Every path below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_whole_life_of_jupyterlab(lab, home):
    (lab.home / "thesis.tex").write_text("mine")
    before = tree(lab.home)
    with home.run_daemon():
        home.begin("--cpu-hour", "0.05", "--gb-hour", "0.01")
        home.must("launch", "jupyterlab", "study")
        assert home.page("study")["kernels"] == 0
        view = home.client.workspaces.get("study")
        assert view.hourly_rate == pytest.approx(2 * 0.05 + 4 * 0.01)
        assert view.price_source == "rates of the profile"
        script = "id -u; echo kept > notes; echo wrong >&2"
        assert home.inside("study", script).split() == [str(lab.uid)]
        assert home.cli("exec", "study", "--", "sh", "-c", "exit 7").returncode == 7
        assert home.cli("exec", "study", "--", "cat", input="piped").stdout == "piped"
        assert "service jupyter answers" in home.must("logs", "study")
        # Programs inside do not see the rest of the account.
        assert home.cli("exec", "study", "--", "cat", str(lab.home)).returncode != 0
        assert "thesis" not in home.inside("study", "ls -a /home/researcher")
        home.must("stop", "study")
        assert not [each for each in lab.programs() if "supervisor.py" in " ".join(each.cmdline())]
        home.must("start", "study")
        assert home.inside("study", "cat notes").strip() == "kept"
        assert home.page("study")["kernels"] == 0
        home.must("terminate", "study", "--yes")
        eventually(lambda: home.state("study") == "terminated")
        left = {path.split("/")[0] for path in tree(lab.home) - before}
        assert left == {".prism-server"}
        [folder] = (lab.home / ".prism-server/workspaces").iterdir()
        assert tree(folder) <= {"seen.json", "wanted.json", "lock"}
        documented = {
            *("agent", "uv", "cache", "workspaces", "writing.lock"),
            *("etc-copy", "sandboxed", "networked", "filtered"),
        }
        names = {path.name for path in (lab.home / ".prism-server").iterdir()}
        assert names <= documented, names
        assert not [each for each in lab.programs() if "sshd" not in each.name()]
        home.must("profile", "switch", "local")
        home.must("profile", "delete", "lab")
        eventually(lambda: tree(lab.home) == before)
    assert (lab.home / "thesis.tex").read_text() == "mine"


def test_two_at_once_outlive_the_daemon_and_the_connection(lab, home):
    with home.run_daemon() as daemon:
        home.begin()
        assert home.client.workspaces.launch("plain-shell", "one").state
        home.must("launch", "plain-shell", "two")
        eventually(lambda: home.states() == ["running", "running"])
        assert home.client.workspaces.get("one").price_source == "no rate set"
        assert home.client.workspaces.get("one").hourly_rate is None
        home.inside("one", "nohup sleep 1000 >/dev/null 2>&1 & echo begun")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
    supervisors = [each for each in lab.programs() if "supervisor.py" in " ".join(each.cmdline())]
    assert len(supervisors) == 2
    with home.run_daemon():
        eventually(lambda: home.states() == ["running", "running"])
        assert "sleep 1000" in home.inside("one", "ps ax")
        lab.stop()
        assert home.cli("exec", "two", "--", "true").returncode != 0
        assert home.states() == ["running", "running"]  # not known to be gone
        lab.start()
        eventually(lambda: home.cli("exec", "two", "--", "true").returncode == 0)
        assert "sleep 1000" in home.inside("one", "ps ax")
        home.must("terminate", "one", "two", "--yes")


def test_server_that_was_rebooted_has_stopped_workspaces(lab, home):
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "box")
        home.inside("box", "echo kept > notes")
        lab.reboot()
        eventually(lambda: home.state("box") == "stopped")
        view = home.must("show", "box")
        assert "the computer was restarted" in view
        home.must("start", "box")
        assert home.inside("box", "cat notes").strip() == "kept"


def test_expiry_is_kept_by_the_server_without_a_daemon(lab, home):
    with home.run_daemon() as daemon:
        home.begin()
        home.must("launch", "plain-shell", "brief")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
    [folder] = (lab.home / ".prism-server/workspaces").iterdir()
    intent = json.loads((folder / "wanted.json").read_text())
    (folder / "wanted.json").write_text(json.dumps({**intent, "expires_at": 1.0}))
    assert intent["expire_action"] == "hibernate"
    eventually(lambda: json.loads((folder / "seen.json").read_text())["phase"] == "asleep")
    with home.run_daemon():
        eventually(lambda: home.state("brief") == "hibernated")


REFUSALS = [
    (["launch", "plain-shell", "x", "--instance-type", "g4dn.xlarge"], "GPU"),
    (["launch", "plain-shell", "x", "--spot"], "spot"),
    (["volume", "create", "data", "--size", "10"], "not there yet"),
    (["snapshot", "create", "s", "--workspace", "box"], "not there yet"),
]


def test_what_is_not_there_yet_is_refused_with_what_works(lab, home):
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "box")
        for words, why in REFUSALS:
            done = home.cli(*words)
            assert done.returncode != 0, words
            assert why in done.stderr, (words, done.stderr)
            helps = "hint:" in done.stderr or "copy files" in done.stderr
            assert helps, (words, done.stderr)
        assert home.states() == ["running"]


def test_size_of_a_stopped_workspace_is_changed_and_what_is_not_enforced_is_said(lab, home):
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "box")
        home.inside("box", "echo kept > notes")
        home.must("stop", "box")
        done = home.cli("resize", "box", "--size", "L", "--yes")
        assert done.returncode == 0, done.stderr
        assert "the number of CPUs is counted, and not enforced" in done.stdout + done.stderr
        home.must("start", "box")
        assert home.inside("box", "cat notes").strip() == "kept"
    [spec] = lab.home.glob(".prism-server/workspaces/*/order.json")
    limits = json.loads(spec.read_text())["limits"]
    kind = machine_type(None, "L")
    assert limits == {"cpus": kind.vcpus, "memory_mb": kind.memory_gib * 1024}
