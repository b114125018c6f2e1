"""The known providers, and how they differ, as data.

Code that depends on the provider checks a trait; it never compares names. A new provider
adds an entry here, its package under `providers/`, and a line in the wiring. The values of
`provider` in the API, the choices of `prism profile` and the shape of machine ids follow from
the entry. It imports nothing, since `prism list` imports it.

A location is named `PROVIDER:...`: `local:IDENTITY`, `aws:ACCOUNT:REGION`, `ssh:HOST`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    Provider = Literal["local", "aws", "ssh"]  # at run time it is made of `TRAITS`

LOCAL: Final = "local"
AWS: Final = "aws"
LAB_SERVER: Final = "ssh"


class ProviderTraits:
    """How a provider differs from others; the traits here are those of rented machines."""

    launch_seconds = 300
    """How long a launch takes, while none was measured."""
    longest_sleep_days: int | None = None
    """After which a hibernated machine cannot be woken any more; null for no limit."""
    sleeps_with_host = False
    """Whether this computer's own sleep stops its machines, unseen."""
    region: str | None = None
    """The region of all its locations; null where a location's name says it."""
    simulated_prices_of: str | None = None
    """The region whose prices are simulated; null where what it costs is really paid."""
    charges_addresses = True
    """Whether a public address costs something while a machine runs."""
    charges_disks = True
    """Whether the disk of a machine costs something."""
    has_host = False
    """Whether a profile names the server to log in to."""
    least_seconds = 0
    """How many seconds of compute each start is charged for at least."""
    free_if_taken_within = 0
    """A first run costs nothing if the provider takes the machine back within so many seconds."""
    shared = True
    """Whether others may keep machines and data in the same account."""
    in_home = False
    """Whether a location is a Prism home, which one daemon serves."""
    machine_ids: str | None = None
    """A pattern of its machines' ids; null for its name, a hyphen, and 17 digits (0-9, a-f)."""


class LocalTraits(ProviderTraits):
    """The computer of the daemon, which charges nothing."""

    launch_seconds = 60
    sleeps_with_host = True
    region = LOCAL
    simulated_prices_of = "us-east-1"
    charges_addresses = False
    shared = False
    in_home = True


class AwsTraits(ProviderTraits):
    """EC2."""

    # EC2 User Guide, "Prerequisites for Amazon EC2 instance hibernation" and "Limitations": not
    # supported for longer than 60 days; whoever needs longer starts it, stops it and starts it.
    longest_sleep_days = 60
    # EC2 API Reference, StartInstances: "Every time you start your instance, Amazon EC2 charges
    # a one-minute minimum for instance usage, and thereafter charges per second".
    least_seconds = 60
    # EC2 User Guide, "Billing for interrupted Spot Instances": no charge if EC2 interrupts it in
    # the first hour. No document says what counts after EC2 has started it again.
    free_if_taken_within = 3600
    machine_ids = "i-[0-9a-f]{8,17}"


class LabServerTraits(ProviderTraits):
    """A server that somebody logs in to."""

    launch_seconds = 120
    region = "server"
    charges_addresses = False
    charges_disks = False
    has_host = True


TRAITS: Mapping[Provider, ProviderTraits] = {
    LOCAL: LocalTraits(),
    AWS: AwsTraits(),
    LAB_SERVER: LabServerTraits(),
}
UNKNOWN_TRAITS = ProviderTraits()
"""The traits of an unknown provider, whose rows a newer version made."""
MACHINE_IDS = "|".join(
    traits.machine_ids or f"{name}-[0-9a-f]{{17}}" for name, traits in TRAITS.items()
)
"""The pattern of the ids of all machines; no workspace may have such a name."""


def known_provider(name: str) -> Provider | None:
    """The provider of that name; None if a newer version made it."""
    return next((provider for provider in TRAITS if provider == name), None)


def provider_of(location: str) -> str:
    """The name of the provider that a location belongs to."""
    return location.partition(":")[0]


def traits_of(location: str) -> ProviderTraits:
    """The traits of the provider that a location belongs to."""
    name = provider_of(location)
    return next((traits for known, traits in TRAITS.items() if known == name), UNKNOWN_TRAITS)


def region_of(location: str) -> str:
    """The region that a location lies in; for a lab server, its name."""
    traits = traits_of(location)
    if traits.has_host:
        return location.partition(":")[2]
    return traits.region or location.rpartition(":")[2]
