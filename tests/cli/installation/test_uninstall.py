"""`prism uninstall`: dry runs and refusals."""

import json
import os
import subprocess

import pytest

from prism.cli.installation.uninstall import how_to_remove_the_program, mounts_below
from tests.cli.conftest import COMMAND
from tests.cli.shown import workspace


@pytest.fixture
def server_with_workspaces(server, home, environ, tmp_path):
    """A daemon with a workspace in the cloud and one on this computer."""
    (home / "workspaces").mkdir(exist_ok=True)
    (home / "daemon.lock").touch()
    environ["HOME"] = str(tmp_path)  # the home of Prism and the home of the user differ
    server.on("GET /instances", [workspace("here"), workspace("far", region="us-east-1")])
    server.on("GET /storage/volumes", {"efs_volumes": [], "ebs_volumes": []})
    server.on("GET /snapshots", [])
    server.on("GET /daemon/status", {"places": [{"provider": "aws"}]})
    server.on("GET /daemon/aws/leftovers", [])
    server.on("GET /profiles", [])
    return server


def test_uninstall_dry_run_sends_only_get_requests(prism, server_with_workspaces, home):
    before = sorted(os.listdir(home))
    done = prism("uninstall", "--dry-run", "--data", "keep")
    assert done.returncode == 0, done.stderr
    assert "would stop the workspaces in the cloud: far" in done.stdout
    assert {request.method for request in server_with_workspaces.asked} == {"GET"}
    assert sorted(os.listdir(home)) == before


def test_uninstall_dry_run_does_not_start_a_daemon(prism, home, environ, tmp_path):
    """It lists workspaces by their folders, and reports that a daemon would be started."""
    environ["HOME"] = str(tmp_path)
    (home / "daemon.lock").touch()
    for number, (name, phase) in enumerate((("up", "on"), ("down", "off"), ("old", "gone"))):
        folder = home / "workspaces" / f"local-{number:017x}"
        folder.mkdir(parents=True)
        (folder / "order.json").write_text(json.dumps({"key": "ws", "name": name}))
        (folder / "seen.json").write_text(json.dumps({"phase": phase}))
    before = sorted(home.rglob("*"))
    for data, refuses in (("keep", False), ("delete", True)):
        done = prism("uninstall", "--dry-run", "--data", data)
        assert done.returncode == 0, done.stderr
        assert "would start the daemon" in done.stdout
        assert "would stop the workspaces of this computer: up\n" in done.stdout
        assert "2 workspaces here\n" in done.stdout
        assert ("would refuse to go on if machines" in done.stdout) is refuses
    assert sorted(home.rglob("*")) == before, "a daemon would have written files"


def test_uninstall_refuses_to_delete_data_while_cloud_resources_exist(
    prism, server_with_workspaces
):
    done = prism("uninstall", "--data", "delete")
    assert done.returncode == 1
    assert "machines in the cloud would continue to cost money" in done.stderr
    assert "`prism terminate far`" in done.stderr
    assert {request.method for request in server_with_workspaces.asked} == {"GET"}
    server_with_workspaces.on("GET /instances", [workspace("here")])
    volume = {"name": "data"}
    server_with_workspaces.on("GET /storage/volumes", {"efs_volumes": [volume], "ebs_volumes": []})
    done = prism("uninstall", "--data", "delete")
    assert (done.returncode, "storage in the cloud" in done.stderr) == (1, True)


def test_uninstall_says_on_which_lab_server_workspaces_are(prism, server_with_workspaces):
    server_with_workspaces.on("GET /instances", [workspace("study", region="gpu2")])
    server_with_workspaces.on("GET /profiles", [{"name": "lab", "host": "gpu1,gpu2"}])
    places = [{"provider": "ssh", "place": f"ssh:{host}"} for host in ("gpu1", "gpu2")]
    server_with_workspaces.on("GET /daemon/status", {"places": places})
    done = prism("uninstall", "--dry-run", "--data", "keep")
    assert "would stop the workspaces on lab servers: study on gpu2\n" in done.stdout
    assert "cloud" not in done.stdout
    done = prism("uninstall", "--data", "delete")
    assert done.returncode == 1
    assert "study on gpu2" in done.stderr
    assert "`prism terminate study`" in done.stderr
    assert "cloud" not in done.stderr
    # Its volumes are those of this computer, which are destroyed with the data.
    server_with_workspaces.on("GET /instances", [])
    server_with_workspaces.on("GET /snapshots", [{"name": "before"}])
    done = prism("uninstall", "--dry-run", "--data", "delete")
    assert done.returncode == 0, done.stderr
    for host in ("gpu1", "gpu2"):
        assert f"would remove Prism from the lab server {host}\n" in done.stdout


@pytest.fixture
def server_without_cloud(server_with_workspaces):
    """The same daemon without workspaces in the cloud."""
    server_with_workspaces.on("GET /instances", [])
    server_with_workspaces.on("GET /daemon/status", {"places": []})
    return server_with_workspaces


@pytest.mark.parametrize("name", ["thesis.tex", "photos", "cache"])
def test_uninstall_refuses_to_delete_a_home_with_foreign_files(
    prism, server_without_cloud, home, tmp_path, name
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("mine")
    if name == "cache":
        (home / name).symlink_to(other)
    else:
        (home / name).write_text("mine")
    before = sorted(os.listdir(home))
    for more in ((), ("--dry-run",)):
        done = prism("uninstall", "--data", "delete", *more)
        assert (done.returncode, name in done.stderr) == (1, True), done.stderr
        assert "contains files that Prism did not make" in done.stderr
    assert sorted(os.listdir(home)) == before
    assert (other / "kept").read_text() == "mine"
    assert {request.method for request in server_without_cloud.asked} == {"GET"}


def test_uninstall_accepts_files_of_an_interrupted_restore(prism, server_without_cloud, home):
    (home / "state.db.restore-a1_b2c3d").mkdir()
    (home / "state.db.restore-a1_b2c3d" / "state.db").touch()
    done = prism("uninstall", "--data", "delete", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"would DESTROY {home}" in done.stdout


MOUNTED = ("unshare", "-rm", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"')


@pytest.mark.parametrize("data", ["keep", "delete"])
@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0,
    reason="needs root: it mounts",
)
def test_uninstall_refuses_a_home_with_a_mounted_folder(
    prism, server_without_cloud, home, tmp_path, data
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("mine")
    (home / "cache").mkdir()
    command = (*MOUNTED, str(other), str(home / "cache"), *COMMAND)
    done = prism("uninstall", "--data", data, command=command)
    assert (done.returncode, "something is mounted" in done.stderr) == (1, True), done.stderr
    assert (other / "kept").read_text() == "mine"
    assert {request.method for request in server_without_cloud.asked} == {"GET"}, (
        "refused before any other request"
    )


def test_mounts_below_unescapes_names(tmp_path):
    table, folder = tmp_path / "mountinfo", tmp_path / "a b\\c"
    folder.mkdir()
    escaped_path = str(folder).replace("\\", "\\134").replace(" ", "\\040")
    table.write_text(
        f"36 35 98:0 / {escaped_path}/in\\011it rw - ext4 /dev/sda rw\n36 35 98:0 / / rw - x y z\n"
    )
    assert mounts_below(str(folder), str(table)) == [f"{folder}/in\tit"]


def test_uninstall_stops_a_workspace_that_is_restarting(prism, server_without_cloud):
    down, up = workspace("here", state="stopping"), workspace("here", state="stopped")
    server_without_cloud.on("GET /instances", [down | {"restarting": True}])
    server_without_cloud.on("GET /instances/here", up)
    server_without_cloud.on("POST /instances/here/stop", up)
    prism("uninstall", "--data", "keep")
    assert "/instances/here/stop" in {
        request.path.removeprefix("/api/v1") for request in server_without_cloud.asked
    }


def test_uninstall_refuses_a_folder_that_only_contains_workspaces(prism, tmp_path):
    (tmp_path / "code" / "workspaces").mkdir(parents=True)
    where = {"PRISM_HOME": str(tmp_path / "code"), "HOME": str(tmp_path / "person")}
    done = prism("uninstall", "--data", "delete", **where)
    assert (done.returncode, "Nothing was removed" in done.stderr) == (1, True)
    assert os.listdir(tmp_path / "code") == ["workspaces"]


@pytest.mark.parametrize("which", ["/", "person", "parent"])
def test_uninstall_refuses_the_root_the_users_home_and_its_parent(prism, tmp_path, which):
    person = tmp_path / "person"
    person.mkdir()
    (tmp_path / "workspaces").mkdir()
    (person / "workspaces").mkdir()
    folder = {"/": "/", "person": str(person), "parent": str(tmp_path)}[which]
    done = prism("uninstall", "--data", "delete", PRISM_HOME=folder, HOME=str(person))
    assert (done.returncode, "Nothing was removed" in done.stderr) == (1, True)
    assert person.exists()


def test_uninstall_refuses_a_remote_daemon(prism):
    done = prism("uninstall", "--yes", PRISM_URL="http://lab.example:1")
    assert (done.returncode, "PRISM_URL" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/a/.local/share/uv/tools/prism", "`uv tool uninstall prism`"),
        ("/home/a/.local/pipx/venvs/prism", "`pipx uninstall prism`"),
        ("/nonexistent", "Remove the folder /nonexistent"),
    ],
)
def test_removal_command_matches_the_installation_tool(prefix, command):
    assert how_to_remove_the_program(prefix) == command


def test_removal_command_uses_pip_only_where_there_is_one(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").touch(0o755)
    command = f"{tmp_path}/bin/uv pip uninstall --python {tmp_path} prism"
    assert command in how_to_remove_the_program(str(tmp_path))
    (tmp_path / "lib/python3.11/site-packages/pip").mkdir(parents=True)
    command = f"{tmp_path}/bin/python -m pip uninstall prism"
    assert command in how_to_remove_the_program(str(tmp_path))


GROUP = {
    "profile": "lab",
    "region": "us-west-2",
    "kind": "security group",
    "id": "sg-1",
    "name": "prism-0123",
    "problem": None,
}


def test_uninstall_with_its_data_deletes_groups_and_keys_in_aws(prism, server_without_cloud, home):
    server_without_cloud.on("GET /daemon/aws/leftovers", [GROUP])
    words = "delete in AWS: security group prism-0123 in us-west-2 (profile lab)"
    assert words not in prism("uninstall", "--dry-run", "--data", "keep").stdout
    done = prism("uninstall", "--dry-run", "--data", "delete")
    assert f"would {words}\n" in done.stdout
    used = GROUP | {"problem": "it is still in use"}
    server_without_cloud.on("DELETE /daemon/aws/leftovers", [used])
    (home / "gui.json").unlink(missing_ok=True)
    done = prism("uninstall", "--data", "delete")
    methods = [request.method for request in server_without_cloud.asked]
    assert methods.count("DELETE") == 1, done.stderr
    assert "Stays in AWS: security group prism-0123" in done.stderr
