"""Mail without a mail server: files that any mail program opens."""

import os
from email.message import EmailMessage
from pathlib import Path


class OutboxTransport:
    """Implements `invitations.ports.MailTransport` by a folder of `.eml` files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, message: EmailMessage) -> str:
        """Write a mail, completely or not at all; the same message is the same file."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = message["Message-ID"].strip("<>").partition("@")[0]
        whole, part = self._folder / f"{name}.eml", self._folder / f".{name}.part"
        with open(part, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(message.as_bytes())
            file.flush()
            os.fsync(file.fileno())
        part.replace(whole)
        return f"{self._folder.name}/{whole.name}"
