"""Which profiles are valid, and the names of profiles made from sections of AWS."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from prism.errors import ValidationFailed
from prism.profiles.model import Profile
from prism.profiles.plan import checked, first_profiles
from tests.optional import not_none

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def profile(**more):
    return replace(Profile(name="grant", provider="aws", created_at=NOW), **more)


def test_local_profile_has_the_region_local():
    assert checked(profile(provider="local")).region == "local"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "current"}, "name"),
        ({"name": "switch"}, "name"),
        ({"provider": "local", "aws_profile": "lab"}, "aws_profile"),
        ({"provider": "local", "region": "us-west-2"}, "region"),
        ({"provider": "aws", "region": "local"}, "region"),
    ],
)
def test_invalid_profile_raises_an_error_with_the_field(wrong, field):
    with pytest.raises(ValidationFailed) as raised:
        checked(profile(**wrong))
    assert [entry["field"] for entry in not_none(raised.value.data)["fields"]] == [field]


def test_first_profiles_are_local_and_each_aws_section():
    local, default, lab = first_profiles({"default": None, "lab": "eu-central-1"}, NOW)
    assert (local.name, local.provider, local.region) == ("local", "local", "local")
    assert (default.name, default.provider, default.aws_profile) == ("default", "aws", "default")
    assert default.region is None, "an unknown region is null"
    assert (lab.name, lab.region, lab.created_at) == ("lab", "eu-central-1", NOW)


def test_profile_names_from_aws_sections_are_valid_and_unique():
    sections = ["local", "current", "my lab/x", "my lab x", "my-lab-x", "...", "ü", "a" * 200]
    profiles = first_profiles(dict.fromkeys(sections), NOW)
    names = [p.name for p in profiles]
    assert names[1:5] == ["aws-local", "aws-current", "my-lab-x", "aws-my-lab-x"]
    assert len({*names}) == len(sections) + 1
    assert all(len(name) <= 64 and checked(p) for name, p in zip(names, profiles, strict=True))
    assert [p.aws_profile for p in profiles[1:]] == sections, "the name of the section is kept"
