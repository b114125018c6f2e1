"""Links in folders that were copied from a workspace: no later copy goes through them."""

import os
from typing import Any, cast

import pytest

from prism.client.transport import transfer
from tests.attacks.test_hostile_daemon import CONNECT, PLAIN, SSH
from tests.cli.conftest import environ, prism  # noqa: F401  fixtures
from tests.client.conftest import home, server, wire  # noqa: F401  fixtures

# The workspace reports that it has no rsync, so that `scp` is used, which follows links.
ANSWERS = "#!/bin/sh\necho folder\n"
COPIES = "#!/bin/sh\n: > {mark}\n"


@pytest.fixture
def run_cp(prism, server, home, tmp_path):  # noqa: F811
    """Runs `prism cp`; returns its result and whether it started to copy."""
    programs, mark = tmp_path / "programs", tmp_path / "mark"
    programs.mkdir()
    for name, script in {"ssh": ANSWERS, "scp": COPIES.format(mark=mark)}.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    server.on(CONNECT, {"ssh": SSH | {"command": PLAIN}, "services": {}})

    def run(*ends):
        done = prism("cp", *ends, PATH=str(programs))
        return done, mark.exists()

    return run


@pytest.fixture
def copied_folder(tmp_path):
    """A folder that was copied from a workspace, with a harmless link in it."""
    owners, copied = tmp_path / "owners", tmp_path / "copied"
    (owners / ".ssh").mkdir(parents=True)
    (copied / "deep").mkdir(parents=True)
    (copied / "data").write_text("1")
    (copied / "again").symlink_to("data")
    return copied


@pytest.mark.parametrize("leads", ["../../owners/.ssh", "../../owners/not-there-yet", "/etc"])
@pytest.mark.parametrize("way", ["here", "there"])
def test_cp_refuses_a_folder_with_a_link_to_the_outside(run_cp, copied_folder, leads, way):
    (copied_folder / "deep" / "link").symlink_to(leads)
    ends = ("mine:copied", copied_folder.parent) if way == "here" else (copied_folder, "mine:")
    done, was_copied = run_cp(*ends)
    assert (done.returncode, was_copied) == (1, False), done.stderr
    assert "deep/link is a symbolic link" in done.stderr


def test_cp_refuses_a_link_as_its_target(run_cp, copied_folder):
    (copied_folder / "link").symlink_to("../owners/file")
    done, was_copied = run_cp("mine:file", copied_folder / "link")
    assert (done.returncode, was_copied) == (1, False), done.stderr


@pytest.mark.parametrize("way", ["here", "there"])
def test_cp_accepts_a_folder_with_links_within_it(run_cp, copied_folder, way):
    ends = ("mine:copied", copied_folder.parent) if way == "here" else (copied_folder, "mine:")
    done, was_copied = run_cp(*ends)
    assert (done.returncode, was_copied) == (0, True), done.stderr


def test_download_never_follows_a_link_at_the_path_of_its_partial_file(copied_folder, monkeypatch):
    owners = copied_folder.parent / "owners" / "file"
    owners.write_text("the owner's")
    monkeypatch.setattr(os, "urandom", bytes)
    (copied_folder / "new.00000000.prism-part").symlink_to(owners)
    monkeypatch.setattr(transfer, "content", lambda *_: iter([b"", b"hostile"]))
    no_client: Any = None
    with pytest.raises(FileExistsError):
        transfer.download(no_client, "mine", "new", os.fspath(copied_folder / "new"))
    assert owners.read_text() == "the owner's"
    assert not (copied_folder / "new").exists()


def test_downloads_to_one_target_at_once_each_write_a_whole_file(tmp_path, monkeypatch):
    target, no_client = tmp_path / "new", cast(Any, None)

    def pieces(_, name, path):
        yield b""
        yield b"a"
        if name == "first":  # as another command does meanwhile
            transfer.download(no_client, "second", path, f"{target}")
        yield b"b"

    monkeypatch.setattr(transfer, "content", pieces)
    assert transfer.download(no_client, "first", "new", f"{target}") == 2
    assert (target.read_bytes(), [*tmp_path.iterdir()]) == (b"ab", [target])
