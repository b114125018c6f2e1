"""A root that boots: systemd as the first process of namespaces of its own.

It has its own processes, mounts, name, cgroup and console, and lives on an overlay over a
root that stays as it was. The network is this machine's, so `/proc/sys` and `/sys` are
read-only and it may neither load modules nor set the clock.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import tty
from pathlib import Path

from tests.optional import not_none
from tests.waiting import eventually

SETUP = r"""
set -e
root=$1 console=$2
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$3,upperdir=$4/upper,workdir=$4/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys" && mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs sysfs -o ro "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
for it in null zero full random urandom tty; do
  touch "$root/dev/$it" && mount --bind "/dev/$it" "$root/dev/$it"
done
touch "$root/dev/console" && mount --bind "$console" "$root/dev/console"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-mknod,-syslog env -i \
  container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd
"""
NAMESPACES = ["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child=KILL"]


def cgroups():
    """Where cgroup2 is mounted, if it can be written; else None."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return Path(place)
    return None


def lacking():
    """Why nothing can boot here, or None."""
    if os.getuid() != 0:
        return "only root can make these namespaces"
    for program in ("unshare", "setpriv"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if cgroups() is None:
        return "there is no cgroup2 that can be written"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("lower", "upper", "work", "root"):
            (Path(folder) / name).mkdir()
        layers = "lowerdir=lower,upperdir=upper,workdir=work"
        command = [
            "unshare",
            *NAMESPACES,
            "mount",
            "-t",
            "overlay",
            "overlay",
            "-o",
            layers,
            "root",
        ]
        tried = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return f"namespaces: {tried.stderr.strip()}" if tried.returncode else None


class BootedMachine:
    """One machine: powered on and off, its console read, programs run in it."""

    def __init__(self, root, folder):
        self.base, self.folder, self.console = root, folder, ""
        self.root = folder / "root"
        for text in ("root", "over/upper", "over/work"):
            (folder / text).mkdir(parents=True)
        self._cgroup, self._process = None, None

    def seed(self, user_data, name="one"):
        """Provide the user data of the first boot."""
        seed = self.folder / "over/upper/var/lib/cloud/seed/nocloud"
        seed.mkdir(parents=True, exist_ok=True)
        (seed / "user-data").write_bytes(user_data)
        (seed / "meta-data").write_text(f"instance-id: i-{name}\n")

    def boot(self):
        """Power it on."""
        self._cgroup = cgroups() / f"prism-test-{secrets.token_hex(4)}"
        self._cgroup.mkdir()
        outside, inside = os.openpty()
        tty.setraw(inside)
        over, console = str(self.folder / "over"), os.ttyname(inside)
        begin = ["bash", "-c", SETUP, "nest", str(self.root), console, str(self.base), over]
        entered = f"echo $$ >{self._cgroup}/cgroup.procs && exec unshare {' '.join(NAMESPACES)} "
        command = ["bash", "-c", f'{entered} -- "$@"', "nest", *begin]
        self._process = subprocess.Popen(command, stdin=-3, start_new_session=True)
        self._reader = threading.Thread(target=self._read, args=(outside,), daemon=True)
        self._reader.start()
        self._inside = inside

    def _read(self, outside):
        with contextlib.suppress(OSError):
            while output := os.read(outside, 65536):
                self.console += output.decode(errors="replace")
        os.close(outside)

    @property
    def is_on(self):
        """Whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def run(self, *command, check=True, **more):
        """A program in it, as root."""
        pid = not_none(self._process).pid
        [first] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        enter = ["nsenter", "-a", "-t", first, f"--root=/proc/{first}/root", "--wd=/"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]
        done = subprocess.run([*enter, *clean, *command], capture_output=True, text=True, **more)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def off(self):
        """Power it off without a shutdown."""
        if self._process is None:
            return
        if self.is_on:
            self._process.send_signal(signal.SIGKILL)  # ends all of its processes
        self.ended()

    def ended(self):
        """Wait until it is off, and nothing of it is left."""
        not_none(self._process).wait(120)
        os.close(self._inside)
        group = not_none(self._cgroup)
        (group / "cgroup.kill").write_text("1")
        events = group / "cgroup.events"
        eventually(lambda: "populated 0" in events.read_text())
        for inner in sorted(group.rglob("*/"), reverse=True):
            inner.rmdir()
        group.rmdir()
        self._reader.join(120)  # now no process has the console open
        self._process = None
