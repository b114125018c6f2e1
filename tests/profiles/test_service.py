"""Profiles on both databases: one first start, one switch, nothing deleted that is needed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.tables import metadata
from prism.profiles.model import (
    NewProfile,
    ProfileChange,
    ProfileExists,
    ProfileFixed,
    ProfileInUse,
    ProfileNotFound,
)
from prism.profiles.service import ProfileService
from prism.workspaces.store import living_of

AWS = {"lab": "us-west-2", "teaching": None}


@pytest.fixture
def db(url, clock):
    db = Database(url, clock, Bus())
    metadata.create_all(db.writer)
    yield db
    db.close()


def service_of(db, clock, actor="ada", fixed=""):
    return ProfileService(db, clock, lambda: actor, living_of, fixed)


@pytest.fixture
def profiles(db, clock):
    service = service_of(db, clock)
    service.first_start(AWS)
    return service


def told(db):
    return [(fact.event, fact.subject) for fact in db.events_after(0)]


def test_a_first_start_makes_them_and_chooses_the_one_that_costs_nothing(profiles, db, clock):
    by_name = {p.name: p for p in profiles.every()}
    assert {name: p.active for name, p in by_name.items()} == {
        "lab": False,
        "local": True,
        "teaching": False,
    }
    assert by_name["lab"].aws_profile == "lab"
    assert by_name["local"].created_at == clock.now()
    assert by_name["local"].last_used is None
    assert told(db) == [("profile_created", name) for name in ("local", "lab", "teaching")]


def test_a_second_start_changes_nothing(profiles, db):
    profiles.switch("lab")
    profiles.delete("local")
    before, facts = profiles.every(), told(db)
    profiles.first_start({"new": None})
    assert (profiles.every(), told(db)) == (before, facts)


def test_many_first_starts_at_once_are_one(db, clock):
    with ThreadPoolExecutor(8) as threads:
        starts = [service_of(db, clock, f"user{n}") for n in range(8)]
        list(threads.map(lambda service: service.first_start(AWS), starts))
    assert len(starts[0].every()) == 3
    assert len(told(db)) == 3


def test_a_switch_is_kept_timed_and_told_once(profiles, db, clock):
    clock.advance(hours=1)
    switched = profiles.switch("lab")
    assert (switched.name, switched.active, switched.last_used) == ("lab", True, clock.now())
    assert profiles.current().name == "lab"
    assert profiles.shown_current() == switched
    clock.advance(hours=1)
    assert profiles.switch("lab").last_used == clock.now()
    assert [fact for fact in told(db) if fact[0] == "profile_switched"] == [
        ("profile_switched", "lab")
    ]


def test_a_switch_is_one_persons(profiles, db, clock):
    other = service_of(db, clock, "eve")
    profiles.switch("lab")
    assert other.current().name == "local"


def test_a_launch_marks_its_profile_as_used(profiles, db, clock):
    clock.advance(hours=2)
    with db.write() as tx:
        profiles.used(tx, profiles.current_in(tx.sql).name)
    assert profiles.current().last_used == clock.now()


def test_a_daemons_own_choice_comes_before_the_switch(profiles, db, clock):
    fixed = service_of(db, clock, fixed="lab")
    assert fixed.current().name == "lab"
    assert [p.name for p in fixed.every() if p.active] == ["lab"]
    with pytest.raises(ProfileFixed, match="PRISM_PROFILE"):
        fixed.switch("local")
    assert fixed.switch("lab").active
    with pytest.raises(ProfileInUse):
        fixed.delete("lab")


def test_a_daemons_own_choice_must_exist(db, clock):
    fixed = service_of(db, clock, fixed="nowhere")
    fixed.first_start(AWS)
    with pytest.raises(ProfileNotFound) as raised:
        fixed.current()
    assert raised.value.details == "PRISM_PROFILE is 'nowhere'"


def test_changing_keeps_what_is_not_given(profiles, db):
    changed = profiles.change("lab", ProfileChange(default_project="cs101"))
    assert (changed.region, changed.default_project) == ("us-west-2", "cs101")
    assert profiles.change("lab", ProfileChange(region=None)).region is None
    assert profiles.change("lab", ProfileChange(region=None)).region is None
    changes = [f.data["fields"] for f in db.events_after(0) if f.event == "profile_changed"]
    assert changes == [["default_project"], ["region"]], "a change that changes nothing is none"


def test_what_is_needed_is_not_deleted(profiles, db, clock):
    with pytest.raises(ProfileInUse) as raised:
        profiles.delete("local")
    assert raised.value.remediation.endswith("`prism profile switch lab`")
    service_of(db, clock, "eve").switch("lab")
    with pytest.raises(ProfileInUse):
        profiles.delete("lab")


def test_a_name_is_given_once(profiles):
    profile = profiles.create(NewProfile(name="here", provider="local"))
    assert (profile.region, profile.active) == ("local", False)
    with pytest.raises(ProfileExists):
        profiles.create(NewProfile(name="here", provider="aws"))


@pytest.mark.parametrize("verb", ["switch", "delete"])
def test_what_is_not_there_says_where_to_look(profiles, verb):
    with pytest.raises(ProfileNotFound) as raised:
        getattr(profiles, verb)("nope")
    assert "`prism profile list`" in raised.value.remediation
