"""What is shipped to a lab server: the agent, and uv for its processor."""

import hashlib
import io
import platform
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import uv
from msgspec import Struct

from prism.errors import Unavailable
from prism.providers.agent_sources import AGENT_FOLDER, agent_sources

ENTRIES = (
    *("lab.host", "supervisor", "init", "moved_scripts"),
    *("sandbox.isolation", "sandbox.sandbox_probe", "sandbox.overlay_probe"),
)
INSTALLER = (AGENT_FOLDER / "lab" / "install.py").read_bytes()
REMOVER = (AGENT_FOLDER / "lab" / "remove.py").read_bytes()
FETCH_SECONDS = 300


class Shipment(Struct, frozen=True):
    """A zip file for `~/.prism-server/KIND/NAME`."""

    kind: str
    name: str
    data: bytes

    @property
    def stdin(self) -> bytes:
        """The input of the command that unpacks it."""
        digest = hashlib.sha256(self.data).hexdigest()
        head = f"{self.kind} {self.name} {digest} {len(self.data)}\n".encode("ascii")
        return _as_text(INSTALLER) + head + self.data


def removal(nonce: str) -> bytes:
    """The input of the command that removes all of Prism from a server."""
    return _as_text(REMOVER) + f"{nonce}\n".encode("ascii")


def _as_text(program: bytes) -> bytes:
    return b"%d\n" % len(program) + program


@cache
def agent() -> Shipment:
    """The agent; its name is the hash of its sources."""
    files = agent_sources(*ENTRIES)
    sources = "".join(f"{path}\n{text}\n" for path, text in sorted(files.items()))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, text in sorted(files.items()):
            packed.writestr(path, text)
    return Shipment("agent", hashlib.sha256(sources.encode()).hexdigest()[:32], out.getvalue())


def uv_name(machine: str) -> str:
    """The name of the folder of uv for a processor."""
    return f"{_version()}-{machine}"


def uv_for(machine: str) -> Shipment:
    """Uv for a processor, as `platform.machine` names it: our own, or the wheel for another."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.writestr("uv", _binary(machine))
    return Shipment("uv", uv_name(machine), out.getvalue())


def _binary(machine: str) -> bytes:
    if sys.platform == "linux" and machine == platform.machine():
        return Path(uv.find_uv_bin()).read_bytes()
    with tempfile.TemporaryDirectory(prefix="prism-uv-") as folder:
        argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--target", folder, "--no-deps"]
        argv += ["--only-binary", ":all:", "--python", sys.executable]
        argv += ["--python-platform", f"{machine}-manylinux_2_28", f"uv=={_version()}"]
        done = subprocess.run(argv, check=False, capture_output=True, timeout=FETCH_SECONDS)
        if done.returncode:
            raise Unavailable(
                f"uv for {machine} cannot be fetched",
                details=done.stderr.decode(errors="replace")[-1000:].strip(),
                remediation="The daemon's computer needs the registry of packages for this once",
            )
        return (Path(folder) / "bin" / "uv").read_bytes()


@cache
def _version() -> str:
    line = subprocess.check_output([uv.find_uv_bin(), "--version"], text=True)
    return line.split()[1]
