"""Profiles, across the wire."""

import builtins

from msgspec import UNSET, UnsetType

from prism.client.typed import ask
from prism.client.wire import Wire, quoted
from prism.profiles.model import Deleted, NewProfile, ProfileChange, Provider, Shown, Switch

PATH = "/profiles"


class Profiles:
    """What you may ask about profiles."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> builtins.list[Shown]:
        """Every profile."""
        return ask(self._wire, "GET", PATH, builtins.list[Shown])

    def current(self) -> Shown:
        """The profile that launches use."""
        return ask(self._wire, "GET", f"{PATH}/current", Shown)

    def switch(self, name: str) -> Shown:
        """Use another profile from now on."""
        return ask(self._wire, "POST", f"{PATH}/switch", Shown, Switch(profile_name=name))

    def create(
        self,
        name: str,
        provider: Provider = "local",
        *,
        aws_profile: str | None = None,
        region: str | None = None,
        default_project: str | None = None,
    ) -> Shown:
        """Add a profile."""
        body = NewProfile(
            name=name,
            provider=provider,
            aws_profile=aws_profile,
            region=region,
            default_project=default_project,
        )
        return ask(self._wire, "POST", PATH, Shown, body)

    def update(
        self,
        name: str,
        *,
        provider: Provider | UnsetType = UNSET,
        aws_profile: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        default_project: str | UnsetType | None = UNSET,
    ) -> Shown:
        """Change a profile; what is not given stays."""
        body = ProfileChange(
            provider=provider,
            aws_profile=aws_profile,
            region=region,
            default_project=default_project,
        )
        return ask(self._wire, "PUT", f"{PATH}/{quoted(name)}", Shown, body)

    def delete(self, name: str) -> Deleted:
        """Forget a profile that nothing needs."""
        return ask(self._wire, "DELETE", f"{PATH}/{quoted(name)}", Deleted)
