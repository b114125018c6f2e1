"""The use of this computer's GPUs by all programs, from `nvidia-smi`."""

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

from prism.agent.machine.machine_config import SYSTEM_PATH
from prism.agent.system.processes import Start, spawn, which

QUERY = ("--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
QUERY_TIMEOUT = 10.0


PCI = Path("/sys/bus/pci/devices")
NVIDIA, DISPLAY = "0x10de", "0x03"  # a vendor; the prefix of the class of display controllers


def used(
    path: str = SYSTEM_PATH, device: str = "/dev/nvidia0", pci: Path = PCI
) -> Generator[None, None, float | None]:
    """How busy the busiest GPU is, in percent; 0 without a GPU, None if unknown.

    Without a driver the use is unknown, and a driver may be installed later.
    """
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
    try:
        return max(float(line) for line in output.decode().split())
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
