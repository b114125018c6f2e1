"""The differences between providers, by the names of their locations."""

import pytest

from prism.profiles.providers import (
    PROVIDERS,
    TRAITS,
    UNKNOWN_TRAITS,
    provider_of,
    region_of,
    traits_of,
)


def test_every_provider_has_traits():
    assert set(PROVIDERS) == set(TRAITS)


@pytest.mark.parametrize(
    ("location", "provider", "region"),
    [
        ("aws:123456789012:eu-west-1", "aws", "eu-west-1"),
        ("local:4711:/home/ada/.prism", "local", "local"),
        ("local:4711:/home/a:b/.prism", "local", "local"),
    ],
)
def test_location_contains_its_provider_and_region(location, provider, region):
    assert (provider_of(location), region_of(location)) == (provider, region)
    assert traits_of(location) is TRAITS[provider]


def test_location_of_an_unknown_provider_has_the_traits_of_rented_machines():
    traits = traits_of("slurm:cluster:queue")
    assert traits is UNKNOWN_TRAITS
    assert traits.charges_addresses and traits.shared and not traits.sleeps_with_host
