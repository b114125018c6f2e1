"""A control group in which memory runs out."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import eventually

VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
# Takes memory piece by piece, without end.
HOG = """
pieces = []
while True:
    pieces.append(bytearray(b"x") * 2**21)
"""


class MemoryGroup:
    """A control group, of either version, with a limit of memory."""

    def __init__(self, folder: Path, limit: str) -> None:
        self.folder, self._limit = folder, folder / limit

    def limit(self, mebibytes: int) -> None:
        """Limit the memory of all processes in it together."""
        self._limit.write_text(str(mebibytes * 2**20))

    def add(self, pid: int) -> None:
        """Move a process into it; what it has allocated so far counts elsewhere."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def add_victim(self, pid: int) -> None:
        """Move a process into it that the kernel kills before all others."""
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        self.add(pid)

    def pids(self) -> list[int]:
        """The processes in it."""
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def kills(self) -> int:
        """How often the kernel killed a program in it for lack of memory."""
        files = (self.folder / "memory.events", self.folder / "memory.oom_control")
        events = next(file for file in files if file.exists())
        return int(dict(line.split() for line in events.read_text().splitlines())["oom_kill"])

    @contextlib.contextmanager
    def exhausted(self) -> Iterator[None]:
        """Until the block ends, a program in it takes more and more memory."""
        with subprocess.Popen(
            [sys.executable, "-c", HOG], preexec_fn=lambda: self.add(os.getpid())
        ) as hog:
            try:
                yield
            finally:
                hog.kill()


@pytest.fixture
def memory_group() -> Iterator[MemoryGroup]:
    """A control group without processes."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes a control group")
    parent, limit = (
        (VERSION_1, "memory.limit_in_bytes") if VERSION_1.is_dir() else (VERSION_2, "memory.max")
    )
    group = MemoryGroup(parent / f"prism-test-{os.getpid()}", limit)
    try:
        group.folder.mkdir()
        group.limit(256)
    except OSError as error:
        with contextlib.suppress(OSError):
            group.folder.rmdir()
        pytest.skip(f"needs control groups with a limit of memory: {error}")
    try:
        yield group
    finally:
        for pid in group.pids():  # those that a failed test left
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not group.pids(), 120)
        group.folder.rmdir()
