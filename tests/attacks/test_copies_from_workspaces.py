"""Copies from a workspace that lies: its modes and its messages are its own word."""

import os
import shutil
import stat

import pytest

from tests.attacks.test_hostile_daemon import CONNECT, PLAIN, SSH
from tests.cli.conftest import environ, prism  # noqa: F401  fixtures
from tests.client.conftest import home, server, wire  # noqa: F401  fixtures

# The other end of the connection: the version of rsync and what is at the path, then rsync itself.
HOSTILE_SSH = """\
#!/bin/sh
printf '\\033]0;owned\\007\\033[2Jhello from there\\n' >&2
case "$*" in
*--server*) while [ "$1" != rsync ]; do shift; done; exec "$@" ;;
*) echo "rsync  version 3.2.7"; echo {kind} ;;
esac
"""
FORBIDDEN = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | stat.S_IWOTH


@pytest.fixture
def hostile_folder(tmp_path):
    """What the workspace sends: modes that nobody asked for, a pipe and a device's place."""
    folder = tmp_path / "there"
    (folder / "deep").mkdir(parents=True)
    for name in ("shell", "deep/shell"):
        (folder / name).write_text("#!/bin/sh\nid\n")
        (folder / name).chmod(0o6777)
    (folder / "deep").chmod(0o7777)
    (folder / "plain").write_text("1")
    (folder / "plain").chmod(0o640)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture
def run_cp(prism, server, tmp_path):  # noqa: F811
    """Runs `prism cp` with the real rsync, and a hostile other end instead of `ssh`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("rsync", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    server.on(CONNECT, {"ssh": SSH | {"command": PLAIN}, "services": {}})

    def run(*ends, kind="folder"):
        (programs / "ssh").write_text(HOSTILE_SSH.format(kind=kind))
        (programs / "ssh").chmod(0o755)
        return prism("cp", *map(str, ends), PATH=str(programs))

    return run


@pytest.mark.parametrize("existing", [False, True])
def test_a_copy_from_a_workspace_gets_no_mode_that_gives_rights_away(
    run_cp, hostile_folder, tmp_path, existing
):
    copied = tmp_path / "here"
    if existing:
        copied.mkdir()
        (copied / "shell").write_text("older")
        (copied / "shell").chmod(0o600)
    done = run_cp(f"mine:{hostile_folder}", f"{copied}{'/' if not existing else ''}")
    assert done.returncode == 0, done.stderr
    top = copied if (copied / "plain").exists() else copied / "there"
    nodes = [top, *top.rglob("*")]
    assert {node.name for node in nodes} >= {"shell", "deep", "plain"}
    assert not [node for node in nodes if node.lstat().st_mode & FORBIDDEN]
    assert stat.S_IMODE((top / "plain").stat().st_mode) == 0o640, "other bits are kept"
    assert os.access(top / "shell", os.X_OK)
    assert not (top / "pipe").exists()


def test_one_file_from_a_workspace_gets_no_such_mode_either(run_cp, hostile_folder, tmp_path):
    done = run_cp(f"mine:{hostile_folder}/shell", tmp_path / "shell", kind="file")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE((tmp_path / "shell").stat().st_mode) == 0o775


def test_what_the_other_end_prints_is_cleaned(run_cp, hostile_folder, tmp_path):
    done = run_cp(f"mine:{hostile_folder}", tmp_path / "here")
    assert "hello from there" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert "owned" not in done.stderr


@pytest.mark.parametrize("descriptor", [1, 2])
def test_endless_answer_of_the_other_end_is_refused(prism, server, tmp_path, descriptor):  # noqa: F811
    server.on(CONNECT, {"ssh": SSH | {"command": PLAIN}, "services": {}})
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\nexec yes endless >&{descriptor}\n")
    program.chmod(0o755)
    limited = f"{tmp_path}:{os.environ['PATH']}"
    done = prism("cp", "mine:file", str(tmp_path / "here"), PATH=limited)
    assert done.returncode == 1
    assert "more than 1048576 bytes" in done.stderr


# A workspace's own `sh` is the first in its PATH, as a file in its environment would be.
PLANTED_SSH = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift 2
PATH={planted}:$PATH exec /bin/sh -c "$*"
"""


def test_shell_that_a_workspace_planted_in_its_path_is_not_run(prism, server, tmp_path):  # noqa: F811
    server.on(CONNECT, {"ssh": SSH | {"command": PLAIN}, "services": {}})
    planted, programs = tmp_path / "planted", tmp_path / "programs"
    for program, text in (
        (planted / "sh", f"#!/bin/sh\ntouch {tmp_path}/was-run\nexec yes endless\n"),
        (programs / "ssh", PLANTED_SSH.format(planted=planted)),
    ):
        program.parent.mkdir()
        program.write_text(text)
        program.chmod(0o755)
    limited = f"{programs}:{os.environ['PATH']}"
    done = prism("exec", "mine", "--", "echo", "hello", PATH=limited)
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    copied = tmp_path / "copied"
    (tmp_path / "file").write_text("1")
    prism("cp", f"mine:{tmp_path}/file", str(copied), PATH=limited)
    assert not (tmp_path / "was-run").exists()
