"""What is left on a lab server when its profile goes, and when Prism is uninstalled."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from prism.errors import Unavailable
from prism.providers.ssh.model import ServerUnreachable
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_life import LabHome, tree
from tests.waiting import eventually

pytestmark = LAB
ID = "ssh-" + "0" * 17


@pytest.fixture
def home(tmp_path, lab):
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


def newer(lab, mark: Path) -> str:
    """What `find -newer` prints for the home of the account, without the home itself."""
    argv = ["find", str(lab.home), "-mindepth", "1", "-newer", str(mark)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def test_nothing_is_newer_after_the_profile_was_deleted(lab, home, tmp_path):
    (lab.home / "thesis.tex").write_text("mine")
    before, mark = tree(lab.home), tmp_path / "mark"
    mark.touch()
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "study")
        home.must("stop", "study")
        home.must("profile", "switch", "local")
        refused = home.cli("profile", "delete", "lab")
        assert refused.returncode != 0
        assert "1 workspaces" in refused.stderr
        assert (lab.home / ".prism-server").is_dir()
        home.must("terminate", "study", "--yes")
        eventually(lambda: home.state("study") == "terminated")
        home.must("profile", "delete", "lab")
        eventually(lambda: not (lab.home / ".prism-server").exists())
    assert tree(lab.home) == before
    assert newer(lab, mark) == ""
    assert not [each for each in lab.programs() if "sshd" not in each.name()]


def test_server_that_is_away_is_left_by_a_later_daemon(lab, home):
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "study")
        home.must("terminate", "study", "--yes")
        eventually(lambda: home.state("study") == "terminated")
        home.must("profile", "switch", "local")
        lab.stop()
        home.must("profile", "delete", "lab")
    assert (lab.home / ".prism-server").is_dir()
    lab.start()
    with home.run_daemon():
        eventually(lambda: not (lab.home / ".prism-server").exists())


def test_uninstall_leaves_nothing_on_the_server(lab, home):
    before = tree(lab.home)
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "study")
        refused = home.cli("uninstall", "--data", "delete")
        assert refused.returncode != 0
        assert "study" in refused.stderr
        home.must("terminate", "study", "--yes")
        eventually(lambda: home.state("study") == "terminated")
        (home.folder / "log").unlink()  # of this test
        assert "gpu1" in home.must("uninstall", "--data", "delete")
    assert tree(lab.home) == before


def test_profile_that_nobody_uses_at_the_moment_keeps_the_folder(lab, home):
    with home.run_daemon():
        home.begin()
        home.must("profile", "create", "again", "--host", "gpu1")
        home.must("profile", "switch", "local")
        home.must("profile", "delete", "lab")
        home.must("profile", "create", "mark", "--provider", "local")  # another look
        assert (lab.home / ".prism-server").is_dir()
        home.must("profile", "delete", "again")
        eventually(lambda: not (lab.home / ".prism-server").exists())


@pytest.mark.parametrize("phase", ["off", "on", "asleep", "", None])
def test_workspace_of_another_computer_keeps_everything(lab, server, phase):
    server.facts()
    folder = lab.home / ".prism-server/workspaces" / ID
    folder.mkdir(parents=True)
    if phase is not None:
        (folder / "seen.json").write_text(json.dumps({"phase": phase}))
    for path in (folder.parent, folder, *folder.iterdir()):
        os.chown(path, lab.uid, lab.uid)
    before = tree(lab.home)
    assert server.leave() == (ID,)
    assert tree(lab.home) - {".prism-server/writing.lock"} == before


def test_what_prism_did_not_make_stays(lab, server):
    server.facts()
    (lab.home / "elsewhere").mkdir()
    (lab.home / "elsewhere/precious").write_text("mine")
    (lab.home / ".prism-server/notes").write_text("mine")
    (lab.home / ".prism-server/cache").symlink_to(lab.home / "elsewhere")
    assert server.leave() == ("cache", "notes")
    assert (lab.home / "elsewhere/precious").read_text() == "mine"
    assert tree(lab.home / ".prism-server") == {"cache", "notes"}


def test_server_that_was_left_gets_no_program_until_it_is_used_again(lab, server):
    server.facts()
    assert server.leave() == ()
    assert not (lab.home / ".prism-server").exists()
    with pytest.raises(Unavailable, match="No profile uses"):
        server.facts()
    assert not (lab.home / ".prism-server").exists()
    server.enter()
    assert server.facts().user == "researcher"


def test_server_that_does_not_answer_is_not_left(lab, server):
    server.facts()
    lab.stop()
    with pytest.raises(ServerUnreachable):
        server.leave()


@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_closed_folder_in_the_cache_is_removed(lab, server, mode):
    server.facts()
    cache = lab.home / ".prism-server/cache"
    folder = cache / "wheels/closed/deeper"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    for path in (cache, *cache.rglob("*")):
        os.chown(path, lab.uid, lab.uid, follow_symlinks=False)
    for path in (folder, folder.parent, cache):
        path.chmod(mode)
    assert server.leave() == ()
    assert not (lab.home / ".prism-server").exists()
    assert Path("/etc/passwd").exists()


def test_what_is_behind_a_link_is_named_and_not_removed(lab, server):
    scratch = lab.home / "scratch"
    scratch.mkdir()
    (scratch / "data").write_text("mine")
    os.chown(scratch, lab.uid, lab.uid)
    (lab.home / ".prism-server").symlink_to("scratch")
    server.facts()
    before = tree(scratch)
    assert "agent" in server.leave()
    assert tree(scratch) == before
