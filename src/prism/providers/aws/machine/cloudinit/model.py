"""What a machine is told that its order does not say, and what comes of it."""

from typing import Literal

from msgspec import Struct

LIMIT = 16384
"""The most bytes of user data that EC2 takes, as they are sent: compressed."""

Architecture = Literal["x86_64", "arm64"]


class BootConfig(Struct, frozen=True, kw_only=True):
    """What is known of the machine itself.

    `user` is the account that its image lets in; `public_key` is who may enter, as OpenSSH
    writes it; `tokens` are the secrets of its services, by their names.
    """

    architecture: Architecture
    user: str
    public_key: str
    tokens: dict[str, str] = {}


class UserData(Struct, frozen=True):
    """A `#cloud-config`, for people and as EC2 gets it."""

    text: str
    gzipped: bytes

    @property
    def size(self) -> int:
        """How many of the `LIMIT` bytes it takes."""
        return len(self.gzipped)
