"""Checks how far local workspaces are isolated."""

import ctypes
import os
import pwd
import re
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec

from prism.agent.protocol import SEEN, IsolationReport
from prism.cli.checks.context import CheckContext, Finding, broken, ok, skipped, warning
from prism.cli.checks.machine import installing
from prism.settings import Settings, uids, variable

RANGE_VARIABLE = variable("uid_range")
SHARES = (
    "this computer's network, where they reach the cloud's metadata service, what listens on "
    "loopback and each other's ports"
)
UNFILTERED = "no filter of their network, so they reach the cloud's metadata service"
NO_MEMORY_LIMIT = "no limit of memory"
TUN = Path("/dev/net/tun")
PROMISES = {  # the texts for limits that apply, and that do not
    "capabilities": ("no capabilities", "they have capabilities"),
    "namespaces": ("no new user namespaces", "they can make user namespaces"),
    "filter": ("a filter of system calls", "no filter of system calls"),
}
APART = "local workspaces run as you, and are kept apart against accidents, not hostile code"
OF_ROOT = (
    "each local workspace is a user of its own that no other can enter, but sees this computer's "
    "processes and whatever other users may read"
)
# The errors of kernels that forbid user namespaces, and the commands that allow them.
FORBIDDEN = {
    "proc/sys/kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
    "proc/sys/kernel/unprivileged_userns_clone": ("0", "1"),
    "proc/sys/user/max_user_namespaces": ("0", "15000"),
}
DISPLAY = re.compile(r"@(/tmp/\.X11-unix/X\d+)$", re.M)
HELLO = struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0)  # X11's first message, without a key
LANDLOCK_CREATE_RULESET = 444  # its number on every architecture
LANDLOCK_SCOPED = 6  # the version (Linux 6.12) that closes abstract sockets of others
ADMITTED = b"\1"


def bubblewrap(context: CheckContext) -> Finding:
    """Whether a sandbox keeps local workspaces away from your files and from each other."""
    if context.platform != "linux":
        return warning(APART, "Nothing to do: bubblewrap exists on Linux only")
    if context.which("bwrap") is None:
        return warning(f"it is not installed: {_without()}", installing(context, "bubblewrap"))
    ran = context.trial("bubblewrap")
    if ran.code == 0:
        return ok("workspaces cannot see your files or each other")
    if ran.code == SEEN:
        first, *more = ran.output.splitlines()
        message = f"workspaces can read {first}" + (f" and {len(more)} more" if more else "")
        where = "the folders of the system and of Prism's Python"
        return warning(message, f"Move it out of {where}, which every workspace sees")
    for path, (forbids, allows) in FORBIDDEN.items():
        if (context.kernel(path) or "").strip() == forbids:
            name = path.removeprefix("proc/sys/").replace("/", ".")
            return warning(f"{name} forbids it: {_without()}", f"sudo sysctl -w {name}={allows}")
    reason = (ran.output.splitlines() or ["it ended without a message"])[-1]
    return warning(f"it does not work here: {reason}. {_without()}", "Ask your administrator")


def _without() -> str:
    """How workspaces are kept apart without it."""
    return OF_ROOT if os.geteuid() == 0 else APART


def isolation(context: CheckContext) -> Finding:
    """The user that a workspace's programs run as, and which limits apply to them."""
    if context.platform != "linux":
        return skipped("only Linux can confine them: they run as you, with all that you may do")
    ran = context.trial("isolation")
    reason = (ran.output.splitlines() or ["it ended without a message"])[-1]
    if ran.code != 0:
        return broken(f"no workspace can start: {reason}", _remedy(context))
    try:
        report = msgspec.json.decode(ran.output, type=IsolationReport)
    except msgspec.MsgspecError:
        return skipped(f"the test gave an unreadable answer: {reason}")
    uid_range = context.environ.get(RANGE_VARIABLE) or Settings().uid_range
    if os.geteuid() == 0 and (name := _owner(uid_range)):
        return warning(
            f"{RANGE_VARIABLE} has the id of {name}, who could reach into workspaces",
            f"Set {RANGE_VARIABLE} to ids that nobody has, and restart the daemon",
        )
    return _isolation_finding(context, report)


def _isolation_finding(context: CheckContext, report: IsolationReport) -> Finding:
    """The finding from the report of a test program that ran like a workspace's programs."""
    holds = {name: bool(is_kept) for name, is_kept in report["kept"].items()}
    promises = [words for name, (words, _) in PROMISES.items() if holds[name]]
    missing = [words for name, (_, words) in PROMISES.items() if not holds[name]]
    if report["processes"]:
        promises.append(f"at most {report['processes']:,} processes")
    else:
        missing.append("no limit of processes")
    if (sandbox := report.get("sandbox") or "").startswith("none: "):
        missing.append(f"no sandbox ({sandbox.removeprefix('none: ')}) and {SHARES}")
    if unlimited := report.get("unlimited"):
        missing.append(f"{NO_MEMORY_LIMIT} ({unlimited})")
    network = report["network"]
    if network == "own" and report["unfiltered"]:
        missing.append(f"{UNFILTERED} ({report['unfiltered']})")
    elif network == "own":
        promises.append("a network for each workspace")
    elif network:
        missing.append(f"{SHARES} ({network.removeprefix('shared: ')})")
    user, is_root = report["user"], os.geteuid() == 0
    if not is_root:
        run_as = f"they run as you (uid {user})"
    elif report["is_shared"]:
        run_as = f"all run as uid {user}"
        missing.append("no user for each")
    else:
        run_as = f"each runs as its own user (the next one as uid {user})"
    if missing:
        holds_too = f", with {', '.join(promises)}" if network == "own" else ""
        return warning(f"{run_as}{holds_too}, but {', '.join(missing)}", _remedy(context, missing))
    return ok(f"{run_as}, with {', '.join(promises)}")


def _remedy(context: CheckContext, missing: Sequence[str] = ()) -> str:
    if context.which("bwrap") is None:
        return installing(context, "bubblewrap")
    if len(missing) == 1 and missing[0].startswith(SHARES):
        return _network_remedy(context)
    if len(missing) == 1 and missing[0].startswith(NO_MEMORY_LIMIT):
        return (
            "Start Linux with systemd.unified_cgroup_hierarchy=1, and Prism as root or by systemd"
        )
    if len(missing) == 1 and missing[0].startswith(UNFILTERED):
        return "sudo modprobe -a nf_tables nft_reject_ipv4 nft_reject_ipv6"
    return "Linux 5.14 or newer has all of it, with PRISM_HOME on ext4, XFS or btrfs"


def _network_remedy(context: CheckContext) -> str:
    """What to do so that each workspace gets its own network at its next start."""
    name = variable("workspace_network")
    if context.environ.get(name) in {"host", "shared"}:
        return f"Set {name} to lan, and restart the daemon"
    if context.which("pasta") is None:
        return installing(context, "passt")
    if not TUN.exists():
        return "sudo modprobe tun"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"sudo chmod 0666 {TUN}"
    return "Ask your administrator: `pasta` needs user namespaces and /dev/net/tun"


def _owner(ids: str) -> str | None:
    """A user of this computer whose id is in the range for workspaces; None if there is none."""
    names = [user.pw_name for user in pwd.getpwall() if user.pw_uid in uids(ids)]
    return min(names, default=None)


def display(context: CheckContext) -> Finding:
    """Whether an X11 display listens on an abstract socket, which only Landlock hides."""
    if context.platform != "linux":
        return skipped("only Linux has sockets without a file")
    names = sorted({*DISPLAY.findall(context.kernel("proc/net/unix") or "")})
    if not names:
        return ok("none that a workspace could reach")
    if landlock_version() >= LANDLOCK_SCOPED:
        return ok(f"the kernel closes @{names[0]} to workspaces (Landlock)")
    for name in names:
        if _admits(name):
            return warning(
                f"@{name} admits every program of your user, so every workspace that shares your "
                "network can see your screen and keys",
                'xhost "-si:localuser:$(id -un)"',
            )
    return ok(f"@{names[0]} asks for a key, which workspaces do not see")


def landlock_version() -> int:
    """The version of the kernel's Landlock (landlock(7)); less than 1 if it has none."""
    asks_version = 1
    return int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, asks_version))


def _admits(name: str) -> bool:
    """Whether a display accepts a client without a key."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(f"\0{name}")
            connection.sendall(HELLO)
            return connection.recv(1) == ADMITTED
    except OSError:
        return False
