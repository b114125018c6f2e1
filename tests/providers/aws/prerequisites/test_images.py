"""The image of every base, for both architectures."""

import pytest
from msgspec.structs import replace

from aws_double.facts.images import NEW, published
from aws_double.rulebook import build
from prism.providers.aws.prerequisites.images import BASES, NoImage

TYPES = {"x86_64": "t3.medium", "arm64": "t4g.medium"}
USERS = {
    "ubuntu-24.04": "ubuntu",
    "ubuntu-22.04": "ubuntu",
    "debian-12": "admin",
    "rocky-9": "rocky",
    "amazon-linux-2023": "ec2-user",
}


def newest(base, architecture):
    [image] = [
        candidate
        for candidate in published("us-east-1")
        if (candidate.base.base, candidate.architecture, candidate.made)
        == (base, architecture, NEW)
    ]
    return image


@pytest.mark.parametrize("denied", [[], ["ssm:*"]])
@pytest.mark.parametrize("architecture", TYPES)
@pytest.mark.parametrize("base", BASES)
def test_image_is_the_newest_for_the_architecture_of_the_type(
    aws, prerequisites, base, architecture, denied
):
    aws.rules = build({"denied": denied})
    choice, real = prerequisites.image(base, TYPES[architecture]), newest(base, architecture)
    assert (choice.id, choice.architecture) == (real.id, architecture)
    assert (choice.root_device, choice.min_gb) == (real.base.root, real.base.size)
    assert (choice.user, BASES[base].hibernates) == (USERS[base], real.base.hibernates)


def test_image_without_a_base_has_updates_for_two_more_years(prerequisites):
    """Ubuntu, "Release cycle": standard support of 22.04 ends in April 2027, of 24.04 in 2029."""
    usual = prerequisites.image("ubuntu-24.04", "t3.medium")
    assert prerequisites.image(None, "t3.medium") == usual


def test_image_is_found_if_its_parameter_names_a_missing_image(aws, prerequisites):
    aws.fault(action="DescribeImages", do="error", code="InvalidAMIID.NotFound", status=400)
    assert prerequisites.image("debian-12", "t3.medium").id == newest("debian-12", "x86_64").id


def test_missing_image_is_reported_with_base_and_architecture(prerequisites, monkeypatch):
    nobodys = replace(BASES["rocky-9"], owner="000000000000")
    monkeypatch.setitem(BASES, "rocky-9", nobodys)
    with pytest.raises(NoImage) as raised:
        prerequisites.image("rocky-9", "t4g.medium")
    assert "rocky-9" in raised.value.message
    assert "aarch64" in raised.value.details


def test_image_is_requested_once_per_architecture_and_hour(
    prerequisites, count_calls, prerequisites_clock
):
    for type in ("t3.small", "t3.medium", "c6i.large"):
        prerequisites.image("debian-12", type)
    assert (count_calls("GetParameter"), count_calls("DescribeImages")) == (1, 1)
    prerequisites_clock.advance(hours=1)
    prerequisites.image("debian-12", "t3.small")
    assert count_calls("GetParameter") == 2, "new images are published often"


def test_kind_returns_architecture_memory_and_burstable(prerequisites):
    small, arm, gpu = (
        prerequisites.kind(name) for name in ("t3.small", "t4g.small", "g4dn.xlarge")
    )
    assert (small.architecture, small.memory_mib, small.burstable) == ("x86_64", 2048, True)
    assert (arm.architecture, arm.burstable) == ("arm64", True)
    assert (gpu.architecture, gpu.burstable) == ("x86_64", False)
