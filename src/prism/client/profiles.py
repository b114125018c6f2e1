"""Client methods for profiles."""

from __future__ import annotations

import builtins

from prism.annotations import TYPE_CHECKING
from prism.client.models import profiles
from prism.client.transport.request import UNSET, Noun, UnsetType, trim
from prism.client.transport.wire import quoted

if TYPE_CHECKING:
    from prism.profiles.model import Provider

PROFILES_PATH = "/profiles"


class Profiles(Noun):
    """Methods for profiles."""

    def list(self) -> builtins.list[profiles.ProfileShown]:
        """Every profile."""
        return self._ask("GET", PROFILES_PATH, builtins.list[profiles.ProfileShown])

    def current(self) -> profiles.ProfileShown:
        """The profile that launches use."""
        return self._ask("GET", f"{PROFILES_PATH}/current", profiles.ProfileShown)

    def switch(self, name: str) -> profiles.ProfileShown:
        """Use another profile from now on."""
        body = profiles.SwitchRequest(profile_name=name)
        return self._ask("POST", f"{PROFILES_PATH}/switch", profiles.ProfileShown, body)

    def create(
        self,
        name: str,
        provider: Provider = "local",
        *,
        aws_profile: str | None = None,
        region: str | None = None,
        default_project: str | None = None,
        host: str | None = None,
        cpu_hour: float | None = None,
        gb_hour: float | None = None,
        gpu_hour: float | None = None,
    ) -> profiles.ProfileShown:
        """Add a profile."""
        body = profiles.NewProfile(
            name=name,
            provider=provider,
            aws_profile=aws_profile,
            region=region,
            default_project=default_project,
            host=host,
            cpu_hour=cpu_hour,
            gb_hour=gb_hour,
            gpu_hour=gpu_hour,
        )
        return self._ask("POST", PROFILES_PATH, profiles.ProfileShown, trim(body))

    def try_server(
        self, host: str, *, accept_host_key: str | None = None
    ) -> profiles.ServerTrialAnswer:
        """Log in to a lab server as the daemon, and learn what a workspace finds there."""
        body = profiles.ServerTrial(host=host, accept_host_key=accept_host_key)
        return self._ask("POST", "/daemon/servers/try", profiles.ServerTrialAnswer, trim(body))

    def update(
        self,
        name: str,
        *,
        provider: Provider | UnsetType = UNSET,
        aws_profile: str | UnsetType | None = UNSET,
        region: str | UnsetType | None = UNSET,
        default_project: str | UnsetType | None = UNSET,
        host: str | UnsetType | None = UNSET,
        cpu_hour: float | UnsetType | None = UNSET,
        gb_hour: float | UnsetType | None = UNSET,
        gpu_hour: float | UnsetType | None = UNSET,
    ) -> profiles.ProfileShown:
        """Change the given fields of a profile."""
        body = profiles.ProfileChange(
            provider=provider,
            aws_profile=aws_profile,
            region=region,
            default_project=default_project,
            host=host,
            cpu_hour=cpu_hour,
            gb_hour=gb_hour,
            gpu_hour=gpu_hour,
        )
        return self._ask("PUT", f"{PROFILES_PATH}/{quoted(name)}", profiles.ProfileShown, body)

    def delete(self, name: str) -> profiles.DeletedProfile:
        """Delete a profile that is not used."""
        return self._ask("DELETE", f"{PROFILES_PATH}/{quoted(name)}", profiles.DeletedProfile)
