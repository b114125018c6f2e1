"""A provider that says no: its words stay until something else is seen or asked."""

import pytest

from prism.workspaces.model import Launch, Seen, Verb
from prism.workspaces.plan import state_of
from prism.workspaces.ports import Refused
from prism.workspaces.resizing import Resizing
from tests.conftest import ML

NO = "UnauthorizedOperation"


@pytest.fixture
def house(make_house):
    return make_house(local_prices="aws")


@pytest.fixture
def settle(house, clock):
    def settled(times=4):
        for _ in range(times):
            clock.advance(seconds=40)
            house.settle()
        return house.workspaces.named("mine")

    return settled


@pytest.fixture
def mine(house, settle):
    house.workspaces.launch(Launch(name="mine", template=ML))
    return settle()


@pytest.fixture
def refused(cloud, monkeypatch):
    """Has the cloud say no to a verb, as long as it stands in the list."""
    verbs, asked = [], []

    def refuse(verb):
        original = getattr(cloud, verb)

        def answer(*args):
            if verb in verbs:
                asked.append(verb)
                raise Refused(NO)
            return original(*args)

        verbs.append(verb)
        monkeypatch.setattr(cloud, verb, answer)
        return asked

    refuse.no_more = verbs.clear
    return refuse


@pytest.mark.parametrize(
    ("before", "verb", "at_rest"),
    [
        ([], Verb.STOP, "running"),
        ([], Verb.HIBERNATE, "running"),
        ([Verb.STOP], Verb.START, "stopped"),
        ([Verb.HIBERNATE], Verb.RESUME, "hibernated"),
    ],
)
def test_a_refusal_is_said_until_something_else_is_asked(
    house, cloud, mine, settle, refused, before, verb, at_rest
):
    for first in before:
        house.workspaces.ask("mine", first)
        settle()
    asked = refused("start" if verb is Verb.RESUME else verb.value)
    house.workspaces.ask("mine", verb)
    it = settle()
    assert (state_of(it), it.failure.message) == (at_rest, NO)
    assert len(asked) == 1, "one wish, one try"
    refused.no_more()
    house.workspaces.ask("mine", verb)
    assert settle().failure is None


def test_a_refusal_is_history_once_it_has_come_to_be_otherwise(
    house, cloud, mine, settle, refused
):
    refused("stop")
    house.workspaces.ask("mine", Verb.STOP)
    assert settle().failure
    refused.no_more()
    cloud.stop(mine.machine_id)  # at its console
    it = settle()
    assert (state_of(it), it.failure) == ("stopped", None)


@pytest.mark.parametrize(
    ("verb", "there"), [(Verb.STOP, "stopped"), (Verb.HIBERNATE, "hibernated")]
)
def test_who_may_not_say_when_it_goes_down_may_put_it_down(
    house, mine, settle, refused, verb, there
):
    refused("expire")
    house.workspaces.extend("mine", 8)
    settle()
    house.workspaces.ask("mine", verb)
    assert state_of(settle()) == there


def test_what_shall_be_destroyed_is_asked_for_until_it_is(house, cloud, mine, settle, refused):
    asked = refused("terminate")
    house.workspaces.ask("mine", Verb.TERMINATE)
    it = settle(1)
    assert (state_of(it), it.failure.message) == ("terminating", NO)
    assert state_of(settle(2)) == "terminating"
    assert len(asked) == 3, "at the pace of the patrols"
    assert house.workspaces.named("mine").failure
    refused.no_more()
    settle(3)
    assert cloud.machine(mine.machine_id).seen is Seen.GONE


def asked_by_prism(house):
    return [f.data["verb"] for f in house.db.facts_after(0) if f.event == "instance_asked"]


def test_an_expiry_that_cannot_be_kept_is_asked_for_now_and_then_and_not_without_end(
    house, cloud, clock, mine, settle, refused
):
    """Amazon EC2 stops no spot machine whose request was cancelled, for example."""
    refused("hibernate")
    asked = refused("stop")
    house.workspaces.extend("mine", 1)
    settle()
    cloud.expire(mine.machine_id, None, "stop")  # a machine that does not go down by itself
    clock.advance(hours=1)
    it = settle(3)
    assert (state_of(it), it.failure.message) == ("running", NO)
    assert asked == ["hibernate", "stop"], "where it cannot sleep, it is to stop"
    settle(10)
    assert asked == ["hibernate", "stop"]
    assert asked_by_prism(house) == ["launch", *asked]
    refused.no_more()
    clock.advance(minutes=15)
    assert state_of(settle()) == "hibernated"


def test_what_its_budget_puts_down_and_cannot_is_asked_for_now_and_then(
    house, clock, mine, settle, refused
):
    asked = refused("stop")
    refused("hibernate")
    for _ in range(5):
        house.workspaces.put_down(mine.id, "its money is spent")
        settle(1)
    assert asked == ["hibernate", "stop"]
    refused.no_more()
    clock.advance(minutes=15)
    house.workspaces.put_down(mine.id, "its money is spent")
    assert state_of(settle()) == "hibernated"


def test_a_resize_that_is_refused_leaves_it_what_it_was(house, cloud, mine, settle, refused):
    house.workspaces.ask("mine", Verb.STOP)
    stopped = settle()
    asked = refused("resize")
    house.rooms.resizing.resize("mine", Resizing(size="L"))
    assert house.workspaces.named("mine").hourly_rate != stopped.hourly_rate
    it = settle()
    assert (it.instance_type, it.failure.message) == (
        stopped.instance_type,
        f"It stays {stopped.instance_type}: {NO}",
    )
    assert len(asked) == 1
    house.rooms.prices.look()  # the hour is not over, and yet it asks
    assert house.workspaces.named("mine").hourly_rate == stopped.hourly_rate
    house.workspaces.ask("mine", Verb.START)
    it = settle()
    assert (state_of(it), it.failure) == ("running", None)
