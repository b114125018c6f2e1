"""The host keys of machines, read from their consoles, and never from the SSH port.

AWS shows a console only to logins of the account, but any computer may answer at an address.
Each machine has its own `known_hosts` file, because AWS gives its address to others once it
stops: the first line has the machine's id and the key, the second its address and the key.
"""

import os
import re
import struct
import threading
from base64 import b64decode
from pathlib import Path

from prism.providers.aws.compute.console import Console
from prism.providers.aws.ssh.model import HostKeyUnknown, SshHost

INSTANCE_ID = re.compile(r"i-[0-9a-f]{1,32}")
KEY = r"(ssh-ed25519|ecdsa-sha2-nistp256|ssh-rsa) (AAAA[A-Za-z0-9+/]+={0,2})"
MARKER = re.compile(rf"prism-boot: hostkey {KEY}\s")
# The lines of cloud-init, one per key.
BLOCK = re.compile(r"BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS", re.DOTALL)
IN_BLOCK = re.compile(rf"\b{KEY}")
USUAL_PORT = 22


def key_on_console(console: str) -> str | None:
    """The last key on a console, the ed25519 one if there are several."""
    if marked := [mark for mark in MARKER.findall(console) if _is_whole(*mark)]:
        return " ".join(marked[-1])
    blocks = BLOCK.findall(console)
    listed = IN_BLOCK.findall(blocks[-1]) if blocks else []
    keys = {kind: key for kind, key in listed if _is_whole(kind, key)}
    kind = next((name for name in ("ssh-ed25519", "ecdsa-sha2-nistp256") if name in keys), None)
    return f"{kind} {keys[kind]}" if kind else None


def _is_whole(kind: str, key: str) -> bool:
    """Whether the key is complete: other output on the console may interrupt it."""
    try:
        rest = b64decode(key, validate=True)
    except ValueError:
        return False
    fields = []
    while len(rest) >= 4:
        (size,) = struct.unpack_from(">I", rest)
        fields.append(rest[4 : 4 + size])
        if len(fields[-1]) < size:
            return False
        rest = rest[4 + size :]
    return not rest and len(fields) >= 2 and fields[0] == kind.encode()


class HostKeys:
    """Host keys, stored in a folder of the home; unknown ones are read from consoles."""

    def __init__(self, folder: Path, console: Console, *, port: int = USUAL_PORT) -> None:
        """`port` is the SSH port of the machines; only tests change it."""
        self._folder, self._console, self.port = folder, console, port
        self._known: dict[str, str] = {}
        self._writing = threading.Lock()

    def of(self, host: SshHost) -> str:
        """The host key of a machine; raises if it is unknown and not on the console yet."""
        if key := self.known(host.id) or self.learn(host.id, self._console.read(host.id)):
            return key
        raise HostKeyUnknown(
            f"{host.name} has not shown its host key yet",
            details=f"the console of {host.id} does not show it yet; it does about a minute "
            "after a boot",
            remediation=f"Read the console: `prism logs {host.name}`",
        )

    def known(self, id: str) -> str | None:
        """The stored key; makes no call."""
        if id not in self._known and INSTANCE_ID.fullmatch(id):
            try:
                line = self.file(id).read_text("ascii").partition("\n")[0]
            except (OSError, UnicodeError):
                return None
            name, _, key = line.partition(" ")
            if name == id and re.fullmatch(KEY, key):
                self._known[id] = key
        return self._known.get(id)

    def learn(self, id: str, console: str) -> str | None:
        """Store and return the key on a console."""
        if (key := key_on_console(console)) and INSTANCE_ID.fullmatch(id):
            with self._writing:  # several threads learn the key of a machine that boots
                if self.known(id) != key:
                    self._write(id, key, "")
                self._known[id] = key
        return key

    def learn_anew(self, host: SshHost) -> bool:
        """Read the console again; returns whether the key has changed."""
        before = self.known(host.id)
        now = self.learn(host.id, self._console.read(host.id))
        return now is not None and now != before

    def known_hosts(self, host: SshHost) -> Path:
        """A file for OpenSSH with the key under the address that the machine has now."""
        key, path = self.of(host), self.file(host.id)
        usual = self.port == USUAL_PORT
        name = host.address if usual else f"[{host.address}]:{self.port}"
        text = _known_hosts_text(host.id, key, name)
        with self._writing:
            if not path.exists() or path.read_text("ascii") != text:
                self._write(host.id, key, name)
        return path

    def forget(self, id: str) -> None:
        """Delete the key of a machine that is gone."""
        with self._writing:
            self._known.pop(id, None)
            if INSTANCE_ID.fullmatch(id):
                self.file(id).unlink(missing_ok=True)

    def file(self, id: str) -> Path:
        """The `known_hosts` file of a machine."""
        return self._folder / id

    def _write(self, id: str, key: str, name: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f".{id}.new"
        draft.unlink(missing_ok=True)
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as out:
            out.write(_known_hosts_text(id, key, name))
        draft.replace(self.file(id))


def _known_hosts_text(id: str, key: str, name: str) -> str:
    return f"{id} {key}\n" + (f"{name} {key}\n" if name else "")
