"""Showing volumes in `~/volumes` of machines: a script that runs there, over SSH.

`mounting.sh` does it, so that each step may be repeated and is decided by what is there.
"""

from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from prism.errors import Unavailable
from prism.providers.aws.ssh.pool import AS_ROOT, ScriptResult
from prism.storage.ports import StorageRefused

SCRIPT = Path(__file__).with_name("mounting.sh")
LATER, REFUSED, BUSY = 75, 65, 16
PATIENCE = 25.0  # seconds; a lease lasts 60


Made = Literal["new", "copy", "old"]
"""How a disk was made: empty, from a snapshot and never shown yet, from one and shown."""


class Plugged(Struct, frozen=True):
    """An EBS volume that a machine has, by the device that it was attached as."""

    id: str
    device: str
    size_gb: int
    made: Made


class Runner(Protocol):
    """Whoever runs scripts on machines that are on: `ssh.pool.Pool`."""

    def run(self, id: str, script: str, given: bytes = b"", seconds: float = ...) -> ScriptResult:
        """What a script for `sh` says there; raises `Unavailable` where nobody answers."""


class VolumeBusy(StorageRefused, code="VOLUME_BUSY"):
    """A program on the machine uses it."""


class AwsMounts:
    """What machines show of volumes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def answers(self, machine: str) -> None:
        """Raises `Unavailable` unless the machine has booted, from its own disk."""
        if (said := self._runner.run(machine, "true", b"", PATIENCE)).code != 0:
            raise Unavailable(f"Machine {machine} does not answer", details=said.err)

    def disk(self, machine: str, plugged: Plugged, name: str) -> None:
        """Show an EBS volume; only a new one is given a file system, if nothing is on it."""
        self._asked(
            machine, "disk", plugged.id, plugged.device, str(plugged.size_gb), name, plugged.made
        )

    def share(self, machine: str, id: str, address: str, name: str) -> None:
        """Show an EFS file system, by the address of its mount target."""
        self._asked(machine, "share", id, address, name)

    def leave(self, machine: str, id: str) -> None:
        """Show it no more; everything is written to it before."""
        self._asked(machine, "leave", id)

    def _asked(self, machine: str, verb: str, *words: str) -> None:
        # Ids, names and addresses have no letter that means something to a shell.
        script = f"{AS_ROOT}as_root sh -s -- {verb} {' '.join(words)}"
        said = self._runner.run(machine, script, SCRIPT.read_bytes(), PATIENCE)
        if said.code == 0:
            return
        why = (
            said.err.strip().splitlines()[-1] if said.err.strip() else f"it ended with {said.code}"
        )
        if said.code == REFUSED:
            raise StorageRefused(f"It cannot be shown there: {why}")
        if said.code == BUSY:
            raise VolumeBusy(f"It stays there while {why}", remediation="End what uses it")
        raise Unavailable(f"Machine {machine} is not ready to {verb} {words[0]}", details=why)
