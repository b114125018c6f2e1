"""The user data, and their inputs besides the spec."""

from typing import Literal

from msgspec import Struct

LIMIT = 16384
"""EC2's limit for the bytes of (compressed) user data."""

Architecture = Literal["x86_64", "arm64"]


class BootConfig(Struct, frozen=True, kw_only=True):
    """Facts of the machine that its spec does not contain.

    `user` is the login of its image; `public_key` may log in, in OpenSSH's format; `tokens` are
    the secrets of its services, by name.
    """

    architecture: Architecture
    user: str
    public_key: str
    tokens: dict[str, str] = {}


class UserData(Struct, frozen=True):
    """A `#cloud-config`: readable, and as EC2 gets it."""

    text: str
    gzipped: bytes
