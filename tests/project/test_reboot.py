"""A reboot of the computer: all processes end, and the kernel has another boot id."""

import contextlib
import json
import signal

import psutil
import pytest

from tests.project.home import Home
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def reboot(home, daemon):
    """Kills all processes at once, as a power cut does; the next start sees another boot."""
    for process in (psutil.Process(daemon.pid), *home.processes()):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    daemon.wait(120)
    eventually(lambda: home.processes() == [])
    for seen_file in (home.folder / "workspaces").glob("local-*/seen.json"):
        seen_file.write_text(json.dumps(json.loads(seen_file.read_bytes()) | {"boot": "another"}))


@pytest.mark.timeout(240)
def test_workspaces_are_started_again_or_listed_with_the_reason_after_a_reboot(home):
    with home.run_daemon() as daemon:
        for name, words in (("again", ["--restart"]), ("left", []), ("slept", ["--restart"])):
            assert home.cli_json("launch", "Plain Shell", name, *words)["state"] == "running"
        assert home.cli_json("hibernate", "slept")["state"] == "hibernated"
        assert home.cli_json("show", "again")["restart"] is True
        assert home.cli_json("workspace", "update", "left", "--restart")["restart"] is True
        assert home.cli_json("workspace", "update", "left", "--no-restart")["restart"] is False
        reboot(home, daemon)
    with home.run_daemon():
        ended = {"again": "running", "left": "stopped", "slept": "stopped"}

        def states():
            return {workspace.name: workspace.state for workspace in home.client.workspaces.list()}

        eventually(lambda: states()["slept"] == states()["left"] == "stopped", 120)
        eventually(lambda: states() == ended, 120)
        why = home.cli("list").stderr
        assert "left is stopped: the computer was restarted" in why
        assert (
            "slept is stopped: the computer was restarted; what was in its memory is lost" in why
        )
        assert "again is " not in why
        reasons = [
            line["data"].get("reason") for line in home.cli_json("audit", "--subject", "again")
        ]
        assert any(
            "the computer was restarted; it is started again" in str(reason) for reason in reasons
        )
        for name in ended:
            assert home.cli_json("terminate", name, "--yes")["state"] == "terminated"
    assert home.processes() == []
