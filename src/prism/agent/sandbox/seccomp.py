"""The system calls that a workspace may not make, as a filter for the kernel (classic BPF).

The filter refuses system calls that research programs do not need, and in which kernels have had
security holes: new namespaces, mounts, BPF, keyrings, memory of other processes, modules and
`io_uring`. It also refuses the set-user-ID and set-group-ID bits, since on the disk the files of a
workspace belong to the user of the daemon; and sockets of families that network namespaces do not
separate, or that need a privilege which no workspace has. Everything else is allowed.
"""

import errno
import os
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

KILL_PROCESS, FAIL, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
CALL_NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in `struct seccomp_data`
X32 = 0x40000000  # system calls of 32-bit programs that are numbered within those of x86_64
NAMESPACES = 0x7E020000  # all CLONE_NEW… flags except the one for time, which `clone` lacks
NEW_TIME = 0x80
SET_ID = 0o6000
CREATES = os.O_CREAT | 0o20000000  # O_CREAT, or the bit of O_TMPFILE
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
# The allowed socket families, by their Linux numbers: Unix, IPv4, IPv6 and netlink. `AF_VSOCK`,
# for example, would reach the host of a virtual machine from every workspace.
SOCKET_FAMILIES = (1, 2, 10, 16)
NO_FAMILY = 97  # EAFNOSUPPORT on Linux; it has another number on other systems


class Architecture(NamedTuple):
    """The kernel's name of an architecture, and the numbers of its own system calls."""

    audit: int
    numbers: dict[str, int]


# Added since 2018, with one number everywhere.
COMMON = {
    **{"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427},
    **{"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432},
    **{"fspick": 433, "clone3": 435, "openat2": 437, "pidfd_getfd": 438},
    **{"mount_setattr": 442, "quotactl_fd": 443, "fchmodat2": 452, "open_tree_attr": 467},
}
X86_64 = {
    **{"open": 2, "ioctl": 16, "socket": 41, "clone": 56, "creat": 85, "chmod": 90, "fchmod": 91},
    **{"syslog": 103, "mknod": 133, "uselib": 134, "vhangup": 153, "pivot_root": 155},
    **{"acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167},
    **{"swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173, "init_module": 175},
    **{"delete_module": 176, "quotactl": 179, "clock_settime": 227, "kexec_load": 246},
    **{"add_key": 248, "request_key": 249, "keyctl": 250, "openat": 257, "mknodat": 259},
    **{"fchmodat": 268, "unshare": 272, "perf_event_open": 298, "fanotify_init": 300},
    **{"open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310},
    **{"process_vm_writev": 311, "finit_module": 313, "kexec_file_load": 320, "bpf": 321},
    **{"userfaultfd": 323, "chroot": 161},
}
AARCH64 = {
    **{"ioctl": 29, "mknodat": 33, "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51},
    **{"fchmod": 52, "fchmodat": 53, "openat": 56, "vhangup": 58, "quotactl": 60, "acct": 89},
    **{"unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106},
    **{"clock_settime": 112, "syslog": 116, "reboot": 142, "settimeofday": 170},
    **{"add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "swapon": 224},
    **{"swapoff": 225, "perf_event_open": 241, "fanotify_init": 262, "open_by_handle_at": 265},
    **{"setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273},
    **{"bpf": 280, "userfaultfd": 282, "kexec_file_load": 294, "socket": 198},
}
ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, X86_64 | COMMON),
    "aarch64": Architecture(0xC00000B7, AARCH64 | COMMON),
}
# If these do not exist, programs use older calls. The arguments of `clone3` and `openat2` are in
# memory, which a filter cannot read.
MISSING_CALLS = ("clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register")
# The index of the argument with the mode of a new or changed file; in `OPENING` after the index of
# the flags that say whether there is a mode.
MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
MODES |= {"creat": 1, "mknod": 1, "mknodat": 2}
OPENING = {"open": (1, 2), "openat": (2, 3)}
LOOKED_INTO = {"clone", "unshare", "ioctl", "socket", *MODES, *OPENING}

Instruction = tuple[int, int, int, int]


def filter_for(machine: str) -> bytes | None:
    """The filter for a processor, by its name in `uname -m`; None if there is none."""
    if (known := ARCHITECTURES.get(machine)) is None:
        return None
    body = [*_of_this_architecture(known, x32=machine == "x86_64")]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in body)


def _of_this_architecture(known: Architecture, *, x32: bool) -> Iterable[Instruction]:
    yield _load(ARCHITECTURE)
    yield (EQUAL, 1, 0, known.audit)
    yield _return(KILL_PROCESS)
    yield _load(CALL_NUMBER)
    if x32:
        yield (AT_LEAST, 0, 1, X32)
        yield _return(KILL_PROCESS)
    for name, number in sorted(known.numbers.items(), key=lambda it: it[1]):
        if name in LOOKED_INTO:
            block = _look_into(name)
            yield (EQUAL, 0, len(block), number)
            yield from block
        else:
            yield (EQUAL, 0, 1, number)
            yield _refuse(errno.ENOSYS if name in MISSING_CALLS else errno.EPERM)
    yield _return(ALLOW)


def _look_into(name: str) -> Sequence[Instruction]:
    """Instructions that allow or refuse a call by its arguments."""
    if name == "ioctl":
        asks = (_argument(1), (EQUAL, 1, 0, TIOCSTI), (EQUAL, 0, 1, TIOCLINUX))
        return (*asks, _refuse(errno.EPERM), _return(ALLOW))
    if name == "socket":
        known = (
            instruction
            for family in SOCKET_FAMILIES
            for instruction in ((EQUAL, 0, 1, family), _return(ALLOW))
        )
        return (_argument(0), *known, _refuse(NO_FAMILY))
    if name in OPENING:
        flags, mode = OPENING[name]
        creates = (_argument(flags), (ANY_BIT, 0, 3, CREATES))
        return (*creates, *_refuse_bits(mode, SET_ID))
    if name in MODES:
        return _refuse_bits(MODES[name], SET_ID)
    return _refuse_bits(0, NAMESPACES | (NEW_TIME if name == "unshare" else 0))


def _refuse_bits(argument: int, bits: int) -> Sequence[Instruction]:
    asks = (_argument(argument), (ANY_BIT, 0, 1, bits))
    return (*asks, _refuse(errno.EPERM), _return(ALLOW))


def _argument(number: int) -> Instruction:
    """The lower half of an argument: both architectures are little-endian."""
    return _load(ARGUMENTS + 8 * number)


def _load(offset: int) -> Instruction:
    return (LOAD, 0, 0, offset)


def _refuse(number: int) -> Instruction:
    return _return(FAIL | number)


def _return(value: int) -> Instruction:
    return (RETURN, 0, 0, value)
