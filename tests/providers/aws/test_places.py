"""Where profiles and rows lead: connected when somebody works there, and honest when not."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from prism.catalog.plan import PriceBook
from prism.errors import Unavailable
from prism.kit.clock import StoppedClock
from prism.profiles.model import Profile
from prism.providers.aws import places as module
from prism.providers.aws.account.identity import (
    RETRY_AFTER,
    AwsIdentity,
    Identities,
    RegionMissing,
)
from prism.providers.aws.api.faults import AwsUnavailable, CredentialsMissing
from prism.providers.aws.places import AwsPlaces, Parts, PlacesInUse
from prism.providers.aws.unavailable import UnavailableProvider
from tests.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = "111111111111", "222222222222"
HERE = f"aws:{ONE}:us-east-1"


class World:
    """Logins with their accounts, what is in use, and what was put together."""

    def __init__(self, folder):
        self.clock = StoppedClock(NOW)
        self.accounts = {None: ONE, "one": ONE, "two": TWO}
        self.usage, self.asked, self.made = PlacesInUse(), [], []
        self.identities = Identities(self.clock, self.ask)
        self.places = AwsPlaces(
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
        return Parts(cloud=cloud, compute=unused, logs=unused)

    def uses(self, *active, rows=(), inactive=()):
        known = {profile.name: profile for profile in (*active, *inactive)}
        self.usage = PlacesInUse(active=active, rows=rows, profiles=known)
        self.places.look(20)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def profile(name="lab", aws_profile=None, region="us-east-1", provider="aws"):
    return Profile(
        name=name, provider=provider, aws_profile=aws_profile, region=region, created_at=NOW
    )


def test_nobody_is_asked_while_nothing_of_aws_is_used(world):
    world.uses(inactive=[profile(), profile("other", "two")])
    assert (world.asked, dict(world.places.locations)) == ([], {})


def test_the_active_profiles_place_is_connected_once(world):
    connected: list[object] = []
    world.places.listeners.append(connected.append)
    for _ in range(3):
        world.uses(profile())
    assert ([*world.places.connected], connected, world.asked) == ([HERE], [HERE], [None])
    [cloud] = world.made
    assert (cloud.region, cloud.aws_profile) == ("us-east-1", None)
    assert world.places.locations[HERE].compute is world.places.connected[HERE].compute


def test_two_profiles_of_one_account_and_region_share_a_place(world):
    world.uses(profile(), profile("same", "one"), profile("west", region="us-west-2"))
    assert [*world.places.connected] == [HERE, f"aws:{ONE}:us-west-2"]


def test_rows_keep_their_place_served_whatever_is_active(world):
    place = f"aws:{TWO}:eu-west-1"
    local = profile("local", provider="local", region="local")
    lab = profile("lab", "two", "eu-west-1")
    world.uses(inactive=[local, lab], rows=((place, "lab"),))
    assert [*world.places.connected] == [place]


def test_a_row_in_another_region_than_its_profile_is_served_there(world):
    place = f"aws:{ONE}:ap-south-1"
    world.uses(inactive=[profile()], rows=((place, "lab"),))
    assert world.made[0].region == "ap-south-1"


def test_data_without_a_profile_is_served_by_one_that_leads_there(world):
    place = f"aws:{TWO}:us-east-1"
    profiles = [profile("a", "one"), profile("b", "two"), profile("c", "lost", "us-west-2")]
    world.uses(inactive=profiles, rows=((place, None),))
    world.places.look(20)
    assert [*world.places.connected] == [place]
    assert world.made[0].aws_profile == "two"
    assert "lost" not in world.asked, "another region's profile does not lead there"


def test_others_of_the_region_are_asked_only_where_nobody_else_is_left(world):
    profiles = [profile(), profile("b", "two", region=None)]
    for _ in range(3):
        world.uses(inactive=profiles, rows=((HERE, "lab"),))
    assert world.asked == [None]


def test_credentials_that_are_away_are_said_and_come_back(world):
    world.accounts[None] = CredentialsMissing(details="expired")
    world.uses(profile(), rows=((HERE, "lab"),))
    away = world.places.locations[HERE].compute
    assert isinstance(away, UnavailableProvider)
    with pytest.raises(CredentialsMissing) as caught:
        away.survey()
    assert caught.value.details == "expired"
    assert (caught.value is away.reason, world.places.connected) == (False, {})
    assert world.places.troubles["lab"].details == "expired"

    world.accounts[None] = ONE
    world.clock.advance(seconds=RETRY_AFTER.total_seconds())
    world.uses(profile(), rows=((HERE, "lab"),))
    assert not isinstance(world.places.locations[HERE].compute, UnavailableProvider)
    assert world.places.troubles == {}


def test_a_profile_that_leads_elsewhere_now_does_not_serve_its_old_rows(world):
    world.uses(profile(aws_profile="two"), rows=((HERE, "lab"),))
    world.places.look(20)
    assert [*world.places.connected] == [f"aws:{TWO}:us-east-1"]
    with pytest.raises(CredentialsMissing) as caught:
        world.places.locations[HERE].compute.access("i-1")
    assert TWO in caught.value.details and ONE in caught.value.details


def test_rows_whose_profile_is_gone_are_away(world):
    world.uses(rows=((HERE, "gone"),))
    with pytest.raises(Unavailable) as caught:
        world.places.locations[HERE].compute.survey()
    assert ONE in caught.value.details


def test_a_place_goes_on_by_another_login_of_its_account(world):
    world.uses(profile())
    world.uses(profile(aws_profile="one"))
    [cloud] = world.made
    assert cloud.aws_profile == "one"


def test_what_nobody_uses_any_more_is_not_wanted(world):
    world.uses(profile())
    world.uses()
    assert (world.places.in_use, [*world.places.locations]) == (frozenset(), [HERE])


def test_a_profile_without_a_region_is_a_trouble_of_its_own(world, monkeypatch):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    world.uses(profile(region=None), profile("west", "two", "us-west-2"))
    assert [*world.places.connected] == [f"aws:{TWO}:us-west-2"]
    assert isinstance(world.places.troubles["lab"], RegionMissing)
    with pytest.raises(RegionMissing):
        world.places.offer(profile(region=None))


def test_terms_say_where_a_profile_leads(world):
    terms = world.places.offer(profile("lab", "two", "eu-west-1"))
    assert (terms.place, terms.region) == (f"aws:{TWO}:eu-west-1", "eu-west-1")
    assert world.made == [], "what was only asked about is not connected"


def test_terms_do_not_wait_for_a_login_that_hangs(world):
    go = threading.Event()

    def hang(aws_profile):
        go.wait(120)
        raise AwsUnavailable

    world.identities._ask = hang
    with pytest.raises(AwsUnavailable):
        world.places.offer(profile(), wait=0.01)
    go.set()


def test_one_that_hangs_keeps_nobody_else_waiting(world):
    go = threading.Event()
    ask = world.ask

    def some_hang(aws_profile):
        if aws_profile == "two":
            go.wait(120)
        return ask(aws_profile)

    world.identities._ask = some_hang
    world.usage = PlacesInUse(active=(profile("slow", "two"), profile()))
    world.places.start(lambda _: None)
    eventually(lambda: HERE in world.places.connected)
    assert f"aws:{TWO}:us-east-1" not in world.places.connected
    go.set()
    eventually(lambda: f"aws:{TWO}:us-east-1" in world.places.connected)
    world.places.close()


def test_after_going_home_nothing_is_asked(world):
    world.uses(profile())
    world.places.close()
    with pytest.raises(AwsUnavailable):
        world.made[0].call("ec2", "DescribeVpcs")


def test_prices_are_fetched_for_what_is_in_use(world, monkeypatch):
    looked = []
    monkeypatch.setattr(world.places.prices, "look", lambda cloud: looked.append(cloud.region))
    world.uses(profile())
    world.uses(profile(region="us-west-2"))
    world.places.look_at_prices()
    assert looked == ["us-west-2"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_one_look_is_not_the_end_of_all_looks(world, monkeypatch):
    monkeypatch.setattr(module, "CHECK_EVERY", 0.01)
    put, tried = world.put, []

    def broken_once(cloud):
        tried.append(cloud)
        if len(tried) == 1:
            raise TypeError("a bug")
        return put(cloud)

    world.places._assemble = broken_once
    world.usage = PlacesInUse(active=(profile(),))
    world.places.start(lambda _: None)
    eventually(lambda: HERE in world.places.connected)
    world.places.close()
