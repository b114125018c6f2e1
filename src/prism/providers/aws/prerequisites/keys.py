"""The SSH key of a profile: made once and stored in the home; EC2 gets the public part."""

import os
import re
import secrets
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.tagging import accepting, tagged

FIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
UNFIT = re.compile(r"[^A-Za-z0-9._-]")


class KeyPair(Struct, frozen=True, kw_only=True):
    """An ed25519 key pair: its name in EC2, the private key's file, the public key's line.

    The name contains the fingerprint, so that two homes with a profile of the same name never
    confuse their keys.
    """

    name: str
    fingerprint: str
    private_path: Path
    public: str


def key_of(home: Path, profile: str) -> KeyPair:
    """The key pair of a profile, made if it is missing."""
    folder = home / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / profile
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:  # SSH refuses it, for example after a restore from a backup
        path.chmod(0o600)
    public = _public(path.read_bytes())
    fingerprint = sha256(b64decode(public.split()[1])).hexdigest()[:16]
    name = f"prism-{UNFIT.sub('-', profile)}-{fingerprint}"
    return KeyPair(name=name, fingerprint=fingerprint, private_path=path, public=public)


def has_key(home: Path, profile: str) -> bool:
    """Whether a profile's key exists; makes none. The profile's name may come from a tag."""
    return FIT.fullmatch(profile) is not None and (home / "keys" / profile).is_file()


def import_key(cloud: Cloud, key: KeyPair) -> str:
    """Import the public part into EC2; returns its name there."""
    filters = [{"Name": "key-name", "Values": [key.name]}]
    if cloud.call("ec2", "DescribeKeyPairs", Filters=filters)["KeyPairs"]:
        return key.name
    with accepting("InvalidKeyPair.Duplicate"):  # another call has imported it
        cloud.call(
            "ec2",
            "ImportKeyPair",
            KeyName=key.name,
            PublicKeyMaterial=key.public.encode(),
            TagSpecifications=tagged("key-pair", key.name),
        )
    return key.name


def _make(path: Path) -> None:
    """Write a new key, unless another process has just written one."""
    from cryptography.hazmat.primitives import serialization as as_  # noqa: PLC0415  cold start
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  cold start

    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(as_.Encoding.PEM, as_.PrivateFormat.OpenSSH, as_.NoEncryption())
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.link(draft, path)  # a rename would replace a key that another process has just made
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def _public(private: bytes) -> str:
    from cryptography.hazmat.primitives import serialization as as_  # noqa: PLC0415  cold start

    key = as_.load_ssh_private_key(private, password=None)
    line = key.public_key().public_bytes(as_.Encoding.OpenSSH, as_.PublicFormat.OpenSSH)
    return line.decode("ascii")
