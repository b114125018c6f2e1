"""The known providers, and how they differ, as data.

Code that depends on the provider checks a trait; it never compares names. A new provider
adds an entry here, its package under `providers/`, and a line in the wiring.

A location is named `PROVIDER:...`: `local:IDENTITY`, `aws:ACCOUNT:REGION`, `ssh:HOST`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

from msgspec import Struct

Provider = Literal["local", "aws", "ssh"]
LOCAL: Provider = "local"
AWS: Provider = "aws"
LAB_SERVER: Provider = "ssh"
PROVIDERS: tuple[Provider, ...] = (LOCAL, AWS, LAB_SERVER)


class ProviderTraits(Struct, frozen=True, kw_only=True):
    """How a provider differs from others."""

    launch_time: timedelta
    """How long a launch takes, while none was measured."""
    longest_sleep: timedelta | None = None
    """After which a hibernated machine cannot be woken any more; null for no limit."""
    sleeps_with_host: bool = False
    """Whether this computer's own sleep stops its machines, unseen."""
    region: str | None = None
    """The region of all its locations; null where a location's name says it."""
    simulated_prices_of: str | None = None
    """The region whose prices are simulated; null where what it costs is really paid."""
    charges_addresses: bool = True
    """Whether a public address costs something while a machine runs."""
    charges_disks: bool = True
    """Whether the disk of a machine costs something."""
    has_host: bool = False
    """Whether a profile names the server to log in to."""
    least_seconds: int = 0
    """How many seconds of compute each start is charged for at least."""
    free_if_taken_within: int = 0
    """A first run costs nothing if the provider takes the machine back within so many seconds."""
    shared: bool = True
    """Whether others may keep machines and data in the same account."""
    in_home: bool = False
    """Whether a location is a Prism home, which one daemon serves."""


TRAITS: Mapping[str, ProviderTraits] = {
    LOCAL: ProviderTraits(
        launch_time=timedelta(minutes=1),
        sleeps_with_host=True,
        region=LOCAL,
        simulated_prices_of="us-east-1",
        charges_addresses=False,
        shared=False,
        in_home=True,
    ),
    AWS: ProviderTraits(
        launch_time=timedelta(minutes=5),
        # EC2 User Guide, "Prerequisites for Amazon EC2 instance hibernation" and "Limitations":
        # not supported for longer than 60 days; whoever needs longer starts it, stops it and
        # starts it.
        longest_sleep=timedelta(days=60),
        # EC2 API Reference, StartInstances: "Every time you start your instance, Amazon EC2
        # charges a one-minute minimum for instance usage, and thereafter charges per second".
        least_seconds=60,
        # EC2 User Guide, "Billing for interrupted Spot Instances": no charge if EC2 interrupts it
        # in the first hour. No document says what counts after EC2 has started it again.
        free_if_taken_within=3600,
    ),
    LAB_SERVER: ProviderTraits(
        launch_time=timedelta(minutes=2),
        region="server",
        charges_addresses=False,
        charges_disks=False,
        has_host=True,
    ),
}
UNKNOWN_TRAITS = ProviderTraits(launch_time=timedelta(minutes=5))
"""The traits of an unknown provider, whose rows a newer version made."""


def provider_of(location: str) -> str:
    """The name of the provider that a location belongs to."""
    return location.partition(":")[0]


def traits_of(location: str) -> ProviderTraits:
    """The traits of the provider that a location belongs to."""
    return TRAITS.get(provider_of(location), UNKNOWN_TRAITS)


def region_of(location: str) -> str:
    """The region that a location lies in; for a lab server, its name."""
    traits = traits_of(location)
    if traits.has_host:
        return location.partition(":")[2]
    return traits.region or location.rpartition(":")[2]
