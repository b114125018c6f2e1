"""A machine with loop devices over files as disks, in its own mount namespace."""

import os
import subprocess
from pathlib import Path

from tests.optional import not_none

SCRIPT = Path("src/prism/providers/aws/storage/mounting.sh").absolute()
MIB = 2**20
HOME = os.path.expanduser("~root")


def can_loop():
    """Whether loop devices can be made on this computer."""
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        return False
    return subprocess.run(["losetup", "-f"], capture_output=True).returncode == 0


class Machine:
    """A machine with its own home of root, and an `fstab` in the folder of the test."""

    def __init__(self, folder):
        self.folder, self.loops = folder, []
        (folder / "dev/disk/by-id").mkdir(parents=True)
        self.fstab = folder / "fstab"
        self.fstab.write_text("UUID=root / ext4 defaults 0 1\n# mine")
        ready = f"mount --make-rprivate / && mount -t tmpfs tmpfs {HOME} && echo ready && exec cat"
        self.life = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", ready], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert not_none(self.life.stdout).readline() == b"ready\n"

    def close(self):
        not_none(self.life.stdin).close()
        self.life.wait(120)
        not_none(self.life.stdout).close()
        for loop in self.loops:
            subprocess.run(["losetup", "-d", loop], check=True)

    def disk(self, id, size=64 * MIB, copy_of=None):
        """Attach a disk that is named after its volume's id; return its file."""
        image = self.folder / f"{id}.img"
        if copy_of is not None:
            copy = ["cp", "--sparse=always", self.folder / f"{copy_of}.img", image]
            subprocess.run(copy, check=True)
        else:
            with image.open("wb") as file:
                file.truncate(size)
        self.plug(id)
        return image

    def plug(self, id):
        """Make the device appear."""
        image = self.folder / f"{id}.img"
        command = ["losetup", "-fP", "--show", image]
        loop = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self.loops.append(loop)
        self.find_parts(loop)
        name = f"nvme-Amazon_Elastic_Block_Store_{id.replace('-', '')}"
        (self.folder / "dev/disk/by-id" / name).symlink_to(loop)
        return loop

    def find_parts(self, loop):
        """Make the partitions appear, even if the kernel cannot read the table by itself."""
        subprocess.run(["partx", "-a", loop], capture_output=True)

    def unplug(self, id):
        """Remove the device."""
        name = f"nvme-Amazon_Elastic_Block_Store_{id.replace('-', '')}"
        link = self.folder / "dev/disk/by-id" / name
        loop = os.readlink(link)
        link.unlink()
        subprocess.run(["losetup", "-d", loop], check=True)
        self.loops.remove(loop)

    def run(self, *words, user="root"):
        """Run the script on the machine."""
        environment = {
            "PATH": os.environ["PATH"],
            "PRISM_FSTAB": str(self.fstab),
            "PRISM_DEVICES": str(self.folder / "dev"),
            "PRISM_WORK": str(self.folder / "work"),
            "SUDO_USER": user,
        }
        command = ["nsenter", "-m", "-t", str(self.life.pid), "sh", "-s", "--", *words]
        with SCRIPT.open() as script:
            return subprocess.run(
                command, stdin=script, capture_output=True, text=True, env=environment, timeout=60
            )

    def inside(self, command, check=True):
        """Run a command on the machine; return its output."""
        argv = ["nsenter", "-m", "-t", str(self.life.pid), "sh", "-c", command]
        return subprocess.run(argv, capture_output=True, text=True, check=check).stdout
