"""Profiles, across the wire."""

import builtins

from msgspec import UNSET, UnsetType

from prism.client.decoding import ask
from prism.client.wire import Wire, quoted
from prism.profiles.model import (
    DeletedProfile,
    NewProfile,
    ProfileChange,
    ProfileShown,
    Switch,
)
from prism.profiles.providers import Provider

PATH = "/profiles"


class Profiles:
    """What you may ask about profiles."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[ProfileShown]:
        """Every profile."""
        return ask(self._wire, "GET", PATH, builtins.list[ProfileShown])

    def current(self) -> ProfileShown:
        """The profile that launches use."""
        return ask(self._wire, "GET", f"{PATH}/current", ProfileShown)

    def switch(self, name: str) -> ProfileShown:
        """Use another profile from now on."""
        return ask(self._wire, "POST", f"{PATH}/switch", ProfileShown, Switch(profile_name=name))

    def create(
        self,
        name: str,
        provider: Provider = "local",
        *,
        aws_profile: str | None = None,
        region: str | None = None,
        default_project: str | None = None,
    ) -> ProfileShown:
        """Add a profile."""
        body = NewProfile(
            name=name,
            provider=provider,
            aws_profile=aws_profile,
            region=region,
            default_project=default_project,
        )
        return ask(self._wire, "POST", PATH, ProfileShown, body)

    def update(
        self,
        name: str,
        *,
        provider: Provider | UnsetType = UNSET,
        aws_profile: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        default_project: str | UnsetType | None = UNSET,
    ) -> ProfileShown:
        """Change a profile; what is not given stays."""
        body = ProfileChange(
            provider=provider,
            aws_profile=aws_profile,
            region=region,
            default_project=default_project,
        )
        return ask(self._wire, "PUT", f"{PATH}/{quoted(name)}", ProfileShown, body)

    def delete(self, name: str) -> DeletedProfile:
        """Forget a profile that nothing needs."""
        return ask(self._wire, "DELETE", f"{PATH}/{quoted(name)}", DeletedProfile)
