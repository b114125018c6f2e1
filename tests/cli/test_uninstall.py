"""What `prism uninstall` refuses, and what it would do."""

import os

import pytest

from prism.cli.uninstall import how_to_remove_the_program
from tests.cli.shown import workspace


@pytest.fixture
def known(server, home, environ, tmp_path):
    """A home with a workspace in the cloud, and another here."""
    (home / "workspaces").mkdir(exist_ok=True)
    environ["HOME"] = str(tmp_path)  # a home of Prism's is not a person's
    server.on("GET /instances", [workspace("here"), workspace("far", region="us-east-1")])
    server.on("GET /storage/volumes", {"efs_volumes": [], "ebs_volumes": []})
    server.on("GET /snapshots", {"snapshots": []})
    server.on("GET /daemon/status", {"places": [{"provider": "aws"}]})
    return server


def test_a_dry_run_changes_nothing(prism, known, home):
    before = sorted(os.listdir(home))
    done = prism("uninstall", "--dry-run", "--data", "keep")
    assert done.returncode == 0, done.stderr
    assert "would stop the workspaces in the cloud: far" in done.stdout
    assert {it.method for it in known.asked} == {"GET"}
    assert sorted(os.listdir(home)) == before


def test_data_that_alone_knows_machines_in_the_cloud_is_not_deleted(prism, known):
    done = prism("uninstall", "--data", "delete")
    assert done.returncode == 1
    assert "machines in the cloud would go on costing money" in done.stderr
    assert "`prism terminate far`" in done.stderr
    assert {it.method for it in known.asked} == {"GET"}
    known.on("GET /instances", [workspace("here")])
    volume = {"name": "data"}
    known.on("GET /storage/volumes", {"efs_volumes": [volume], "ebs_volumes": []})
    done = prism("uninstall", "--data", "delete")
    assert (done.returncode, "storage in the cloud" in done.stderr) == (1, True)


@pytest.mark.parametrize("which", ["/", "person", "parent"])
def test_a_folder_that_is_no_home_of_ours_is_left_alone(prism, tmp_path, which):
    person = tmp_path / "person"
    person.mkdir()
    (tmp_path / "workspaces").mkdir()
    (person / "workspaces").mkdir()
    folder = {"/": "/", "person": str(person), "parent": str(tmp_path)}[which]
    done = prism("uninstall", "--data", "delete", PRISM_HOME=folder, HOME=str(person))
    assert (done.returncode, "Nothing was removed" in done.stderr) == (1, True)
    assert person.exists()


def test_a_daemon_elsewhere_is_not_touched(prism):
    done = prism("uninstall", "--yes", PRISM_URL="http://lab.example:1")
    assert (done.returncode, "PRISM_URL" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/a/.local/share/uv/tools/prism", "`uv tool uninstall prism`"),
        ("/home/a/.local/pipx/venvs/prism", "`pipx uninstall prism`"),
        ("/opt/venv", "`pip uninstall prism` in the environment /opt/venv, or remove its folder"),
    ],
)
def test_how_the_program_itself_goes(prefix, command):
    assert how_to_remove_the_program(prefix) == command
