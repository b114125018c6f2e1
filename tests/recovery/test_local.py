"""The real daemon and the real command line, after the database was deleted."""

import pytest

from tests.project.home import Home
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def states(home):
    return {workspace.name: str(workspace.state) for workspace in home.client.workspaces.list()}


@pytest.mark.timeout(280)
def test_workspaces_are_recovered_after_the_database_was_deleted(home):
    with home.run_daemon():
        home.cli_json("launch", "plain-shell", "runs", "--size", "S", "--ttl", "8")
        home.cli_json("launch", "plain-shell", "off")
        home.cli_json("launch", "plain-shell", "unwanted")
        home.cli_json("stop", "off")
        before = {line["name"]: line for line in home.cli_json("list")}
    for file in home.folder.glob("state.db*"):
        file.unlink()
    with home.run_daemon():
        assert home.cli_json("list") == []
        orphans = {orphan["name"]: orphan for orphan in home.cli_json("orphans")["orphans"]}
        assert orphans.keys() == {"runs", "off", "unwanted"}
        assert orphans["runs"]["instance_type"] == before["runs"]["instance_type"]
        dry = home.cli_json("recover", "--dry-run")
        assert sorted(workspace["name"] for workspace in dry["recovered"]) == [
            "off",
            "runs",
            "unwanted",
        ]
        assert [note for workspace in dry["recovered"] for note in workspace["notes"]] == [], (
            "the metadata is complete"
        )
        assert home.cli_json("list") == []
        id = orphans["unwanted"]["id"]
        assert home.cli("orphans", "terminate", id).returncode != 0, (
            "the termination was not confirmed"
        )
        home.cli_json("orphans", "terminate", id, "--yes")
        eventually(lambda: states(home) == {"unwanted": "terminated"}, 120)
        assert {orphan["name"] for orphan in home.cli_json("orphans")["orphans"]} == {
            "runs",
            "off",
        }
        supervisors = {machine.pid for machine in home.machines()}
        home.cli_json("recover")
        ended = {"unwanted": "terminated"}
        eventually(lambda: states(home) == {"runs": "running", "off": "stopped"} | ended, 120)
        vary = {"current_spend", "progress", "stage", "idle", "last_request", "launched_by"}
        # The first observation after the recovery adds its address.
        eventually(
            lambda: all(
                line["private_ip"] or line["name"] != "runs" for line in home.cli_json("list")
            )
        )
        for workspace in (home.cli_json("show", name) for name in ("runs", "off")):
            was = before[workspace["name"]]
            assert {k: v for k, v in workspace.items() if k not in vary} == {
                k: v for k, v in was.items() if k not in vary
            }
        assert supervisors <= {machine.pid for machine in home.machines()}, (
            "no supervisor was started again"
        )
        assert home.cli_json("start", "off")["state"] == "running"
        home.cli_json("terminate", "runs", "--yes")
        eventually(lambda: states(home)["runs"] == "terminated", 120)
