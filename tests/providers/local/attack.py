"""A hostile program in a machine; it prints `beaten`, or what it could read or do."""

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
from itertools import islice
from pathlib import Path

GOT: list[str] = []
DISKS = ("sd", "vd", "nvme", "mem", "kmsg")


def tries(target, act):
    """Record each act that succeeds."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if got := act():
            GOT.append(f"{target}: {got!r}")


def readable(path):
    """Its content, where it can be read at all."""
    path = Path(path)
    return os.listdir(path) if path.is_dir() else path.read_bytes()[:80]


def foreign(path):
    """Entries that do not belong to the machine; the folder for its volumes is empty."""
    own = os.environ["OWN"]
    volumes = Path(os.environ["STATE"]) / "storage" / "volumes"
    return [
        path
        for path in islice(Path(path).rglob("*"), 5000)
        if not own.startswith(str(path))
        and not str(path).startswith(own)
        and path not in {volumes, volumes.parent}
    ]


def written(path):
    """Whether a file could be put there."""
    target = Path(path) / "attacked"
    target.write_text("x")
    # Everything below /tmp belongs to the machine; the caller checks whether it is outside.
    return not str(target).startswith("/tmp/") and str(target)


def rewritten(path):
    """Whether it could be opened for writing; nothing is changed."""
    with open(path, "r+b"):
        return path


def knock(path):
    """Whether a Unix socket accepts a connection."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        return path


def reachable(pid):
    """Whether the attacker may signal this process."""
    os.kill(pid, 0)
    return pid


def mount():
    """Whether the attacker may mount."""
    code = ctypes.CDLL(None, use_errno=True).mount(b"none", b"/tmp", b"tmpfs", 0, None)
    return code == 0


def uncovered(path):
    """The content of a hidden folder, after its cover is unmounted or its parent mounted again."""
    path, elsewhere = Path(path), "/tmp/under"
    tried = f"umount '{path}'; mkdir -p {elsewhere}; mount --bind '{path.parent}' {elsewhere}"
    look = f"ls -A '{path}/ssh' '{elsewhere}/{path.name}/ssh'"
    argv = ["unshare", "--map-root-user", "--mount", "sh", "-c", f"{tried}; {look}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120).stdout


def others():
    """Processes of others."""
    commands = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ")
                environ = Path(f"/proc/{name}/environ").read_bytes()
                mine = f"PRISM_MACHINE={os.environ['OWN']}\0".encode()
                if words and mine not in environ + b"\0":
                    commands.append(words)
    return commands


def look(env):
    """Try to read what belongs to others."""
    state, own = Path(env["STATE"]), env["OWN"]
    tries("victim", lambda: foreign(env["VICTIM"]))
    tries("state", lambda: foreign(state))
    tries("home of the user", lambda: of_the_user(env))
    paths = ("/etc/shadow", "/etc/ssh", f"{own}/order.json", f"{own}/wanted.json")
    for path in (env["DIARY"], env["CACHE"], *paths, "/proc/1/" + "root/etc/shadow"):
        tries(path, lambda path=path: readable(path))
    tries("processes", others)
    tries("disks", lambda: [name for name in os.listdir("/dev") if name.startswith(DISKS)])


def act(env):
    """Try to change what belongs to others."""
    state, own = Path(env["STATE"]), env["OWN"]
    volumes = state / "storage" / "volumes"
    protected = (state, own, volumes) if volumes.exists() else (state, own)
    for path in (sys.base_prefix, "/usr", "/etc", "/", *protected, "/proc/sys/kernel", "/sys"):
        tries(f"write {path}", lambda path=path: written(path))
    for path in (state / "prism.sock", f"{own}/door", "/run/docker.sock", "/var/run/docker.sock"):
        tries(f"socket {path}", lambda path=path: knock(str(path)))
    kernel = [Path("/proc/sys/kernel/core_pattern"), Path("/proc/sysrq-trigger")]
    for path in (*kernel, *Path("/sys/fs/cgroup").rglob("cgroup.procs")):
        tries(f"rewrite {path}", lambda path=path: rewritten(path))
    tries("signal", lambda: reachable(int(env["SUPERVISOR"])))
    tries("mount", mount)
    tries("uncover", lambda: uncovered(state))
    tries("chroot", chroot)


def chroot():
    os.chroot("/tmp")
    return "chroot"


def of_the_user(env):
    """Entries of the user's home that are neither the interpreter nor a parent of it."""
    allowed = (sys.base_prefix, *env["REACHABLE"].split(":"))
    names = foreign(env["USER_HOME"])
    return [
        value
        for value in map(str, names)
        if not value.startswith(allowed) and not any(text.startswith(value) for text in allowed)
    ]


if __name__ == "__main__":
    look(os.environ)
    if sys.argv[1:] != ["look"]:
        act(os.environ)
    sys.stdout.write("\n".join(GOT) or "beaten")
