"""The read model: all workspaces, already encoded."""

import pytest

from prism.workspaces import store
from prism.workspaces.model import (
    ExtendRequest,
    LaunchRequest,
    LifecycleVerb,
    ResizeRequest,
    TerminateRequest,
    UpdateRequest,
)
from tests.conftest import LOCATION, ML


def test_settlement_encodes_only_workspaces_whose_cost_changed(make_daemon, clock):
    daemon = make_daemon(local_prices="aws")
    for name in ("runs", "rests"):
        daemon.workspaces.launch(LaunchRequest(name=name, template=ML, size="L"))
    daemon.settle()
    daemon.workspaces.ask("rests", LifecycleVerb.STOP)
    for _ in range(2):
        daemon.settle()
        clock.advance(minutes=1)
    read_model = daemon.read_model
    before = read_model.settle(clock.now())
    clock.advance(minutes=10)
    daemon.settle()  # costs are counted until the last observation
    after = read_model.settle(clock.now())
    unchanged = {name: after.named(name) is before.named(name) for name in ("runs", "rests")}
    assert unchanged == {"runs": False, "rests": True}
    assert after.named("rests").encoded in after.body


def cached(daemon):
    return {id: row.workspace for id, row in daemon.read_model.pages.rows.items()}


def stored(daemon):
    with daemon.db.read() as sql:
        return {entry.id: entry for entry in store.every(sql)}


def test_read_model_equals_the_database_after_each_commit(daemon, clock):
    service, before = daemon.workspaces, daemon.read_model.pages
    steps = [
        lambda: service.launch(LaunchRequest(name="mine", template=ML, size="L", ttl_hours=7)),
        lambda: service.launch(LaunchRequest(name="other", template=ML)),
        lambda: service.restart("mine"),
        lambda: service.extend("mine", ExtendRequest(hours=1.3)),
        lambda: service.ask("mine", LifecycleVerb.STOP),
        lambda: service.resize("mine", ResizeRequest(size="XL")),
        lambda: service.update("mine", UpdateRequest(restart=True)),
        lambda: service.ask("mine", LifecycleVerb.START),
        lambda: service.terminate("mine", TerminateRequest(confirm="DELETE")),
    ]
    for step in steps:
        step()
        assert cached(daemon) == stored(daemon)
        for _ in range(3):
            clock.advance(seconds=1.7)
            daemon.settle()
            assert cached(daemon) == stored(daemon)
    clock.advance(days=30)
    daemon.settle()
    assert cached(daemon) == stored(daemon)
    assert daemon.read_model.pages.version > before.version


@pytest.mark.postgres
def test_read_model_reads_the_database_after_a_missed_commit(make_daemon):
    """Another daemon committed before, without an announcement yet."""
    first, two = make_daemon(), make_daemon()
    assert cached(two) == {}
    first.workspaces.launch(LaunchRequest(name="first", template=ML))
    two.workspaces.launch(LaunchRequest(name="second", template=ML))
    assert sorted(workspace.name for workspace in cached(two).values()) == ["first", "second"]
    assert cached(two) == stored(two)


def test_list_of_living_workspaces_is_cached_until_a_change(daemon):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    read_model = daemon.read_model
    living = read_model.living([LOCATION])
    assert [workspace.name for workspace in living] == ["mine"]
    assert read_model.living([LOCATION]) is living
    assert read_model.living(["elsewhere"]) == []
    daemon.workspaces.launch(LaunchRequest(name="other", template=ML))
    assert {workspace.name for workspace in read_model.living([LOCATION])} == {"mine", "other"}
