"""The two SSH keys of a home: the host key of its workspaces, and the key of its owner."""

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

ALIAS = "prism-local"


class Keys(Struct, frozen=True):
    """Files of a home; both key pairs are ed25519, and stay in the home."""

    host: Path
    client: Path
    known_hosts: Path

    @property
    def host_public(self) -> str:
        """The host key of every workspace of the home, as in `known_hosts`."""
        return self.host.with_suffix(".pub").read_text("ascii").strip()

    @property
    def client_public(self) -> str:
        """The key that logs in to them."""
        return self.client.with_suffix(".pub").read_text("ascii").strip()


def keys_of(home: Path) -> Keys:
    """The keys, made when they are missing."""
    folder = home / "ssh"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = Keys(folder / "host_ed25519", folder / "id_ed25519", home / "known_hosts")
    for key in (keys.host, keys.client):
        if not key.with_suffix(".pub").exists():
            _make(key)
    return keys


def _make(file: Path) -> None:
    from cryptography.hazmat.primitives import serialization as as_  # noqa: PLC0415  cold start
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  cold start

    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(as_.Encoding.PEM, as_.PrivateFormat.OpenSSH, as_.NoEncryption())
    public = key.public_key().public_bytes(as_.Encoding.OpenSSH, as_.PublicFormat.OpenSSH)
    _write(file, private)
    _write(file.with_suffix(".pub"), public + b"\n")  # last: it shows that both exist


def _write(file: Path, text: bytes) -> None:
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as out:
        out.write(text)
    draft.replace(file)


def pin(keys: Keys, ports: Iterable[int]) -> None:
    """Write the home's `known_hosts`: its key under its alias, and at each address in use."""
    names = [ALIAS, *(f"[127.0.0.1]:{port}" for port in sorted(ports))]
    _write(keys.known_hosts, "".join(f"{name} {keys.host_public}\n" for name in names).encode())
