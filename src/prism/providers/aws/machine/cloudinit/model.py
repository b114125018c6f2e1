"""The inputs of user data besides the order, and the user data."""

from typing import Literal

from msgspec import Struct

LIMIT = 16384
"""The most bytes of user data that EC2 takes, as they are sent: compressed."""

Architecture = Literal["x86_64", "arm64"]


class BootConfig(Struct, frozen=True, kw_only=True):
    """Facts of the machine that its order does not contain.

    `user` is the login of its image; `public_key` may log in, in OpenSSH's format; `tokens` are
    the secrets of its services, by name.
    """

    architecture: Architecture
    user: str
    public_key: str
    tokens: dict[str, str] = {}


class UserData(Struct, frozen=True):
    """A `#cloud-config`, for people and as EC2 gets it."""

    text: str
    gzipped: bytes
