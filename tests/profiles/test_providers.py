"""The differences between providers, by the names of their locations."""

import re
from typing import get_args

import pytest

from prism.profiles.model import Provider
from prism.profiles.providers import TRAITS, UNKNOWN_TRAITS, provider_of, region_of, traits_of
from tests.project.tree import ROOT

LITERAL = re.compile(r"    Provider = Literal\[(.*?)\]", re.DOTALL)
LABELS = re.compile(r"^    providers: \{(.*?)\},$", re.MULTILINE | re.DOTALL)


def test_type_checker_and_api_know_every_provider():
    [declared] = LITERAL.findall((ROOT / "src/prism/profiles/providers.py").read_text())
    assert re.findall(r'"(\w+)"', declared) == [*TRAITS]
    assert get_args(Provider) == tuple(TRAITS)


def test_gui_has_a_label_for_every_provider():
    [labels] = LABELS.findall((ROOT / "web/src/strings.ts").read_text())
    assert re.findall(r"(\w+): '", labels) == [*TRAITS]


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
