"""What all providers do with files, and which attacks by a workspace they refuse."""

import os
import socket
import stat
from pathlib import Path

import pytest

from prism.agent.machine.folder import Folder
from prism.agent.machine.mounts import VolumeLinks
from prism.errors import AlreadyExists
from prism.files.model import (
    FileMissing,
    FolderNotEmpty,
    UploadOffset,
    WrongFileKind,
)
from prism.files.plan import part_of
from prism.providers.aws.machine.files import AwsFiles
from prism.providers.local.files import LocalFiles
from prism.providers.local.storage.volumes import LocalVolumes
from prism.providers.ssh.files import LabFiles
from prism.storage.model import VolumeKind
from prism.storage.ports import VolumeSpec
from tests.providers.aws.ssh_machine import ID, PoolOfOneMachine, Sshd
from tests.providers.ssh.conftest import LAB, lab, server

SERVER = "ssh-" + "0" * 17
__all__ = ("lab", "server")  # fixtures
LOCAL = "local-" + "0" * 17


class ProviderHome:
    """A home folder, and the provider that serves its files."""

    def __init__(self, files, id, home):
        self.files, self.id, self.home = files, id, home

    def own(self):
        """Give what the test has put there to the owner of the home."""
        about = self.home.stat()
        for path in self.home.rglob("*"):
            os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)

    def names(self, path="", limit=100):
        return sorted(entry.name for entry in self.files.scan(self.id, path, limit).entries)

    def read(self, path, offset=0):
        file = self.files.open(self.id, path)
        try:
            return file.read(offset, 1 << 20)
        finally:
            file.close()

    def write(self, path, content, replace=False):
        upload = self.files.begin(self.id, path, 0, replace=replace)
        try:
            upload.write(content)
            upload.finish()
        finally:
            upload.close(discard=False)


@pytest.fixture(params=["local", "aws", pytest.param("ssh", marks=LAB)])
def homes(request, tmp_path):
    if request.param == "ssh":
        lab, server = request.getfixturevalue("lab"), request.getfixturevalue("server")
        server.facts()
        home = lab.home / ".prism-server" / "workspaces" / SERVER / "home"
        home.mkdir(parents=True)
        for folder in (home, *list(home.parents)[:2]):
            os.chown(folder, lab.uid, lab.uid)
        yield ProviderHome(LabFiles(server), SERVER, home)
        return
    if request.param == "local":
        home = tmp_path / LOCAL / "home"
        home.mkdir(parents=True)
        yield ProviderHome(LocalFiles(tmp_path), LOCAL, home)
        return
    home = tmp_path / "person"
    home.mkdir()
    sshd = Sshd(tmp_path / "machine")
    sshd.files = f"internal-sftp -d {home}"
    sshd.start()
    seat = PoolOfOneMachine(tmp_path / "prism", sshd)
    yield ProviderHome(AwsFiles(seat.pool), ID, home)
    seat.close()
    sshd.stop()


@pytest.fixture
def secret_file(tmp_path):
    """A file of the computer's own, outside of every home."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "secret").write_text("not for workspaces")
    return folder


def test_file_is_created_read_renamed_and_removed(homes):
    homes.files.make_folder(homes.id, "data/deep")
    homes.write("data/deep/é 1.csv", b"a,b\n")
    [entry] = homes.files.scan(homes.id, "data/deep", 10).entries
    assert (entry.name, entry.kind, entry.size) == ("é 1.csv", "file", 4)
    assert entry.modified is not None
    assert homes.read("data/deep/é 1.csv", 2) == b"b\n"
    homes.files.rename(homes.id, "data/deep/é 1.csv", "data/2.csv")
    assert homes.names("data") == ["2.csv", "deep"]
    homes.files.remove(homes.id, "data/2.csv", recursive=False)
    homes.files.remove(homes.id, "data/deep", recursive=False)
    assert homes.names("data") == []


def test_existing_file_is_replaced_only_on_request(homes):
    program = homes.home / "run.sh"
    program.write_text("old")
    program.chmod(0o755)
    with pytest.raises(AlreadyExists):
        homes.files.begin(homes.id, "run.sh", 0, replace=False)
    with pytest.raises(AlreadyExists):
        homes.files.make_folder(homes.id, "run.sh")
    homes.write("other", b"")
    with pytest.raises(AlreadyExists):
        homes.files.rename(homes.id, "other", "run.sh")
    assert program.read_text() == "old"
    homes.write("run.sh", b"new", replace=True)
    assert program.read_text() == "new"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert homes.names() == ["other", "run.sh"]


def test_file_created_during_an_upload_is_not_replaced(homes):
    upload = homes.files.begin(homes.id, "result", 0, replace=False)
    upload.write(b"ours")
    (homes.home / "result").write_text("theirs")
    with pytest.raises(AlreadyExists):
        upload.finish()
    upload.close(discard=True)
    assert (homes.home / "result").read_text() == "theirs"


def test_upload_continues_at_the_received_offset(homes):
    upload = homes.files.begin(homes.id, "big", 0, replace=False)
    upload.write(b"12345")
    upload.close(discard=False)
    assert not (homes.home / "big").exists()
    with pytest.raises(UploadOffset) as refused:
        homes.files.begin(homes.id, "big", 3, replace=False)
    assert refused.value.data == {"received": 5}
    upload = homes.files.begin(homes.id, "big", 5, replace=False)
    upload.write(b"678")
    upload.finish()
    upload.close(discard=False)
    assert (homes.home / "big").read_text() == "12345678"
    assert homes.names() == ["big"]
    with pytest.raises(UploadOffset) as refused:
        homes.files.begin(homes.id, "another", 3, replace=False)
    assert refused.value.data == {"received": 0}


def test_discarded_upload_leaves_no_part(homes):
    upload = homes.files.begin(homes.id, "big", 0, replace=False)
    upload.write(b"12345")
    upload.close(discard=True)
    assert os.listdir(homes.home) == []


def test_missing_path_raises_file_missing(homes):
    for work in (
        lambda: homes.files.scan(homes.id, "nowhere", 10),
        lambda: homes.files.open(homes.id, "nowhere"),
        lambda: homes.files.begin(homes.id, "nowhere/file", 0, replace=False),
        lambda: homes.files.rename(homes.id, "nowhere", "elsewhere"),
        lambda: homes.files.remove(homes.id, "nowhere", recursive=False),
        lambda: homes.files.remove(homes.id, "nowhere", recursive=True),
    ):
        with pytest.raises(FileMissing):
            work()


def test_wrong_kind_of_path_is_refused_for_files_and_folders(homes):
    (homes.home / "folder").mkdir()
    (homes.home / "folder" / "file").write_text("x")
    homes.own()
    with pytest.raises(WrongFileKind):
        homes.files.open(homes.id, "folder")
    with pytest.raises(WrongFileKind):
        homes.files.begin(homes.id, "folder", 0, replace=True)
    with pytest.raises(WrongFileKind):
        homes.files.scan(homes.id, "folder/file", 10)
    with pytest.raises(FolderNotEmpty):
        homes.files.remove(homes.id, "folder", recursive=False)
    homes.files.remove(homes.id, "folder", recursive=True)
    assert homes.names() == []


# ------------------------------------------------------------------ attacks
def test_symbolic_links_out_of_the_home_are_not_followed(homes, secret_file):
    (homes.home / "to-file").symlink_to(secret_file / "secret")
    (homes.home / "to-folder").symlink_to(secret_file)
    (homes.home / "loop").symlink_to("loop")
    kinds = {entry.name: entry.kind for entry in homes.files.scan(homes.id, "", 10).entries}
    assert kinds == {"to-file": "link", "to-folder": "link", "loop": "link"}
    for work in (
        lambda: homes.files.open(homes.id, "to-file"),
        lambda: homes.files.open(homes.id, "to-folder/secret"),
        lambda: homes.files.open(homes.id, "loop"),
        lambda: homes.files.scan(homes.id, "to-folder", 10),
        lambda: homes.files.begin(homes.id, "to-folder/new", 0, replace=True),
        lambda: homes.files.make_folder(homes.id, "to-folder/new"),
        lambda: homes.files.rename(homes.id, "to-folder/secret", "mine"),
        lambda: homes.files.remove(homes.id, "to-folder/secret", recursive=True),
    ):
        with pytest.raises(WrongFileKind):
            work()
    homes.write("to-file", b"replaces the link", replace=True)
    homes.files.remove(homes.id, "to-folder", recursive=True)
    assert os.listdir(secret_file) == ["secret"]
    assert (secret_file / "secret").read_text() == "not for workspaces"


def test_link_in_place_of_an_upload_part_is_not_followed(homes, secret_file):
    (homes.home / part_of("new")).symlink_to(secret_file / "secret")
    with pytest.raises(UploadOffset):
        homes.files.begin(homes.id, "new", len("not for workspaces"), replace=False)
    homes.write("new", b"mine")
    assert (homes.home / "new").read_text() == "mine"
    assert not (homes.home / "new").is_symlink()
    assert (secret_file / "secret").read_text() == "not for workspaces"


def test_removing_a_tree_does_not_follow_its_links(homes, secret_file):
    tree = homes.home / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(secret_file)
    homes.own()
    homes.files.remove(homes.id, "tree", recursive=True)
    assert os.listdir(homes.home) == []
    assert os.listdir(secret_file) == ["secret"]


def test_pipes_and_sockets_are_not_opened(homes):
    """Opening a pipe without a writer would block forever."""
    os.mkfifo(homes.home / "pipe")
    working_directory = os.getcwd()
    os.chdir(homes.home)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(working_directory)
    for name in ("pipe", "socket"):
        with pytest.raises(WrongFileKind):
            homes.files.open(homes.id, name)
        os.rename(homes.home / name, homes.home / part_of(f"{name}.new"))
        with pytest.raises(UploadOffset):
            homes.files.begin(homes.id, f"{name}.new", 1, replace=False)
        homes.write(f"{name}.new", b"file")
        assert (homes.home / f"{name}.new").read_text() == "file"


def test_listing_of_a_large_folder_is_truncated(homes):
    for number in range(300):
        (homes.home / f"{number:04}").touch()
    listing = homes.files.scan(homes.id, "", 100)
    assert (len(listing.entries), listing.truncated) == (100, True)
    listing = homes.files.scan(homes.id, "", 300)
    assert (len(listing.entries), listing.truncated) == (300, False)


def test_file_name_that_is_not_utf_8_is_listed_as_not_addressable(homes):
    Path(os.fsdecode(os.fsencode(homes.home) + b"/caf\xe9")).touch()
    (homes.home / "a\nb\x1b[2J").touch()
    addressable_by_name = {
        entry.name: entry.addressable for entry in homes.files.scan(homes.id, "", 10).entries
    }
    assert addressable_by_name == {"caf�": False, "a\nb\x1b[2J": True}


def test_invalid_machine_id_raises_file_missing(tmp_path):
    files = LocalFiles(tmp_path / "workspaces")
    (tmp_path / "home").mkdir()
    for id in ("..", ".", "", "local-1", f"{LOCAL}/.."):
        with pytest.raises(FileMissing):
            files.scan(id, "", 10)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root can give files away")
def test_files_made_by_the_daemon_belong_to_the_owner_of_the_home(tmp_path):
    home = tmp_path / LOCAL / "home"
    home.mkdir(parents=True)
    os.chown(home, 12345, 12346)
    homes = ProviderHome(LocalFiles(tmp_path), LOCAL, home)
    homes.files.make_folder(LOCAL, "a/b")
    homes.write("a/b/file", b"x")
    for path in ("a", "a/b", "a/b/file"):
        about = (home / path).stat()
        assert (about.st_uid, about.st_gid) == (12345, 12346), path


# ------------------------------------------------------------------ attached volumes
@pytest.mark.parametrize("homes", ["aws"], indirect=True)
def test_volume_folder_on_aws_cannot_be_removed_or_renamed(homes):
    (homes.home / "volumes" / "data" / "raw").mkdir(parents=True)
    file = homes.home / "volumes" / "data" / "kept"
    file.write_text("of a volume")
    for path in ("volumes", "volumes/data"):
        with pytest.raises(WrongFileKind):
            homes.files.remove(homes.id, path, recursive=True)
        with pytest.raises(WrongFileKind):
            homes.files.rename(homes.id, path, "elsewhere")
    assert file.read_text() == "of a volume"
    homes.files.remove(homes.id, "volumes/data/raw", recursive=True)
    homes.files.rename(homes.id, "volumes/data/kept", "volumes/data/other")
    assert homes.names("volumes/data") == ["other"]


@pytest.fixture
def with_volume(tmp_path):
    """A home with an attached volume, linked as the supervisor links it, and one not attached."""
    machines = tmp_path / "workspaces"
    home = machines / LOCAL / "home"
    home.mkdir(parents=True)
    volumes = LocalVolumes(tmp_path / "storage", machines)
    ids = {}
    for name in ("data", "other"):
        order = VolumeSpec(key=f"key-{name}", name=name, kind=VolumeKind.EBS)
        ids[name] = volumes.create(order).id
    volumes.attach(ids["data"], LOCAL, "data")
    VolumeLinks(Folder(machines / LOCAL)).step()
    content = {name: tmp_path / "storage" / "volumes" / id / "data" for name, id in ids.items()}
    yield ProviderHome(LocalFiles(machines, volumes.mounted), LOCAL, home), content, volumes, ids


def test_attached_volume_is_listed_as_a_folder_until_it_is_detached(with_volume):
    homes, content, volumes, ids = with_volume
    kinds = {entry.name: entry.kind for entry in homes.files.scan(LOCAL, "volumes", 10).entries}
    assert kinds == {"data": "folder"}
    homes.files.make_folder(LOCAL, "volumes/data/raw")
    homes.write("volumes/data/raw/1.csv", b"a,b\n")
    assert (content["data"] / "raw" / "1.csv").read_bytes() == b"a,b\n"
    assert homes.names("volumes/data") == ["raw"]
    assert homes.read("volumes/data/raw/1.csv") == b"a,b\n"
    homes.files.rename(LOCAL, "volumes/data/raw/1.csv", "volumes/data/2.csv")
    homes.files.remove(LOCAL, "volumes/data/raw", recursive=True)
    assert homes.names("volumes/data") == ["2.csv"]

    volumes.detach(ids["data"], LOCAL)  # its link may still be there for a moment
    with pytest.raises(WrongFileKind):
        homes.names("volumes/data")
    assert (content["data"] / "2.csv").exists()


def test_volume_folder_cannot_be_removed_renamed_or_crossed_by_a_rename(with_volume):
    homes, content, _, _ = with_volume
    homes.write("volumes/data/kept", b"x")
    homes.write("mine", b"y")
    for work in (
        lambda: homes.files.remove(LOCAL, "volumes/data", recursive=True),
        lambda: homes.files.remove(LOCAL, "volumes", recursive=True),
        lambda: homes.files.rename(LOCAL, "volumes", "elsewhere"),
        lambda: homes.files.rename(LOCAL, "volumes/data", "volumes/elsewhere"),
        lambda: homes.files.rename(LOCAL, "mine", "volumes/data/mine"),
        lambda: homes.files.rename(LOCAL, "volumes/data/kept", "kept"),
        lambda: homes.files.begin(LOCAL, "volumes/data", 0, replace=True),
        lambda: homes.files.open(LOCAL, "volumes/data"),
    ):
        with pytest.raises(WrongFileKind):
            work()
    with pytest.raises(AlreadyExists):
        homes.files.make_folder(LOCAL, "volumes/data")
    assert (homes.names(), homes.names("volumes")) == (["mine", "volumes"], ["data"])
    assert (content["data"] / "kept").read_bytes() == b"x"


def test_links_that_imitate_volumes_are_not_followed(with_volume, secret_file):
    homes, content, _, _ = with_volume
    (content["other"] / "private").write_text("of another workspace")
    place = homes.home / "volumes"
    (place / "other").symlink_to(content["other"])
    (place / "secrets").symlink_to(secret_file)
    (content["data"] / "out").symlink_to(secret_file)
    (homes.home / "data").symlink_to(content["data"])
    kinds = {entry.name: entry.kind for entry in homes.files.scan(LOCAL, "volumes", 10).entries}
    assert kinds == {"data": "folder", "other": "link", "secrets": "link"}
    for path in ("volumes/other", "volumes/secrets", "volumes/data/out", "data"):
        with pytest.raises(WrongFileKind):
            homes.names(path)
    with pytest.raises(WrongFileKind):
        homes.read("volumes/data/out/secret")

    (place / "data").unlink()  # the workspace replaces the link of the volume by its own
    (place / "data").symlink_to(secret_file)
    with pytest.raises(WrongFileKind):
        homes.names("volumes/data")
    (place / "data").unlink()
    place.rename(homes.home / "old")
    place.symlink_to(homes.home / "old")
    with pytest.raises(WrongFileKind):
        homes.names("volumes/data")
    homes.files.remove(LOCAL, "volumes", recursive=True)
    assert sorted(os.listdir(content["other"])) == ["private"]
