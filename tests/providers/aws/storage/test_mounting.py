"""The mount script of machines, on loop devices, in its own mount namespace."""

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from prism.providers.aws.compute.launching import login
from prism.providers.aws.machine.cloudinit.model import BootConfig
from prism.providers.aws.machine.cloudinit.worker import Worker
from prism.providers.aws.prerequisites.images import ImageChoice
from prism.templates.model import Template
from prism.workspaces.ports import MachineSpec
from tests.optional import not_none
from tests.providers.aws.storage.loops import HOME, MIB, Machine, can_loop
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(
    not can_loop(), reason="needs root: only root makes disks of files"
)
ID, OTHER = "vol-0123456789abcdef0", "vol-0123456789abcdef1"
REFUSED, BUSY, LATER = 65, 16, 75


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.close()


def mount_disk(machine, id=ID, name="data", make="new"):
    def asked():
        done = machine.run("disk", id, "/dev/sdf", "1", name, make)
        return done if done.returncode != LATER else None

    done = eventually(asked, 120)
    assert done.returncode == 0, done.stderr
    return f"{HOME}/volumes/{name}"


def tool(*words):
    subprocess.run(words, check=True, capture_output=True)


def digest(image, loop):
    with open(loop, "rb") as disk:
        os.fsync(disk)  # closing does not flush while another process, such as udev, has it open
    summed, block, empty = hashlib.sha256(), MIB // 16, bytes(MIB // 16)
    with image.open("rb") as disk:
        at = 0
        while (at := after_hole(disk, at)) is not None:
            at -= at % block
            disk.seek(at)
            if (read := disk.read(block)) != empty:
                summed.update(b"%d %b" % (at, read))
            at += block
    return summed.hexdigest()


def after_hole(disk, at):
    """The offset of the next written byte, or None after the last."""
    try:
        return os.lseek(disk.fileno(), at, os.SEEK_DATA)
    except OSError as error:
        assert error.errno == errno.ENXIO
        return None


def prism_entries(machine):
    return [line for line in machine.fstab.read_text().splitlines() if "x-prism" in line]


def test_empty_disk_is_formatted_once_and_mounted_by_uuid(machine):
    machine.disk(ID)
    at = mount_disk(machine)
    machine.inside(f"echo precious > {at}/thesis")
    [line] = prism_entries(machine)
    uuid = machine.inside(
        f"findmnt -rno UUID -M {at} || blkid -o value -s UUID {machine.loops[0]}"
    )
    device, where, kind, options, _, check = line.split()
    assert (device, where, kind, check) == (f"UUID={uuid.strip()}", at, "ext4", "2")
    assert {"nofail", f"x-prism={ID}"} <= {*options.split(",")}
    again = mount_disk(machine)
    assert (machine.inside(f"cat {again}/thesis"), prism_entries(machine)) == (
        "precious\n",
        [line],
    )
    rest = machine.fstab.read_text().splitlines()[:2]
    assert rest == ["UUID=root / ext4 defaults 0 1", "# mine"], "other lines are kept"


def test_disk_keeps_its_data_when_it_is_attached_again(machine):
    machine.disk(ID)
    at = mount_disk(machine)
    machine.inside(f"echo precious > {at}/thesis")
    assert machine.run("leave", ID).returncode == 0
    assert machine.run("leave", ID).returncode == 0, "`leave` may be repeated"
    assert (prism_entries(machine), machine.inside(f"ls {HOME}/volumes")) == ([], "")
    machine.unplug(ID)
    machine.plug(ID)
    at = mount_disk(machine, name="again", make="old")
    assert machine.inside(f"cat {at}/thesis") == "precious\n"


def test_fstab_entry_mounts_the_disk_after_a_restart(machine):
    machine.disk(ID)
    at = mount_disk(machine)
    machine.inside(f"echo precious > {at}/thesis; umount {at}")
    machine.inside(
        f"mount --fstab {machine.fstab} -a -O x-prism={ID} || mount --fstab {machine.fstab} {at}"
    )
    assert machine.inside(f"cat {at}/thesis") == "precious\n"
    assert mount_disk(machine) == at


ACCOUNTS = {"ubuntu": 2001, "researcher": 2002}


def make_private_homes(machine, folder):
    """Two accounts, as on Ubuntu: neither may read the other's home."""
    lines = [f"{name}:x:{id}:{id}::/home/{name}:/bin/sh\n" for name, id in ACCOUNTS.items()]
    for file, more in (
        ("passwd", lines),
        ("group", [f"{name}:x:{id}:\n" for name, id in ACCOUNTS.items()]),
    ):
        (folder / file).write_text(Path("/etc", file).read_text() + "".join(more))
        machine.inside(f"mount --bind {folder / file} /etc/{file}")
    machine.inside("mount -t tmpfs tmpfs /home")
    for name, id in ACCOUNTS.items():
        machine.inside(f"install -d -m 0750 -o {id} -g {id} /home/{name}")


def test_volume_is_mounted_in_the_private_home_of_the_working_user(machine, tmp_path):
    make_private_homes(machine, tmp_path)
    machine.disk(ID)
    order = MachineSpec(
        key="ws_1",
        name="mine",
        template=Template(name="t", users=("researcher",)),
        instance_type="t3.small",
        root_gb=20,
        hibernation=False,
    )
    image = ImageChoice(
        id="ami-1",
        architecture="x86_64",
        root_device="/dev/sda1",
        min_gb=8,
        user="ubuntu",
    )
    done = machine.run("disk", ID, "/dev/sdf", "1", "data", "new", user=login(order, image))
    assert done.returncode == 0, done.stderr
    works = Worker(order, BootConfig(architecture="x86_64", user="ubuntu", public_key=""))
    at = f"{works.home}/volumes/data"
    as_worker = (
        f"setpriv --reuid {ACCOUNTS[works.name]} --regid {ACCOUNTS[works.name]} --clear-groups"
    )
    machine.inside(f"{as_worker} sh -c 'echo precious > {at}/thesis'")
    assert machine.inside(f"{as_worker} cat {at}/thesis") == "precious\n"
    other = f"setpriv --reuid {ACCOUNTS['ubuntu']} --regid {ACCOUNTS['ubuntu']} --clear-groups"
    assert machine.inside(f"{other} cat {at}/thesis", check=False) == ""


def swap(machine, image, loop):
    tool("mkswap", loop)


def raw_at_the_front(machine, image, loop):
    with open(loop, "r+b") as disk:
        disk.seek(3 * MIB)
        disk.write(b"somebody's own format")


def raw_at_the_end(machine, image, loop):
    with open(loop, "r+b") as disk:
        disk.seek(-512, 2)
        disk.write(b"somebody's own format")


def encrypted(machine, image, loop):
    with open(loop, "r+b") as disk:
        disk.write(b"LUKS\xba\xbe\x00\x01" + b"x" * 1000)


def partitioned_and_empty(machine, image, loop):
    tool("sh", "-c", f"echo ',,L' | sfdisk -q {loop}")


def two_things(machine, image, loop):
    tool("mkfs.xfs", "-q", loop)
    with open(loop, "rb") as disk:
        xfs = disk.read(512)
    tool("mkfs.ext4", "-q", "-F", loop)
    with open(loop, "r+b") as disk:
        disk.write(xfs)


FILLED = [swap, raw_at_the_front, raw_at_the_end, encrypted, partitioned_and_empty, two_things]


@pytest.mark.parametrize("make", ["new", pytest.param("old", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fill", FILLED, ids=lambda it: it.__name__)
def test_disk_with_any_content_is_never_formatted(machine, fill, make):
    image = machine.disk(ID, size=(320 if fill is two_things else 64) * MIB)
    [loop] = machine.loops
    fill(machine, image, loop)
    before = digest(image, loop)
    done = machine.run("disk", ID, "/dev/sdf", "1", "data", make)
    assert done.returncode == REFUSED, done.stderr
    assert done.stderr.strip()
    assert (digest(image, loop) == before, prism_entries(machine)) == (True, [])


def test_empty_disk_is_formatted_only_if_it_is_new(machine):
    image = machine.disk(ID)
    done = machine.run("disk", ID, "/dev/sdf", "1", "data", "old")
    assert (done.returncode, image.read_bytes().count(0)) == (REFUSED, 64 * MIB)


def test_copied_disk_gets_a_new_uuid_without_its_original(machine):
    machine.disk(ID)
    tool("mkfs.ext4", "-q", machine.loops[0])
    before = ids(machine.loops[0])["UUID"]
    mount_disk(machine, make="old")
    assert ids(machine.loops[0])["UUID"] == before, "a disk that is not a copy keeps its ids"
    machine.run("leave", ID)
    mount_disk(machine, make="copy")
    assert ids(machine.loops[0])["UUID"] != before
    assert mount_disk(machine, make="copy"), "the command may be repeated while it is mounted"


@pytest.mark.parametrize("make", ["mkfs.xfs", "mkfs.ext4"])
def test_copied_disk_beside_its_original_gets_a_new_uuid(machine, make):
    machine.disk(ID, size=400 * MIB)
    tool(make, "-q", machine.loops[0])
    first = mount_disk(machine, make="old")
    machine.inside(f"echo precious > {first}/thesis; sync -f {first}")
    machine.disk(OTHER, copy_of=ID)
    second = mount_disk(machine, OTHER, "copy", "old")
    assert machine.inside(f"cat {second}/thesis") == "precious\n"
    uuids = {line.split()[0] for line in prism_entries(machine)}
    assert len(uuids) == 2, "both disks would have the same UUID"


def test_largest_partition_of_a_root_disk_is_mounted_with_unique_ids(machine):
    table = "label: gpt\n,8M,U\n,,L\n"
    machine.disk(ID, size=200 * MIB)
    loop = machine.loops[0]
    subprocess.run(["sfdisk", "-q", "--no-reread", loop], input=table, text=True, check=True)
    machine.find_parts(loop)
    tool("mkfs.ext4", "-q", "-L", "cloudimg-rootfs", f"{loop}p2")
    first = mount_disk(machine, make="old")
    machine.inside(f"mkdir -p {first}/home; echo precious > {first}/home/thesis; sync -f {first}")
    machine.disk(OTHER, copy_of=ID)
    second = mount_disk(machine, OTHER, "old", "old")
    assert machine.inside(f"cat {second}/home/thesis") == "precious\n"
    assert [line.split()[0] for line in prism_entries(machine)] == [
        f"UUID={ids(f'{loop}p2')['UUID']}" for loop in machine.loops
    ]
    identities = [
        ids(f"{loop}p{n}") | {"disk": ids(loop)["PTUUID"]}
        for loop in machine.loops
        for n in (1, 2)
    ]
    for key in ("PART_ENTRY_UUID", "disk"):
        assert len({identity[key] for identity in identities}) == (
            4 if key == "PART_ENTRY_UUID" else 2
        ), key
    assert [identity.get("LABEL") for identity in identities] == [
        None,
        "cloudimg-rootfs",
        None,
        None,
    ]


def ids(device):
    output = subprocess.run(
        ["blkid", "-p", "-o", "export", device], capture_output=True, text=True
    )
    return dict(line.split("=", 1) for line in output.stdout.splitlines())


def test_mount_over_a_folder_or_link_of_the_user_is_refused(machine):
    machine.disk(ID)
    machine.inside(f"mkdir -p {HOME}/volumes/data; echo mine > {HOME}/volumes/data/file")
    done = machine.run("disk", ID, "/dev/sdf", "1", "data", "new")
    assert (done.returncode, "something in it" in done.stderr) == (REFUSED, True)
    assert machine.inside(f"cat {HOME}/volumes/data/file") == "mine\n"
    machine.inside(f"rm -r {HOME}/volumes/data; ln -s /etc {HOME}/volumes/data")
    assert machine.run("disk", ID, "/dev/sdf", "1", "data", "new").returncode == REFUSED


def test_unmount_of_a_used_disk_is_refused_and_names_the_process(machine):
    machine.disk(ID)
    at = mount_disk(machine)
    with subprocess.Popen(
        ["nsenter", "-m", "-t", str(machine.life.pid), "sh", "-c", f"cd {at} && echo && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as person:
        not_none(person.stdout).readline()
        done = machine.run("leave", ID)
        assert (done.returncode, "cat (" in done.stderr) == (BUSY, True), done.stderr
        assert len(prism_entries(machine)) == 1
        not_none(person.stdin).close()
    assert machine.run("leave", ID).returncode == 0


def test_mount_of_a_missing_device_asks_to_try_again_later(machine):
    done = machine.run("disk", ID, "/dev/sdf", "1", "data", "new")
    assert (done.returncode, prism_entries(machine)) == (LATER, [])
    assert machine.run("leave", ID).returncode == 0


def test_mounted_volume_belongs_to_the_working_user(machine):
    machine.disk(ID)
    machine.inside("mount -t tmpfs tmpfs /var/tmp && getent passwd daemon")
    home = machine.inside("getent passwd games | cut -d: -f6").strip()
    machine.inside(f"mkdir -p {home}; mount -t tmpfs tmpfs {home}")
    done = machine.run("disk", ID, "/dev/sdf", "1", "data", "new", user="games")
    assert done.returncode == 0, done.stderr
    assert machine.inside(f"stat -c %U {home}/volumes/data").strip() == "games"


def slow_check(machine, folder, ends='exec /run/e2fsck "$@"', program="e2fsck"):
    """Let a check wait for the test, as on a restored disk that is loaded while it is read."""
    (folder / program).write_text(
        f"#!/bin/sh\necho began >>{folder}/checks\n"
        f"until [ -e {folder}/go ]; do sleep 0.05; done\n{ends}\n"
    )
    (folder / program).chmod(0o755)
    machine.inside(f"mount -t tmpfs tmpfs /run && cp /usr/sbin/{program} /run/{program}")
    machine.inside(f"mount --bind {folder / program} $(readlink -f /usr/sbin/{program})")


def prepare_copy(machine, make="mkfs.ext4", size=64 * MIB):
    """Attach a copy of a disk with data; return the command that mounts it."""
    machine.disk(ID, size=size)
    tool(make, "-q", machine.loops[0])
    at = mount_disk(machine, make="old")
    machine.inside(f"echo precious > {at}/thesis")
    assert machine.run("leave", ID).returncode == 0
    machine.disk(OTHER, copy_of=ID)
    return "disk", OTHER, "/dev/sdg", "1", "back", "copy"


def test_slow_check_of_a_copied_disk_runs_once_before_the_mount(machine, tmp_path):
    """EBS User Guide, "Initialize Amazon EBS volumes": blocks are fetched when they are read."""
    command = prepare_copy(machine)
    slow_check(machine, tmp_path)
    for _ in range(3):
        done = machine.run(*command)
        assert (done.returncode, "being checked" in done.stderr) == (LATER, True), done.stderr
    (tmp_path / "go").touch()
    at = mount_disk(machine, OTHER, "back", "copy")
    assert machine.inside(f"cat {at}/thesis") == "precious\n"
    assert (tmp_path / "checks").read_text() == "began\n", "one check for all requests"


def test_slow_change_of_ids_of_a_copied_xfs_runs_once_before_the_mount(machine, tmp_path):
    """EBS User Guide, "Initialize Amazon EBS volumes": blocks are fetched when they are read."""
    command = prepare_copy(machine, "mkfs.xfs", 400 * MIB)
    # The first of its two runs waits; the second one names the file system.
    slow_check(machine, tmp_path, 'exec /run/xfs_admin "$@"', "xfs_admin")
    for _ in range(3):
        done = machine.run(*command)
        assert (done.returncode, "gets an id of its own" in done.stderr) == (LATER, True), (
            done.stderr
        )
    assert machine.inside(f"findmnt -rn -M {HOME}/volumes/back || true") == ""
    (tmp_path / "go").touch()
    at = mount_disk(machine, OTHER, "back", "copy")
    assert machine.inside(f"cat {at}/thesis") == "precious\n"
    assert (tmp_path / "checks").read_text() == "began\n" * 2, "one new id and one new name"
    uuids = [ids(loop)["UUID"] for loop in machine.loops]
    assert len({*uuids}) == 2
    assert not (tmp_path / "work" / f"aside-{OTHER}").exists()


def test_copied_xfs_that_cannot_get_an_id_is_refused_with_the_reason(machine, tmp_path):
    command = prepare_copy(machine, "mkfs.xfs", 400 * MIB)
    slow_check(machine, tmp_path, "echo it is broken; exit 1", "xfs_admin")
    (tmp_path / "go").touch()

    def final_result():
        done = machine.run(*command)
        return done if done.returncode != LATER else None

    done = eventually(final_result, 120)
    assert (done.returncode, "xfs_admin: it is broken" in done.stderr) == (REFUSED, True)


@pytest.mark.parametrize(("code", "ends", "message"), [
    (8, LATER, "could not be checked yet"), (4, REFUSED, "needs a repair"),
])  # fmt: skip
def test_busy_disk_is_tried_again_and_a_damaged_disk_is_refused(
    machine, tmp_path, code, ends, message
):
    """e2fsck(8): 4 is errors left, 8 an operational error, such as a device in use."""
    command = prepare_copy(machine)
    slow_check(machine, tmp_path, f"exit {code}")
    (tmp_path / "go").touch()

    def final_result():
        done = machine.run(*command)
        return done if "being checked" not in done.stderr else None

    done = eventually(final_result, 120)
    assert (done.returncode, message in done.stderr) == (ends, True), done.stderr
