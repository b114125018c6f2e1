"""Profiles on both databases: the first start, switching, deleting."""

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


def recorded_events(db):
    return [(fact.event, fact.subject) for fact in db.events_after(0)]


def test_first_start_creates_the_profiles_and_activates_the_local_profile(profiles, db, clock):
    by_name = {p.name: p for p in profiles.every()}
    assert {name: p.active for name, p in by_name.items()} == {
        "lab": False,
        "local": True,
        "teaching": False,
    }
    assert by_name["lab"].aws_profile == "lab"
    assert by_name["local"].created_at == clock.now()
    assert by_name["local"].last_used is None
    assert recorded_events(db) == [
        ("profile_created", name) for name in ("local", "lab", "teaching")
    ]


def test_second_start_changes_no_profile(profiles, db):
    profiles.switch("lab")
    profiles.delete("local")
    before, facts = profiles.every(), recorded_events(db)
    profiles.first_start({"new": None})
    assert (profiles.every(), recorded_events(db)) == (before, facts)


def test_concurrent_first_starts_create_each_profile_once(db, clock):
    with ThreadPoolExecutor(8) as threads:
        starts = [service_of(db, clock, f"user{n}") for n in range(8)]
        list(threads.map(lambda service: service.first_start(AWS), starts))
    assert len(starts[0].every()) == 3
    assert len(recorded_events(db)) == 3


def test_switch_sets_the_last_use_and_records_one_event(profiles, db, clock):
    clock.advance(hours=1)
    switched = profiles.switch("lab")
    assert (switched.name, switched.active, switched.last_used) == ("lab", True, clock.now())
    assert profiles.current().name == "lab"
    assert profiles.shown_current() == switched
    clock.advance(hours=1)
    assert profiles.switch("lab").last_used == clock.now()
    assert [fact for fact in recorded_events(db) if fact[0] == "profile_switched"] == [
        ("profile_switched", "lab")
    ]


def test_switch_applies_to_one_user_only(profiles, db, clock):
    other = service_of(db, clock, "eve")
    profiles.switch("lab")
    assert other.current().name == "local"


def test_launch_sets_the_last_use_of_its_profile(profiles, db, clock):
    clock.advance(hours=2)
    with db.write() as tx:
        profiles.used(tx, profiles.current_in(tx.sql).name)
    assert profiles.current().last_used == clock.now()


def test_profile_setting_of_the_daemon_overrides_the_switch(profiles, db, clock):
    fixed = service_of(db, clock, fixed="lab")
    assert fixed.current().name == "lab"
    assert [p.name for p in fixed.every() if p.active] == ["lab"]
    with pytest.raises(ProfileFixed, match="PRISM_PROFILE"):
        fixed.switch("local")
    assert fixed.switch("lab").active
    with pytest.raises(ProfileInUse):
        fixed.delete("lab")


def test_profile_setting_of_the_daemon_must_name_a_profile(db, clock):
    fixed = service_of(db, clock, fixed="nowhere")
    fixed.first_start(AWS)
    with pytest.raises(ProfileNotFound) as raised:
        fixed.current()
    assert raised.value.details == "PRISM_PROFILE is 'nowhere'"


def test_change_keeps_omitted_fields_and_records_only_differences(profiles, db):
    changed = profiles.change("lab", ProfileChange(default_project="cs101"))
    assert (changed.region, changed.default_project) == ("us-west-2", "cs101")
    assert profiles.change("lab", ProfileChange(region=None)).region is None
    assert profiles.change("lab", ProfileChange(region=None)).region is None
    changes = [f.data["fields"] for f in db.events_after(0) if f.event == "profile_changed"]
    assert changes == [["default_project"], ["region"]], (
        "a change without a difference is not recorded"
    )


def test_active_profile_cannot_be_deleted(profiles, db, clock):
    with pytest.raises(ProfileInUse) as raised:
        profiles.delete("local")
    assert raised.value.remediation.endswith("`prism profile switch lab`")
    service_of(db, clock, "eve").switch("lab")
    with pytest.raises(ProfileInUse):
        profiles.delete("lab")


def test_profile_name_is_unique(profiles):
    profile = profiles.create(NewProfile(name="here", provider="local"))
    assert (profile.region, profile.active) == ("local", False)
    with pytest.raises(ProfileExists):
        profiles.create(NewProfile(name="here", provider="aws"))


@pytest.mark.parametrize("verb", ["switch", "delete"])
def test_missing_profile_error_names_the_list_command(profiles, verb):
    with pytest.raises(ProfileNotFound) as raised:
        getattr(profiles, verb)("nope")
    assert "`prism profile list`" in raised.value.remediation
