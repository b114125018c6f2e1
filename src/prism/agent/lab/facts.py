"""What a lab server offers to a workspace, found without changing it."""

import fcntl
import getpass
import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from prism.agent.machine.slots import GpusUnknown, gpus, totals
from prism.agent.protocol import LAB_FOLDER
from prism.agent.sandbox.bubblewrap import bubblewrap

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TRIAL_SECONDS = 20
REQUIREMENT = b"pip\n"  # a small package that each registry has


def facts(root: Path) -> "dict[str, Any]":
    """What holds on this server for this login."""
    disk = shutil.disk_usage(Path.home())
    cpus, memory_mb = totals(os.environ)
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "system": platform.system(),
        "machine": platform.machine(),
        "identity": identity(),
        "user": getpass.getuser(),
        "cpus": cpus,
        "memory": memory_mb << 20,
        "disk_free": disk.free,
        "locks": _locks_hold(),
        "sandbox": _why_no_sandbox(),
        "lingers": lingers(),
        "cgroup": _is_delegated(),
        "gpus": _gpus(),
    }


def identity() -> str:
    """What no other server has now, however it is called: its boot, and its own name.

    Containers of one computer have the same boot.
    """
    boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
    return f"{boot} {os.uname().nodename}"


def registry(root: Path, uv: str) -> str:
    """What uv says if packages cannot be downloaded; else empty."""
    argv = [str(root / "uv" / uv / "uv"), "pip", "compile", "--quiet", "--no-deps", "-"]
    own = {**os.environ, "UV_CACHE_DIR": str(root / "cache" / "wheels"), "NO_COLOR": "1"}
    try:
        done = subprocess.run(
            [*argv, "--python", sys.executable],
            check=False,
            input=REQUIREMENT,
            env=own,
            cwd="/",
            capture_output=True,
            timeout=TRIAL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"the registry of packages did not answer within {TRIAL_SECONDS} s"
    return done.stderr.decode(errors="replace")[-2000:].strip() if done.returncode else ""


def lingers() -> bool:
    """Whether the user's own systemd outlives their logins, and can run a program for us."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    return (
        shutil.which("systemd-run") is not None
        and os.path.exists(f"/var/lib/systemd/linger/{getpass.getuser()}")
        and os.path.exists(f"{runtime}/systemd/private")
    )


def _why_no_sandbox() -> str:
    """Why programs cannot be sandboxed; empty if they can."""
    if (bwrap := bubblewrap()) is None:
        return "bubblewrap is not installed"
    trial = [bwrap, "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "/bin/true"]
    done = subprocess.run(trial, check=False, capture_output=True, timeout=TRIAL_SECONDS)
    return done.stderr.decode(errors="replace")[-300:].strip() if done.returncode else ""


def _locks_hold() -> bool:
    """Whether the home's file system has the locks by which a supervisor is found."""
    path = Path.home() / f"{LAB_FOLDER}.trial-{os.getpid()}"
    try:
        with open(path, "w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        path.unlink(missing_ok=True)


def _is_delegated() -> bool:
    """Whether the cgroup of this login may have groups of its own."""
    try:
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
    except OSError:
        return False
    return os.access(f"/sys/fs/cgroup{own}/cgroup.procs", os.W_OK)


def _gpus() -> "list[str]":
    with suppress(GpusUnknown):
        return [gpu["name"] for gpu in gpus()]
    return []
