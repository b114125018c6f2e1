"""Destinations of copies, as people write them: a folder, `ssh://…` or `s3://…`."""

import posixpath
import re
from enum import StrEnum

from msgspec import Struct

from prism.errors import Invalid

REPOSITORY = "prism-copies"
"""The folder with the copies, in each destination."""
MAX_LENGTH = 1000
SSH = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/.+)"
)
S3 = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<path>(?:/[A-Za-z0-9._-]+)*)/?"
)
ALLOWED = (
    "an absolute folder such as `/mnt/disk/copies`, a computer with SSH such as "
    "`ssh://me@host/srv/copies` (`ssh://host/~/copies` is in your home there), or a bucket such "
    "as `s3://bucket/copies`"
)


class DestinationInvalid(Invalid, code="DESTINATION_INVALID"):
    """That is no destination for copies."""


class DestinationKind(StrEnum):
    """The kind of a destination."""

    FOLDER = "folder"
    SSH = "ssh"
    S3 = "s3"


class CopyDestination(Struct, frozen=True, kw_only=True):
    """Where copies are; `text` is its one way to write it."""

    kind: DestinationKind
    text: str
    path: str
    host: str = ""  # with the user, as OpenSSH wants it
    port: int | None = None
    bucket: str = ""


def parse(text: str) -> CopyDestination:
    """The destination; raises `DestinationInvalid`, without a password that the text may have."""
    if len(text) > MAX_LENGTH or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise DestinationInvalid(remediation=f"Give {ALLOWED}")
    if text.startswith("/"):
        return _folder(text)
    if match := SSH.fullmatch(text):
        return _computer(match)
    if match := S3.fullmatch(text):
        path = match["path"]
        if ".." not in path.split("/"):
            return CopyDestination(
                kind=DestinationKind.S3,
                text=f"s3://{match['bucket']}{path}",
                path=path.lstrip("/"),
                bucket=match["bucket"],
            )
    details = ""
    if re.match(r"[a-z0-9]+://[^/]*:[^/]*@", text):
        details = "a destination has no password in it: SSH uses your keys, S3 your AWS profile"
    raise DestinationInvalid(details=details, remediation=f"Give {ALLOWED}")


def _folder(text: str) -> CopyDestination:
    path = "/" + posixpath.normpath(text).lstrip("/")
    if path == "/":
        raise DestinationInvalid(
            "The root folder is no destination", remediation="Name a folder in it"
        )
    return CopyDestination(kind=DestinationKind.FOLDER, text=path, path=path)


def _computer(match: re.Match[str]) -> CopyDestination:
    path, port = posixpath.normpath(match["path"]), int(match["port"] or 22)
    path = "/" + path.lstrip("/")
    if not 0 < port < 65536 or path == "/":
        raise DestinationInvalid(remediation=f"Give {ALLOWED}")
    host = match["host"] if match["user"] is None else f"{match['user']}@{match['host']}"
    shown_port = "" if match["port"] is None else f":{port}"
    return CopyDestination(
        kind=DestinationKind.SSH,
        text=f"ssh://{host}{shown_port}{path}",
        path=path,
        host=host,
        port=None if match["port"] is None else port,
    )
