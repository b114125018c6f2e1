"""The file that describes identity providers beside the one of the settings."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from prism.errors import Invalid
from prism.sessions.groups import GroupRule

ProviderName = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,29}$(?!\n)", description="1-30 of a-z, 0-9 and hyphens"),
]
Line = Annotated[str, Meta(pattern=r"^[^\r\n\x00-\x1f]{1,200}$(?!\n)")]
OTHERS_MAY = stat.S_IRWXO | stat.S_IWGRP


class ProviderFileInvalid(Invalid, code="PROVIDER_FILE_INVALID"):
    """The file with identity providers cannot be used."""


class ProviderEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider: how this daemon is known there, and who may come in."""

    name: ProviderName
    label: Line | None = None
    """What the login page calls it; by default its host."""
    issuer: Line
    client_id: Line
    client_secret: Line = ""
    domains: tuple[Line, ...] = ()
    scopes: tuple[Line, ...] = ()
    """Asked for beside `openid email`, such as `groups`."""
    groups_claim: Line = "groups"
    groups: tuple[GroupRule, ...] = ()


class ProviderFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    provider: tuple[ProviderEntry, ...]


def read_providers(path: str) -> Sequence[ProviderEntry]:
    """The providers in a TOML file, which has their secrets; none without a path."""
    if not path:
        return ()
    try:
        with Path(path).open("rb") as file:
            _check_private(path, os.fstat(file.fileno()))
            entries = msgspec.toml.decode(file.read(), type=ProviderFile).provider
    except (OSError, msgspec.DecodeError) as error:
        raise ProviderFileInvalid(
            f"{path} does not describe identity providers",
            details=str(error),
            remediation="See its form in docs/team.md, or unset PRISM_OIDC_FILE",
        ) from error
    names, issuers = [e.name for e in entries], [e.issuer for e in entries]
    if len({*names}) < len(names) or len({*issuers}) < len(issuers):
        raise ProviderFileInvalid(
            f"{path} has two providers of the same name or issuer",
            remediation="Give each a `name` and an `issuer` of its own",
        )
    return entries


def _check_private(path: str, status: os.stat_result) -> None:
    if status.st_uid not in {os.geteuid(), 0} or status.st_mode & OTHERS_MAY:
        raise ProviderFileInvalid(
            f"{path} has secrets, and others may read or change it",
            remediation=f"`chmod 640 {path}`, and `chown` it to the daemon's user",
        )
