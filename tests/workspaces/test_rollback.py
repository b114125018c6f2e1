"""Rollbacks on real machines: the files of a workspace become those of one of its snapshots."""

import pytest

from tests.project.home import Home
from tests.waiting import eventually


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


@pytest.fixture
def mine(home):
    """The home folder of a running workspace with one snapshot, `before`; it changed since."""
    with home.run_daemon():
        home.cli_json("launch", "Plain Shell", "mine")
        [folder] = home.folder.glob("workspaces/local-*/home")
        (folder / "thesis.txt").write_text("good")
        (folder / "data").mkdir()
        (folder / "data" / "table.csv").write_text("1,2")
        home.cli_json("snapshot", "create", "before", "--workspace", "mine")
        (folder / "thesis.txt").write_text("ruined")
        (folder / "data" / "table.csv").unlink()
        (folder / "new.txt").write_text("since then")
        yield folder


def files(folder):
    """The contents of the person's own files."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in (folder / "thesis.txt", folder / "data" / "table.csv", folder / "new.txt")
        if path.exists()
    }


GOOD = {"thesis.txt": "good", "data/table.csv": "1,2"}
RUINED = {"thesis.txt": "ruined", "new.txt": "since then"}


@pytest.mark.timeout(240)
def test_rollback_of_a_running_workspace_and_the_way_back(home, mine):
    done = home.cli("rollback", "mine", "before")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "mine has the files of before, and is running\n"
    assert "kept in the snapshot mine-before-rollback" in done.stderr
    assert files(mine) == GOOD
    assert home.cli("exec", "mine", "--", "cat", "thesis.txt").stdout == "good"
    eventually(lambda: not [*mine.parent.glob("*replacement-*")])
    back = home.cli_json("rollback", "mine", "mine-before-rollback")
    assert (back["state"], back["rolling_back"]) == ("running", False)
    assert files(mine) == RUINED
    names = {snapshot["name"] for snapshot in home.cli_json("snapshot", "list")}
    assert names == {"before", "mine-before-rollback", "mine-before-rollback-2"}
    history = str(home.cli_json("audit", "--subject", "mine"))
    assert "instance_rollback_asked" in history
    assert "instance_rolled_back" in history
    for name in names:
        assert home.cli("snapshot", "delete", name, "--yes").returncode == 0
    home.cli_json("terminate", "mine", "--yes", "--backup")
    assert [copy["name"] for copy in home.cli_json("snapshot", "list")] == ["mine-backup"]


@pytest.mark.timeout(240)
def test_stopped_workspace_stays_stopped_and_a_restore_onto_it_is_refused(home, mine):
    home.cli_json("stop", "mine")
    refused = home.cli("snapshot", "restore", "before", "mine")
    assert refused.returncode != 0
    assert "`prism rollback mine before`" in refused.stderr
    assert files(mine) == RUINED
    assert home.cli_json("volume", "list") == {"efs_volumes": [], "ebs_volumes": []}
    assert home.cli_json("rollback", "mine", "before")["state"] == "stopped"
    assert files(mine) == GOOD
    home.cli_json("terminate", "mine", "--yes")


@pytest.mark.timeout(240)
def test_launch_from_a_snapshot_begins_with_its_files(home, mine):
    seen = home.cli_json("launch", "Plain Shell", "other", "--from-snapshot", "before")
    assert (seen["state"], seen["rolling_back"]) == ("running", False)
    [other] = {*home.folder.glob("workspaces/local-*/home")} - {mine}
    assert files(other) == GOOD
    assert home.cli("exec", "other", "--", "cat", "data/table.csv").stdout == "1,2"
    assert files(mine) == RUINED
    for name in ("mine", "other"):
        home.cli_json("terminate", name, "--yes")


@pytest.mark.timeout(240)
def test_damaged_snapshot_changes_nothing(home, mine):
    home.cli_json("stop", "mine")
    [copy] = home.folder.glob("storage/snapshots/snap-*/data/thesis.txt")
    copy.write_text("evil")
    done = home.cli("rollback", "mine", "before")
    assert done.returncode != 0
    assert "It was not rolled back" in done.stderr
    assert "thesis.txt" in done.stderr
    assert files(mine) == RUINED
    assert home.cli_json("show", "mine")["failure"]["code"] == "ROLLBACK_FAILED"
    assert home.cli_json("start", "mine")["state"] == "running"
    home.cli_json("terminate", "mine", "--yes")
