"""The name of the location of local workspaces, which contains this machine's identity."""

from pathlib import Path
from socket import gethostname

IDENTITIES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def location_of(home: Path) -> str:
    """`local:MACHINE:HOME`; two daemons that share a database must not share this."""
    return f"local:{_machine()}:{home}"


def _machine() -> str:
    for file in IDENTITIES:
        try:
            if identity := file.read_text("ascii").strip():
                return identity
        except (OSError, UnicodeError):
            continue
    return gethostname()
