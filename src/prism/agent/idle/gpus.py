"""The use of this computer's GPUs, or of those of one machine, from `nvidia-smi`."""

import os
import signal
import time
from collections.abc import Collection, Generator
from pathlib import Path

from prism.agent.machine.machine_config import SYSTEM_PATH
from prism.agent.system.processes import Start, spawn, which

QUERY = ("--query-gpu=uuid,utilization.gpu", "--format=csv,noheader,nounits")
QUERY_TIMEOUT = 10.0


PCI = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"  # a vendor; the prefix of the class of display controllers


def used(
    path: str = SYSTEM_PATH,
    device: str = "/dev/nvidia0",
    pci: Path = PCI,
    *,
    granted: Collection[str] | None = None,
) -> Generator[None, None, float | None]:
    """How busy the busiest GPU is, in percent; 0 without a GPU, None if unknown.

    Only the `granted` ones count, where GPUs are handed out: others work on the rest. Without a
    driver the use is unknown, and a driver may be installed later.
    """
    if granted is not None and not granted:
        return 0.0
    program = which("nvidia-smi", path)
    if program is None:
        return None if os.path.exists(device) or is_plugged_in(pci) else 0.0
    try:
        pid, pipe = spawn(Start([program, *QUERY], {"PATH": path}, Path("/")))
    except OSError:
        return None
    output, until = b"", time.monotonic() + QUERY_TIMEOUT
    try:
        while True:
            try:
                more = os.read(pipe, 4096)
            except BlockingIOError:
                if time.monotonic() > until:
                    os.kill(pid, signal.SIGKILL)
                    return None
                yield
                continue
            if not more:
                break
            output += more
    finally:
        os.close(pipe)
    return _busiest(output.decode(errors="replace"), granted)


def _busiest(output: str, granted: Collection[str] | None) -> float | None:
    """The highest use in the answer of `nvidia-smi`; None if it says nothing about these."""
    rows = [line.split(",") for line in output.splitlines()]
    try:
        return max(float(use) for gpu, use in rows if granted is None or gpu in granted)
    except ValueError:
        return None


def is_plugged_in(pci: Path = PCI) -> bool:
    """Whether the computer has a GPU of NVIDIA, with or without a driver."""
    for device in pci.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == NVIDIA and kind.startswith(DISPLAY):
            return True
    return False
