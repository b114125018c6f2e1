"""The filter of system calls, run by an interpreter of the tests and by the kernel."""

import errno
import json
import os
import struct
import subprocess
import sys

import pytest

from prism.agent import init
from prism.agent.sandbox.seccomp import ALLOW, ARCHITECTURES, FAIL, KILL_PROCESS, filter_for
from tests.optional import not_none

NEW_USER, NEW_TIME, THREAD = 0x10000000, 0x80, 0x00010F00
TIOCSTI, TIOCGWINSZ = 0x5412, 0x5413
CREATE = os.O_CREAT | os.O_WRONLY
TMPFILE = 0o20200000 | os.O_RDWR
PERMITTED, DENIED, MISSING = ALLOW, FAIL | errno.EPERM, FAIL | errno.ENOSYS
NO_FAMILY = FAIL | 97
# By name: arguments, and the verdict.
VERDICTS = [
    ("clone", (THREAD,), PERMITTED),
    ("clone", (THREAD | NEW_USER,), DENIED),
    ("clone", (NEW_USER | 0xDEADBEEF << 32,), DENIED),
    ("unshare", (0x400,), PERMITTED),
    ("unshare", (NEW_USER,), DENIED),
    ("unshare", (0x00020000,), DENIED),
    ("unshare", (NEW_TIME,), DENIED),
    ("clone3", (), MISSING),
    ("openat2", (), MISSING),
    *(("socket", (family, 1), PERMITTED) for family in (1, 2, 10, 16)),
    *(("socket", (family, 1), NO_FAMILY) for family in (17, 31, 38, 40, 40 | 1 << 32, 44)),
    ("io_uring_setup", (), MISSING),
    ("setns", (3, 0), DENIED),
    ("ioctl", (0, TIOCSTI), DENIED),
    ("ioctl", (0, TIOCSTI | 1 << 32), DENIED),
    ("ioctl", (0, TIOCGWINSZ), PERMITTED),
    ("openat", (0, 0, os.O_RDONLY, 0o4755), PERMITTED),
    ("openat", (0, 0, CREATE, 0o644), PERMITTED),
    ("openat", (0, 0, CREATE, 0o4755), DENIED),
    ("openat", (0, 0, TMPFILE, 0o2755), DENIED),
    ("fchmod", (3, 0o755), PERMITTED),
    ("fchmod", (3, 0o4755), DENIED),
    ("fchmodat", (0, 0, 0o2755), DENIED),
    ("fchmodat2", (0, 0, 0o4755, 0), DENIED),
    ("mknodat", (0, 0, 0o104755, 0), DENIED),
    *(
        (name, (), DENIED)
        for name in (
            *("mount", "umount2", "pivot_root", "open_tree", "move_mount", "fsopen", "fsmount"),
            *("fsconfig", "fspick", "mount_setattr", "bpf", "keyctl", "add_key", "request_key"),
            *("process_vm_readv", "process_vm_writev", "kexec_load", "kexec_file_load"),
            *("init_module", "finit_module", "delete_module", "perf_event_open", "userfaultfd"),
            *("open_by_handle_at", "pidfd_getfd", "chroot", "reboot", "swapon", "quotactl_fd"),
        )
    ),
]


def verdict(program, audit, number, arguments=()):
    """The verdict of the filter on a call, one instruction after the other."""
    padded = [*arguments, *[0] * 6][:6]
    data = struct.pack("<iIQ6Q", number, audit, 0, *padded)
    steps = [*struct.iter_unpack("=HBBI", program)]
    accumulator = at = 0
    while True:
        code, jump, skip, value = steps[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            met = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: accumulator & value,
            }
            at += jump if met[code] else skip


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(("name", "arguments", "expected"), VERDICTS)
def test_seccomp_filter_returns_its_verdict_for_each_call(machine, name, arguments, expected):
    known = ARCHITECTURES[machine]
    number = known.numbers[name]
    assert verdict(filter_for(machine), known.audit, number, arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_seccomp_filter_permits_other_calls_and_kills_other_architectures(machine):
    program, known = filter_for(machine), ARCHITECTURES[machine]
    for number in {*range(500)} - {*known.numbers.values()}:
        assert verdict(program, known.audit, number) == PERMITTED, number
    for other in (
        0x40000003,
        0,
        *(architecture.audit for architecture in ARCHITECTURES.values() if architecture != known),
    ):
        assert verdict(program, other, 0) == KILL_PROCESS
    assert filter_for("riscv64") is None


def test_seccomp_filter_kills_calls_with_x32_numbers():
    audit = ARCHITECTURES["x86_64"].audit
    for number in (0x40000000, 0x40000000 | 59, 0xFFFFFFFF):
        signed = number - (1 << 32) if number >= 1 << 31 else number
        assert verdict(filter_for("x86_64"), audit, signed) == KILL_PROCESS


@pytest.mark.skipif(
    sys.platform != "linux" or filter_for(os.uname().machine) is None, reason="no filter here"
)
def test_kernel_enforces_the_seccomp_filter(tmp_path):
    program = not_none(filter_for(os.uname().machine))
    code = f"""
import ctypes, errno, json, os, subprocess, sys
sys.path.insert(0, {os.path.dirname(init.__file__)!r})
import init
init.confine({{"filter": {program.hex()!r}}}, [])
libc = ctypes.CDLL(None, use_errno=True)
open("file", "w").close()
said = []
for act in (lambda: libc.unshare(0x10000000), lambda: libc.chmod(b"file", 0o4755),
            lambda: libc.syscall(437, -100, b"file", None, 0), lambda: libc.chmod(b"file", 0o755)):
    said.append(ctypes.get_errno() if act() < 0 else 0)
said.append(subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode != 0)
print(json.dumps(said))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [errno.EPERM, errno.EPERM, errno.ENOSYS, 0, True]
