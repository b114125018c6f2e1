"""Workspaces on a lab server, after the database of the daemon was deleted."""

import pytest

from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

pytestmark = LAB


@pytest.fixture
def home(tmp_path, lab):
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


def states(home):
    return {workspace.name: str(workspace.state) for workspace in home.client.workspaces.list()}


def test_workspaces_of_a_server_are_recovered_after_the_database_was_deleted(lab, home):
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "runs")
        home.must("launch", "plain-shell", "off")
        home.inside("off", "echo kept > notes")
        home.must("stop", "off")
    for file in home.folder.glob("state.db*"):
        file.unlink()
    with home.run_daemon():
        # Without a profile, nothing leads to the server, and nothing there is removed.
        assert home.cli_json("list") == []
        home.begin()

        def orphans():
            return {orphan["name"] for orphan in home.cli_json("orphans")["orphans"]}

        eventually(lambda: orphans() == {"runs", "off"}, 120)
        home.cli_json("recover")
        eventually(lambda: states(home) == {"runs": "running", "off": "stopped"}, 120)
        supervisors = [each for each in lab.programs() if "supervisor.py" in str(each.cmdline())]
        assert len(supervisors) == 1
        home.must("start", "off")
        assert home.inside("off", "cat notes").strip() == "kept"
