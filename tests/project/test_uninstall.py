"""`prism uninstall` in a real home with workspaces."""

import os

import pytest

from tests.attacks.ordinary import can_be_ordinary, ordinary_home
from tests.project.home import Home


@pytest.fixture
def home(tmp_path):
    (tmp_path / "person" / ".ssh").mkdir(parents=True)
    home = Home(tmp_path / "home")
    home.environ["HOME"] = str(tmp_path / "person")
    yield home
    home.clear()


def tree(folder):
    """The files of a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_uninstall_removes_prism_and_deletes_data_only_on_request(home, tmp_path):
    own = tmp_path / "person" / ".ssh" / "config"
    own.write_text("Host elsewhere\n  User me\n")
    with home.run_daemon():
        for name in ("up", "asleep"):
            assert home.cli("launch", "Plain Shell", name).returncode == 0
        assert home.cli("exec", "up", "--", "sh", "-c", "echo mine > kept.txt").returncode == 0
        assert home.cli("hibernate", "asleep").returncode == 0
        assert home.cli("ssh-config", "--write", "--yes").returncode == 0
        assert "Include" in own.read_text()

        dry = home.cli("uninstall", "--dry-run")
        assert dry.returncode == 0, dry.stderr
        assert "would stop the workspaces of this computer: up, asleep" in dry.stdout
        assert "would keep your data" in dry.stdout
        assert sorted(home.states()) == ["hibernated", "running"], "a dry run changes nothing"
        assert "Include" in own.read_text()
        nobody = home.cli("uninstall")
        assert (nobody.returncode, "--data keep" in nobody.stderr) == (1, True)
        assert sorted(home.states()) == ["hibernated", "running"]
        done = home.cli("uninstall", "--data", "keep")
    (home.folder / "log").unlink()  # of the test
    assert done.returncode == 0, done.stderr
    assert "done: stop the workspaces of this computer: up, asleep" in done.stdout
    assert "To remove the program: " in done.stderr
    assert not home.answers()
    assert not home.processes(), "no process of a workspace remains"
    assert own.read_text() == "Host elsewhere\n  User me\n"
    assert not (home.folder / "cache").exists()
    assert [node for node in tree(home.folder) if node.endswith("kept.txt")]

    assert home.cli("start", "up").returncode == 0, "the workspace starts again with its data"
    gone = home.cli("uninstall", "--data", "delete")
    assert gone.returncode == 0, gone.stderr
    assert not os.path.lexists(home.folder)
    assert not home.processes()
    again = home.cli("uninstall", "--yes")
    assert again.returncode == 0, again.stderr
    assert "Only the program itself is left" in again.stderr
    assert not os.path.lexists(home.folder), "it starts no daemon"


@pytest.fixture
def ordinary():
    if not can_be_ordinary():
        pytest.skip("needs bubblewrap, and a Python that an ordinary user may run")
    with ordinary_home() as home:
        yield home


def test_an_ordinary_user_deletes_folders_without_permissions(ordinary):
    """A sandbox leaves a folder of mode 0 in `venv`, and a workspace can make such folders too."""
    with ordinary.run_daemon():
        done = ordinary.cli("launch", "Plain Shell", "mine")
        assert done.returncode == 0, done.stderr
        hide = "mkdir -p a/b && touch a/b/c && chmod 0 a/b a"
        assert ordinary.cli("exec", "mine", "--", "sh", "-c", hide).returncode == 0
        done = ordinary.cli("uninstall", "--data", "delete")
        # The test's own log is a file that Prism did not make.
        assert (done.returncode, "log" in done.stderr) == (1, True), done.stderr
        (ordinary.folder / "log").unlink()
        done = ordinary.cli("uninstall", "--data", "delete")
    assert done.returncode == 0, done.stderr
    assert not os.path.lexists(ordinary.folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root makes files of somebody else")
def test_uninstall_goes_on_after_a_file_that_it_may_not_remove(ordinary):
    with ordinary.run_daemon():
        assert ordinary.cli("launch", "Plain Shell", "mine").returncode == 0
    foreign = ordinary.folder / "templates" / "foreign"
    foreign.mkdir(parents=True)
    (foreign / "file").touch()
    os.chmod(foreign, 0o755)
    (ordinary.folder / "log").unlink()
    done = ordinary.cli("uninstall", "--data", "delete")
    assert (done.returncode, f"in {foreign.parent}: " in done.stderr) == (1, True), done.stderr
    assert "repeat the command" in done.stderr
    (ordinary.folder / "log").unlink(missing_ok=True)
    for path in (foreign.parent, foreign):
        os.chown(path, *[ordinary.folder.stat().st_uid] * 2)
    done = ordinary.cli("uninstall", "--data", "delete")
    assert done.returncode == 0, done.stderr
    assert not os.path.lexists(ordinary.folder)
