"""Checks profiles, and makes profiles from sections of AWS's configuration."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from prism.errors import ValidationFailed
from prism.profiles.model import RESERVED_NAMES, Profile
from prism.profiles.providers import AWS, LOCAL, TRAITS

FIRST_PROFILE = LOCAL
"""The name of the profile that each home begins with; it can be deleted."""
RATES = ("cpu_hour", "gb_hour", "gpu_hour")
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._@-]+")


def checked(profile: Profile) -> Profile:
    """The profile, if its fields are consistent; raises otherwise."""
    errors = []
    if profile.name in RESERVED_NAMES:
        errors.append(("name", f"{profile.name!r} is reserved"))
    if (region := TRAITS[profile.provider].region) is not None:
        if profile.aws_profile is not None:
            errors.append(("aws_profile", f"a {profile.provider} profile has none"))
        if profile.region not in {None, region}:
            errors.append(("region", f"a {profile.provider} profile's is `{region}`"))
        profile = replace(profile, region=region)
    elif profile.region in TRAITS:
        errors.append(("region", "must be a region of AWS, such as `us-west-2`"))
    if TRAITS[profile.provider].has_host != (profile.host is not None):
        needs = (
            "is required: the server to log in to" if profile.host is None else "has no meaning"
        )
        errors.append(("host", f"{needs} in a profile of {profile.provider}"))
    if profile.host is None:
        errors += [
            (name, f"has no meaning in a profile of {profile.provider}")
            for name in RATES
            if getattr(profile, name) is not None
        ]
    if errors:
        raise ValidationFailed.of(*errors)
    return profile


def first_profiles(sections: Mapping[str, str | None], at: datetime) -> list[Profile]:
    """The profiles of a first start: `local`, and one for each of AWS's sections."""
    profiles = [Profile(name=FIRST_PROFILE, provider=LOCAL, region=LOCAL, created_at=at)]
    for section, region in sections.items():
        name = _free_name(section, {profile.name for profile in profiles})
        profiles.append(
            Profile(name=name, provider=AWS, aws_profile=section, region=region, created_at=at)
        )
    return profiles


def _free_name(section: str, taken: Iterable[str]) -> str:
    """A profile name for a section: the same name, if possible."""
    name = NOT_IN_NAMES.sub("-", section).strip("._@-")[:56] or AWS
    unavailable = RESERVED_NAMES | {*taken}
    if name in unavailable:
        name = f"aws-{name}"
    number, free = 2, name
    while free in unavailable:
        number, free = number + 1, f"{name}-{number}"
    return free
