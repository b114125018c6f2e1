"""Mounting volumes in `~/volumes` of machines, by a script over SSH.

Each step of `mounting.sh` checks the current state first, so it can be repeated.
"""

from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from prism.errors import Unavailable
from prism.providers.aws.ssh.pool import AS_ROOT, ScriptResult
from prism.storage.ports import StorageRefused

SCRIPT = Path(__file__).with_name("mounting.sh")
LATER_EXIT_CODE, REFUSED_EXIT_CODE, BUSY_EXIT_CODE = 75, 65, 16
MACHINE_TIMEOUT = 25.0  # seconds; a lease lasts 60


DiskOrigin = Literal["new", "copy", "old"]
"""How a disk was made: empty, from a snapshot, or (`old`) either, and already mounted once."""


class AttachedDisk(Struct, frozen=True):
    """An attached EBS volume, and its device on the machine."""

    id: str
    device: str
    size_gb: int
    made: DiskOrigin


class Runner(Protocol):
    """Runs scripts on machines that are on: `ssh.pool.SshPool`."""

    def run(self, id: str, script: str, stdin: bytes = b"", seconds: float = ...) -> ScriptResult:
        """Run a script with `sh`; raises `Unavailable` if there is no answer."""


class VolumeBusy(StorageRefused, code="VOLUME_BUSY"):
    """A program on the machine uses the volume."""


class AwsMounts:
    """Mounts and unmounts volumes on machines."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def answers(self, machine: str) -> None:
        """Raise `Unavailable` unless the machine has booted from its own disk and answers."""
        if (result := self._runner.run(machine, "true", b"", MACHINE_TIMEOUT)).code != 0:
            raise Unavailable(f"Machine {machine} does not answer", details=result.err)

    def disk(self, machine: str, plugged: AttachedDisk, name: str) -> None:
        """Mount an EBS volume; a new, empty one gets a file system first."""
        self._run_script(
            machine, "disk", plugged.id, plugged.device, str(plugged.size_gb), name, plugged.made
        )

    def share(self, machine: str, id: str, address: str, name: str) -> None:
        """Mount an EFS file system at the address of its mount target."""
        self._run_script(machine, "share", id, address, name)

    def leave(self, machine: str, id: str) -> None:
        """Write all data to a volume, and unmount it."""
        self._run_script(machine, "leave", id)

    def _run_script(self, machine: str, verb: str, *words: str) -> None:
        # The words need no quotes: ids, names and addresses have no special characters.
        script = f"{AS_ROOT}as_root sh -s -- {verb} {' '.join(words)}"
        result = self._runner.run(machine, script, SCRIPT.read_bytes(), MACHINE_TIMEOUT)
        if result.code == 0:
            return
        why = (result.err.strip().splitlines() or [f"it ended with {result.code}"])[-1]
        if result.code == REFUSED_EXIT_CODE:
            raise StorageRefused(f"It cannot be mounted there: {why}")
        if result.code == BUSY_EXIT_CODE:
            raise VolumeBusy(f"It stays mounted: {why}", remediation="Stop what uses it")
        raise Unavailable(f"Machine {machine} is not ready to {verb} {words[0]}", details=why)
