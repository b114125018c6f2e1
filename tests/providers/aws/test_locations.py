"""AWS locations of profiles and rows: connected while in use, and otherwise unavailable."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from prism.catalog.plan import PriceBook
from prism.errors import Unavailable
from prism.kit.clock import StoppedClock
from prism.profiles.model import Profile
from prism.providers.aws import locations as module
from prism.providers.aws.account.identity import (
    RETRY_AFTER,
    AwsIdentity,
    Identities,
    RegionMissing,
)
from prism.providers.aws.account.permissions import Permissions
from prism.providers.aws.api.faults import AwsDenied, AwsUnavailable, CredentialsMissing
from prism.providers.aws.locations import AwsLocationParts, AwsLocations, LocationsInUse
from prism.providers.aws.unavailable import UnavailableProvider
from tests.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = "111111111111", "222222222222"
HERE = f"aws:{ONE}:us-east-1"


class World:
    """AWS profiles with their accounts, the locations in use, and those that were connected."""

    def __init__(self, folder):
        self.clock = StoppedClock(NOW)
        self.accounts = {None: ONE, "one": ONE, "two": TWO}
        self.usage, self.asked, self.made = LocationsInUse(), [], []
        self.identities = Identities(self.clock, self.ask)
        self.locations = AwsLocations(
            folder,
            self.clock,
            lambda: self.usage,
            self.put,
            self.identities,
            price_book=PriceBook(),
        )

    def ask(self, aws_profile):
        self.asked.append(aws_profile)
        if isinstance(account := self.accounts[aws_profile], Exception):
            raise account
        return AwsIdentity(account=account, arn=f"arn:aws:iam::{account}:user/ada")

    def put(self, cloud):
        self.made.append(cloud)
        unused: Any = object()
        return AwsLocationParts(cloud=cloud, compute=unused, logs=unused)

    def uses(self, *active, rows=(), inactive=()):
        known = {profile.name: profile for profile in (*active, *inactive)}
        self.usage = LocationsInUse(active=active, rows=rows, profiles=known)
        self.locations.look(20)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def profile(name="lab", aws_profile=None, region="us-east-1", provider="aws"):
    return Profile(
        name=name, provider=provider, aws_profile=aws_profile, region=region, created_at=NOW
    )


def test_no_identity_is_requested_while_aws_is_not_used(world):
    world.uses(inactive=[profile(), profile("other", "two")])
    assert (world.asked, dict(world.locations.locations)) == ([], {})


def test_location_of_the_active_profile_is_connected_once(world):
    connected: list[object] = []
    world.locations.listeners.append(connected.append)
    for _ in range(3):
        world.uses(profile())
    assert ([*world.locations.connected], connected, world.asked) == ([HERE], [HERE], [None])
    [cloud] = world.made
    assert (cloud.region, cloud.aws_profile) == ("us-east-1", None)
    assert world.locations.locations[HERE].compute is world.locations.connected[HERE].compute


def test_profiles_of_one_account_and_region_share_a_location(world):
    world.uses(profile(), profile("same", "one"), profile("west", region="us-west-2"))
    assert [*world.locations.connected] == [HERE, f"aws:{ONE}:us-west-2"]


def test_location_of_a_row_is_connected_even_if_its_profile_is_inactive(world):
    location = f"aws:{TWO}:eu-west-1"
    local = profile("local", provider="local", region="local")
    lab = profile("lab", "two", "eu-west-1")
    world.uses(inactive=[local, lab], rows=((location, "lab"),))
    assert [*world.locations.connected] == [location]


def test_row_in_another_region_than_its_profile_is_served_in_its_region(world):
    location = f"aws:{ONE}:ap-south-1"
    world.uses(inactive=[profile()], rows=((location, "lab"),))
    assert world.made[0].region == "ap-south-1"


def test_row_without_a_profile_uses_a_profile_of_its_location(world):
    location = f"aws:{TWO}:us-east-1"
    profiles = [profile("a", "one"), profile("b", "two"), profile("c", "lost", "us-west-2")]
    world.uses(inactive=profiles, rows=((location, None),))
    world.locations.look(20)
    assert [*world.locations.connected] == [location]
    assert world.made[0].aws_profile == "two"
    assert "lost" not in world.asked, "a profile of another region is not asked"


def test_other_profiles_are_not_asked_if_that_of_the_row_is_known(world):
    profiles = [profile(), profile("b", "two", region=None)]
    for _ in range(3):
        world.uses(inactive=profiles, rows=((HERE, "lab"),))
    assert world.asked == [None]


def test_missing_credentials_are_reported_and_requested_again(world):
    world.accounts[None] = CredentialsMissing(details="expired")
    world.uses(profile(), rows=((HERE, "lab"),))
    away = world.locations.locations[HERE].compute
    assert isinstance(away, UnavailableProvider)
    with pytest.raises(CredentialsMissing) as caught:
        away.survey()
    assert caught.value.details == "expired"
    assert (caught.value is away.reason, world.locations.connected) == (False, {})
    assert world.locations.troubles["lab"].details == "expired"

    world.accounts[None] = ONE
    world.clock.advance(seconds=RETRY_AFTER.total_seconds())
    world.uses(profile(), rows=((HERE, "lab"),))
    assert not isinstance(world.locations.locations[HERE].compute, UnavailableProvider)
    assert world.locations.troubles == {}


def test_profile_with_another_account_does_not_serve_its_old_rows(world):
    world.uses(profile(aws_profile="two"), rows=((HERE, "lab"),))
    world.locations.look(20)
    assert [*world.locations.connected] == [f"aws:{TWO}:us-east-1"]
    with pytest.raises(CredentialsMissing) as caught:
        world.locations.locations[HERE].compute.access("i-1")
    assert TWO in caught.value.details and ONE in caught.value.details


def test_location_of_a_row_with_a_deleted_profile_is_unavailable(world):
    world.uses(rows=((HERE, "gone"),))
    with pytest.raises(Unavailable) as caught:
        world.locations.locations[HERE].compute.survey()
    assert ONE in caught.value.details


def test_location_uses_another_aws_profile_of_its_account(world):
    world.uses(profile())
    world.uses(profile(aws_profile="one"))
    [cloud] = world.made
    assert cloud.aws_profile == "one"


def test_unused_location_stays_connected_but_is_not_in_use(world):
    world.uses(profile())
    world.uses()
    assert (world.locations.in_use, [*world.locations.locations]) == (frozenset(), [HERE])


def test_profile_without_a_region_does_not_affect_others(world, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    world.uses(profile(region=None), profile("west", "two", "us-west-2"))
    assert [*world.locations.connected] == [f"aws:{TWO}:us-west-2"]
    assert isinstance(world.locations.troubles["lab"], RegionMissing)
    with pytest.raises(RegionMissing):
        world.locations.offer(profile(region=None))


def test_offer_of_a_profile_names_its_location_without_connecting(world):
    terms = world.locations.offer(profile("lab", "two", "eu-west-1"))
    assert (terms.location, terms.region) == (f"aws:{TWO}:eu-west-1", "eu-west-1")
    assert world.made == [], "an offer connects no location"


def test_offer_does_not_wait_for_a_hanging_identity_request(world):
    go = threading.Event()

    def hang(aws_profile):
        go.wait(120)
        raise AwsUnavailable

    world.identities._ask = hang
    with pytest.raises(AwsUnavailable):
        world.locations.offer(profile(), wait=0.01)
    go.set()


def test_hanging_identity_request_does_not_delay_other_locations(world):
    go = threading.Event()
    ask = world.ask

    def some_hang(aws_profile):
        if aws_profile == "two":
            go.wait(120)
        return ask(aws_profile)

    world.identities._ask = some_hang
    world.usage = LocationsInUse(active=(profile("slow", "two"), profile()))
    world.locations.start(lambda _: None)
    eventually(lambda: HERE in world.locations.connected)
    assert f"aws:{TWO}:us-east-1" not in world.locations.connected
    go.set()
    eventually(lambda: f"aws:{TWO}:us-east-1" in world.locations.connected)
    world.locations.close()


def test_closed_locations_refuse_calls(world):
    world.uses(profile())
    world.locations.close()
    with pytest.raises(AwsUnavailable):
        world.made[0].call("ec2", "DescribeVpcs")


def test_prices_are_fetched_for_the_locations_in_use(world, monkeypatch):
    looked = []
    monkeypatch.setattr(world.locations.prices, "look", lambda cloud: looked.append(cloud.region))
    world.uses(profile())
    world.uses(profile(region="us-west-2"))
    monkeypatch.setattr(module, "free_types", lambda cloud: None)
    world.locations.look_at_prices()
    assert looked == ["us-west-2"]


def test_plan_of_the_account_is_asked_a_few_times_a_day_and_reaches_the_offer(world, monkeypatch):
    plans = [AwsDenied("not allowed"), frozenset({"t3.small"}), None]
    calls = []

    def answer(cloud):
        calls.append(cloud.region)
        plan = plans[len(calls) - 1]
        if isinstance(plan, Exception):
            raise plan
        return plan

    monkeypatch.setattr(module, "free_types", answer)
    monkeypatch.setattr(world.locations.prices, "look", lambda cloud: None)
    world.uses(profile())
    included = []
    for _ in plans:
        for _ in range(2):
            world.locations.look_at_prices()
        included.append(world.locations.offer(profile())._included())
        world.clock.advance(seconds=module.PLAN_EVERY.total_seconds())
    assert included == [None, {"t3.small"}, None]
    assert calls == ["us-east-1"] * 3


def test_plan_of_the_account_is_asked_again_after_a_check(world, monkeypatch):
    """Somebody who has upgraded the plan does not wait for hours."""
    calls = []
    monkeypatch.setattr(module, "free_types", lambda cloud: calls.append(cloud))
    monkeypatch.setattr(world.locations.prices, "look", lambda cloud: None)
    world.uses(profile())
    world.locations.look_at_prices()
    cloud, identity = world.locations.cloud_of(profile())
    world.locations.note(cloud, identity, Permissions(how="simulated"))
    for _ in range(2):
        world.locations.look_at_prices()
    assert len(calls) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_error_in_one_check_does_not_prevent_later_checks(world, monkeypatch):
    monkeypatch.setattr(module, "CHECK_EVERY", 0.01)
    put, tried = world.put, []

    def broken_once(cloud):
        tried.append(cloud)
        if len(tried) == 1:
            raise TypeError("a bug")
        return put(cloud)

    world.locations._assemble = broken_once
    world.usage = LocationsInUse(active=(profile(),))
    world.locations.start(lambda _: None)
    eventually(lambda: HERE in world.locations.connected)
    world.locations.close()
