"""The copy of `/etc` that sandboxes show: what is in it, and how it follows this computer."""

import os

import pytest

from prism.agent.sandbox.etc_copy import OWN_ETC, Account, EtcCopy, OwnEtc


@pytest.fixture
def etc(tmp_path):
    """An `/etc` of a computer."""
    for name, mode in (("open.conf", 0o644), ("shadow", 0o644), ("script", 0o755)):
        write(tmp_path / "etc" / name, f"{name} of before", mode)
    for folder in ("ssh", "sub", "closed", "ssl/private"):
        write(tmp_path / "etc" / folder / "file", "in a folder")
    for name in ("passwd", "group", "hosts", "resolv.conf"):
        write(tmp_path / "etc" / name, f"{name} of here\n")
    (tmp_path / "etc" / "link").symlink_to("/usr/share/anything")
    os.mkfifo(tmp_path / "etc" / "fifo")
    return tmp_path / "etc"


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def copied(tmp_path, etc, *hidden):
    copy = EtcCopy(tmp_path, hidden, str(etc))
    copy.refresh()
    return copy.tree


def test_copy_has_files_and_links_but_no_secrets(tmp_path, etc):
    tree = copied(tmp_path, etc)
    assert (tree / "open.conf").read_text() == "open.conf of before"
    assert (tree / "link").readlink() == etc.joinpath("link").readlink()
    assert (tree / "script").stat().st_mode & 0o111 == 0o111
    assert (tree / "sub/file").read_text() == "in a folder"
    assert [(tree / name).lstat().st_size for name in ("shadow", "fifo")] == [0, 0]
    assert [[*(tree / folder).iterdir()] for folder in ("ssh", "ssl/private")] == [[], []]


def test_files_that_are_a_workspaces_own_are_links_to_its_folder(tmp_path, etc):
    tree = copied(tmp_path, etc)
    for name in ("passwd", "group", "hosts", "resolv.conf"):
        assert str((tree / name).readlink()) == f"{OWN_ETC}/{name}"


def test_no_file_of_the_copy_can_be_written_by_others(tmp_path, etc):
    write(etc / "careless", "x", 0o666)
    tree = copied(tmp_path, etc)
    entries = [path.lstat() for path in tree.rglob("*") if not path.is_symlink()]
    assert not [about for about in entries if about.st_mode & 0o6022]
    assert not [about for about in entries if not about.st_mode & 0o400], "a home can be copied"


def test_hidden_folders_are_empty(tmp_path, etc):
    assert [*(copied(tmp_path, etc, etc / "sub") / "sub").iterdir()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what other users may not")
def test_copy_of_root_leaves_out_what_other_users_may_not_read(tmp_path, etc):
    write(etc / "private", "secret", 0o640)
    etc.joinpath("closed").chmod(0o750)
    tree = copied(tmp_path, etc)
    assert (tree / "private").stat().st_size == 0
    assert [*(tree / "closed").iterdir()] == []


def test_refresh_follows_every_kind_of_change(tmp_path, etc):
    tree = copied(tmp_path, etc)
    same = (tree / "script").stat().st_ino
    (etc / "open.conf").write_text("changed")
    write(etc / "new", "new")
    (etc / "link").unlink()
    (etc / "link").mkdir()
    (etc / "sub" / "file").unlink()
    (etc / "sub").rmdir()
    write(etc / "sub", "now a file")
    copied(tmp_path, etc)
    assert [(tree / name).read_text() for name in ("open.conf", "new", "sub")] == [
        "changed",
        "new",
        "now a file",
    ]
    assert (tree / "link").is_dir()
    assert (tree / "script").stat().st_ino == same, "what is the same is not copied again"
    (etc / "new").unlink()
    copied(tmp_path, etc)
    assert not (tree / "new").exists()


def test_refresh_repairs_a_copy_without_its_index(tmp_path, etc):
    tree = copied(tmp_path, etc)
    (tree / "open.conf").unlink()
    (tree / "open.conf").write_text("damaged")
    write(tree / "strange", "x")
    (tmp_path / "etc-copy" / "index.json").write_text("{")
    copied(tmp_path, etc)
    assert (tree / "open.conf").read_text() == "open.conf of before"
    assert not (tree / "strange").exists()


def test_own_files_have_the_account_and_the_resolver_of_the_workspace(tmp_path, etc):
    account = Account("researcher", 70001, "/home/r")
    own = OwnEtc(tmp_path / "own", account, lambda text: text.upper(), str(etc))
    own.write()
    texts = {path.name: path.read_text() for path in (tmp_path / "own").iterdir()}
    assert texts == {
        "passwd": "researcher:x:70001:70001:Prism workspace:/home/r:/bin/bash\npasswd of here\n",
        "group": "researcher:x:70001:\ngroup of here\n",
        "hosts": "hosts of here\n",
        "resolv.conf": "RESOLV.CONF OF HERE\n",
    }


def test_names_follow_this_computer_and_accounts_do_not(tmp_path, etc):
    own = OwnEtc(tmp_path / "own", source=str(etc))
    own.write()
    for name in ("hosts", "passwd"):
        write(etc / f"{name}.new", "changed")
        (etc / f"{name}.new").rename(etc / name)
    own.refresh()
    assert (tmp_path / "own/hosts").read_text() == "changed"
    assert (tmp_path / "own/passwd").read_text() == "passwd of here\n"


def test_every_file_of_the_copy_can_be_read_by_its_owner(tmp_path, etc):
    """Else the home of an ordinary user could not be copied, moved or archived."""
    write(etc / "unreadable", "closed", 0o000)
    files = [path for path in copied(tmp_path, etc).rglob("*") if not path.is_symlink()]
    assert {"shadow", "unreadable"} <= {path.name for path in files}
    assert all(path.stat().st_mode & 0o400 for path in files)
