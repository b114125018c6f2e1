"""A reboot of the computer: all processes end, and the kernel has another boot id."""

import contextlib
import json
import signal

import psutil
import pytest

from tests.project.home import Home
from tests.waiting import eventually

SERVED = """
name: Served
description: a page
base: ubuntu-22.04
size: XS
package_manager: pip
packages: {pip: []}
ports: [8123]
services:
  page: {port: 8123, health: /, command: "python3 -m http.server {port} --bind 127.0.0.1"}
"""

SLOW = """
name: Slow
description: waits for a file
base: ubuntu-22.04
size: XS
package_manager: pip
packages: {pip: []}
post_install: ["touch ~/begun; until [ -e ~/go ]; do sleep 0.1; done"]
"""


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def kill_all(home, daemon):
    """Kills all processes at once, as a power cut does."""
    for process in (psutil.Process(daemon.pid), *home.processes()):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    daemon.wait(120)
    eventually(lambda: home.processes() == [])


def reboot(home, daemon):
    """Kills all processes; the next start sees another boot."""
    kill_all(home, daemon)
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


@pytest.mark.timeout(240)
def test_first_command_after_a_crash_or_a_reboot_knows_what_died(home):
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "served.yml").write_text(SERVED)
    with home.run_daemon() as daemon:
        home.cli_json("launch", "Served", "mine")
        kill_all(home, daemon)
    with home.run_daemon() as daemon:
        [listed] = home.cli_json("list")
        assert (listed["state"], listed["failure"]["code"]) == ("stopped", "MACHINE_DIED")
        home.cli_json("start", "mine")
        reboot(home, daemon)
    with home.run_daemon() as daemon:
        done = home.cli("open", "mine")
        assert done.returncode != 0
        assert "Workspace 'mine' is stopped: the computer was restarted" in done.stderr
        assert "`prism start mine`" in done.stderr
        home.cli_json("start", "mine")
        reboot(home, daemon)
    with home.run_daemon() as daemon:
        done = home.cli("start", "mine")
        assert (done.returncode, done.stdout) == (0, "mine is running\n"), done.stderr
        assert home.states() == ["running"]
        reboot(home, daemon)
    with home.run_daemon():
        done = home.cli("quickstart", "mine", "--json")
        assert done.returncode == 0, done.stderr
        assert "mine is stopped; starting it" in done.stderr
        assert json.loads(done.stdout)["service"] == "page"
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"
    assert home.processes() == []


@pytest.mark.timeout(240)
def test_launch_that_a_reboot_interrupts_goes_on(home):
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "slow.yml").write_text(SLOW)
    with home.run_daemon() as daemon:
        home.cli_json("launch", "Slow", "mine", "--no-wait")
        begun = eventually(lambda: [*home.folder.glob("workspaces/*/home/begun")])
        reboot(home, daemon)
    (begun[0].parent / "go").touch()
    with home.run_daemon():
        eventually(lambda: home.states() == ["running"])
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"
