"""Makes the conditions of one row around a program: `stage.py JSON PROGRAM [ARGUMENT …]`.

It runs as root in mount and PID namespaces of its own (`unshare`), so nothing is left when it
ends. Programs are hidden by an empty file that is mounted over them; those that could change the
system, by which `make` would install what is missing, always are.
"""

import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

PROGRAMS = {
    "bubblewrap": ("bwrap",),
    "passt": ("pasta", "passt"),
    "node": ("node", "nodejs"),
    "npm": ("npm", "npx"),
    "postgresql": ("psql", "initdb", "postgres", "pg_ctl"),
    "ip": ("ip",),
}
NEVER = ("apt-get", "apt", "dpkg", "sudo", "dnf", "zypper", "pacman", "apk")
FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
USER = 65534
PASSED = (
    *("TEST_", "SSL_CERT_", "UV_SYSTEM_CERTS", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
ALLOW, REFUSE, MISSING = 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, ENOSYS
NEW_USER = 0x10000000
NUMBERS = {"x86_64": (272, 56), "aarch64": (97, 220)}  # `unshare` and `clone`
CLONE3 = 435


def main(row: dict[str, str], stage: Path, program: list[str]) -> int:
    """Make the conditions, and run the program; its exit code."""
    uid = 0 if row["user"] == "root" else USER
    mount_file_system(row["filesystem"], stage)
    for folder in (
        "/usr",
        "/etc",
    ):  # nothing here may change this computer; before what is mounted in them
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
    hide([name for kind, names in PROGRAMS.items() if row[kind] == "without" for name in names])
    base = stage / {"plain": "plain", "space": "a b", "private": "private"}[row["path"]]
    own_folder(base, uid, 0o700 if row["path"] == "private" else 0o755)
    share_cache(base / ".prism", Path(os.environ["TEST_CACHE"]) / "prism", uid)
    has_sbin = row["/usr/sbin on PATH"] == "with"
    environ = {
        "HOME": str(base),
        "PATH": ":".join(folder for folder in FOLDERS if has_sbin or "sbin" not in folder),
        "LC_ALL": row["locale"],
        **{name: value for name, value in os.environ.items() if name.startswith(PASSED)},
    }
    rights = []
    if row["CAP_SYS_ADMIN"] == "without":
        rights += ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    if uid:
        rights += [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    argv = ["/usr/bin/setpriv", *rights, *program] if rights else program
    os.umask(int(row["umask"], 8))
    if row["user namespaces"] == "without":
        forbid_user_namespaces()
    return subprocess.run(argv, env=environ, cwd=base, check=False).returncode


def own_folder(path: Path, uid: int, mode: int = 0o700) -> None:
    """Make a folder of the user."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    os.chown(path, uid, uid)


def share_cache(home: Path, cache: Path, uid: int) -> None:
    """Let all rows of a user share the packages of workspaces, so that one row downloads them."""
    for folder in (cache, home, home / "cache"):
        own_folder(folder, uid)
    subprocess.run(["mount", "--bind", cache, home / "cache"], check=True)


def mount_file_system(kind: str, stage: Path) -> None:
    """Make the stage a file system of this kind."""
    if kind == "tmpfs":
        mount("tmpfs", stage, "mode=755")
    elif kind == "overlayfs":
        parts = {name: stage.parent / name for name in ("lowerdir", "upperdir", "workdir")}
        for folder in parts.values():
            folder.mkdir(mode=0o755)
        mount("overlay", stage, ",".join(f"{name}={folder}" for name, folder in parts.items()))
    elif "ext" not in subprocess.check_output(["stat", "-f", "-c", "%T", stage], text=True):
        image = stage.parent / "image"
        with open(image, "wb") as file:
            file.truncate(8 << 30)
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", image], check=True)
        mount("ext4", stage, "loop", image)


def mount(kind: str, target: Path, options: str, source: str | Path = "none") -> None:
    """Mount a file system."""
    subprocess.run(["mount", "-t", kind, "-o", options, source, target], check=True)


def hide(names: list[str]) -> None:
    """Hide programs wherever a PATH may find them."""
    path = os.pathsep.join((*FOLDERS, *os.environ["PATH"].split(os.pathsep)))
    hidden = {
        os.path.realpath(program)
        for name in (*names, *NEVER)
        for folder in path.split(os.pathsep)
        if (program := shutil.which(name, path=folder))
    }
    if "psql" in names:
        hidden |= {*map(str, Path("/usr/lib/postgresql").glob("*/bin/*"))}
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,mode=700", "none", "/mnt"], check=True)
    empty = Path("/mnt/hidden")
    empty.touch(0o600)
    for program in sorted(hidden):
        subprocess.run(["mount", "--bind", empty, program], check=True)


def forbid_user_namespaces() -> None:
    """Refuse user namespaces to this process and those below it, as containers do."""
    unshare, clone = NUMBERS[os.uname().machine]
    load, equal, any_bit, end = 0x20, 0x15, 0x45, 0x06
    steps = [
        (load, 0, 0, 0),  # the number of the system call
        (equal, 5, 0, CLONE3),
        (equal, 1, 0, unshare),
        (equal, 0, 2, clone),
        (load, 0, 0, 16),  # its first argument, the flags
        (any_bit, 2, 0, NEW_USER),
        (end, 0, 0, ALLOW),
        (end, 0, 0, MISSING),
        (end, 0, 0, REFUSE),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    text = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, program, 0, 0):
        raise OSError(ctypes.get_errno(), "no filter of system calls can be set")


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
