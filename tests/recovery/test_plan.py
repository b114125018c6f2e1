"""The decisions that turn a machine into a row, without a provider."""

import re
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from prism.profiles.model import Name as ProfileName
from prism.recovery.model import FoundMachine
from prism.recovery.plan import cost_so_far, expiry_of, may_take, name_for, names_profile
from prism.workspaces.model import Name, Observed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VALID = re.compile(get_args(Name)[1].pattern)
PROFILE = re.compile(get_args(ProfileName)[1].pattern)


def found_machine(**more):
    return FoundMachine(
        **{"id": "i-0123456789abcdef0", "key": "ws_1", "observed": Observed.ON} | more
    )


@pytest.mark.parametrize(
    ("name", "taken", "expected"),
    [
        ("mine", (), "mine"),
        ("mine", ("mine",), "mine-bcdef0"),
        ("mine", ("mine", "mine-bcdef0"), "mine-bcdef02"),
        ("Mine", (), "mine"),
        ("my machine!", (), "my-machine"),
        ("a--b", (), "a-b"),
        ("", (), "recovered"),
        ("日本", (), "recovered"),
        ("i-0123456789abcdef0", (), "recovered"),
        ("local-0123456789abcdef0", (), "recovered"),
        ("x" * 60, (), "x" * 48),
        ("x" * 48, ("x" * 48,), "x" * 36 + "-bcdef0"),
        ("-" * 50, (), "recovered"),
    ],
)
def test_recovered_name_is_valid_and_unique(name, taken, expected):
    chosen_name = name_for(found_machine(name=name), taken)
    assert chosen_name == expected
    assert VALID.search(chosen_name), "the name is valid for a launch"


@pytest.mark.parametrize(
    ("at_home", "owner", "everybody", "taken"),
    [
        (True, "eve", False, True),
        (False, "ada@example.org", False, True),
        (False, "Ada@Example.org", False, True),
        (False, "eve", False, False),
        (False, "", False, False),
        (False, "eve", True, True),
    ],
)
def test_machine_of_another_user_is_not_recovered_without_everybody(
    at_home, owner, everybody, taken
):
    why = may_take(
        found_machine(at_home=at_home, owner=owner), "ada@example.org", everybody=everybody
    )
    assert (why is None) is taken
    assert why is None or "prism orphans adopt i-0123456789abcdef0" in why


def test_copy_of_a_machine_is_recovered_only_by_its_id():
    machine = found_machine(at_home=True, owner="ada", twin_of="mine")
    why = may_take(machine, "ada", everybody=True)
    assert why is not None
    for command in ("adopt", "terminate"):
        assert f"`prism orphans {command} i-0123456789abcdef0`" in why


@pytest.mark.parametrize(
    ("seen", "hours", "hourly", "cost"),
    [
        (Observed.ON, 2, 83_200, 166_400),
        (Observed.STARTING, 0.5, 83_200, 41_600),
        (Observed.STOPPING, 1, 83_200, 83_200),
        (Observed.ON, -1, 83_200, 0),
        (Observed.ON, 2, None, None),
        (Observed.OFF, 2, 83_200, None),
        (Observed.ASLEEP, 2, 83_200, None),
    ],
)
def test_cost_so_far_counts_from_the_start_of_a_running_machine(seen, hours, hourly, cost):
    machine = found_machine(observed=seen, started_at=NOW - timedelta(hours=hours))
    assert cost_so_far(machine, hourly, NOW) == cost
    assert cost_so_far(found_machine(observed=seen), hourly, NOW) is None, (
        "the start time is unknown"
    )


@pytest.mark.parametrize(
    "name",
    ["lab", "ada@example.org", "a" * 64, "a" * 65, "", "../x", ".x", "a b", "a\n", "current"],
)
def test_profile_tag_is_used_only_if_it_is_a_valid_name(name):
    fits = PROFILE.search(name) is not None and name not in {"current", "switch"}
    assert names_profile(name) is fits


SOON, LATE = NOW + timedelta(hours=1), NOW + timedelta(hours=8)


@pytest.mark.parametrize(
    ("ends_at", "stops_at", "project", "end"),
    [
        (None, None, None, None),
        (LATE, LATE, None, LATE),
        (LATE, SOON, "reef", LATE),  # its money would end first
        (SOON, LATE, None, LATE),  # it was extended
        (SOON, LATE, "reef", LATE),
        (None, LATE, None, LATE),
        (LATE, None, None, LATE),
        (None, SOON, "reef", None),
    ],
)
def test_recovered_expiry_is_the_requested_expiry_not_that_of_the_budget(
    ends_at, stops_at, project, end
):
    machine = found_machine(ends_at=ends_at, stops_at=stops_at, project=project)
    assert expiry_of(machine)[0] == end
    assert (expiry_of(machine)[1] is not None) is (end is None and stops_at is not None), (
        "a note tells that the expiry was dropped"
    )
