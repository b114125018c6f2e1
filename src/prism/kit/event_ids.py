"""Ids of events in the API: numbers for operators, and encrypted numbers for other people.

Events are numbered for the whole daemon. From plain numbers, a person could tell how many events
there are that this person may not see, and when they happen.
"""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from prism.kit.events import RESYNC, RecordedEvent, id_of, number_of

OPAQUE = re.compile(r"evt_([0-9a-f]{32})")
NEVER_SENT = 10**17
"""A number after all events: a reader that resumes there is told to read everything again."""
NUMBER_BYTES, SALT_BYTES, KEY_BYTES = 8, 4, 16
CHECK = bytes(4)
NO_SALT = bytes(SALT_BYTES)


class EventIds:
    """Ids that are the numbers of events."""

    def of_event(self, event: RecordedEvent) -> str:
        """The id of an event."""
        return id_of(event.id)

    def of_position(self, number: int) -> str:
        """An id to resume after this number, which may be that of no event."""
        return id_of(number)

    def number(self, id: str) -> int | None:
        """The number that an id stands for; None if it is no id."""
        return number_of(id)


class OpaqueEventIds(EventIds):
    """Ids for one person: an event always has the same, and a position never.

    Each is one block of AES: a number, a salt, and zeros by which forged ids are recognized.
    """

    def __init__(self, key: bytes) -> None:
        # Part of asyncssh's needs; only shared daemons load it.
        from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415  cold start
            Cipher,
            algorithms,
            modes,
        )

        self._cipher = Cipher(algorithms.AES(key), modes.ECB())

    def of_event(self, event: RecordedEvent) -> str:
        """The id of an event; a resync is a position."""
        return self.of_position(event.id) if event.event == RESYNC else self._id(event.id, NO_SALT)

    def of_position(self, number: int) -> str:
        """An id to resume after this number, another one each time."""
        return self._id(number, secrets.token_bytes(SALT_BYTES))

    def number(self, id: str) -> int | None:
        """The number of an id: 0 for the beginning, `NEVER_SENT` for what nobody sent here."""
        if (number := number_of(id)) is not None:
            return 0 if number == 0 else NEVER_SENT
        if (match := OPAQUE.fullmatch(id)) is None:
            return None
        block = self._cipher.decryptor().update(bytes.fromhex(match[1]))
        is_ours = block.endswith(CHECK)
        return int.from_bytes(block[:NUMBER_BYTES]) if is_ours else NEVER_SENT

    def _id(self, number: int, salt: bytes) -> str:
        block = number.to_bytes(NUMBER_BYTES) + salt + CHECK
        return f"evt_{self._cipher.encryptor().update(block).hex()}"


PLAIN_IDS = EventIds()
IdsOfCaller: TypeAlias = Callable[[], EventIds]
"""The ids for the caller of the present request."""


def secret_in(path: Path) -> bytes:
    """The random secret in a file that only our user can read, made if it is missing."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    while True:
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = b""
        if len(secret) == KEY_BYTES:
            return secret
        path.unlink(missing_ok=True)  # it is missing or damaged
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as new:
            new.write(secrets.token_bytes(KEY_BYTES))
        draft.replace(path)
