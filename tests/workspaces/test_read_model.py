"""What is kept of the workspaces for whoever reads them."""

import pytest

from prism.workspaces import store
from prism.workspaces.model import Launch, LifecycleVerb, Resizing, Termination, Update
from tests.conftest import ML, PLACE


def test_a_settlement_encodes_only_what_costs_another_cent(make_daemon, clock):
    daemon = make_daemon(local_prices="aws")
    for name in ("runs", "rests"):
        daemon.workspaces.launch(Launch(name=name, template=ML, size="L"))
    daemon.settle()
    daemon.workspaces.ask("rests", LifecycleVerb.STOP)
    for _ in range(2):
        daemon.settle()
        clock.advance(minutes=1)
    read_model = daemon.read_model
    before = read_model.settle(clock.now())
    clock.advance(minutes=10)
    daemon.settle()  # somebody has looked: until now it counts
    after = read_model.settle(clock.now())
    unchanged = {name: after.named(name) is before.named(name) for name in ("runs", "rests")}
    assert unchanged == {"runs": False, "rests": True}
    assert after.named("rests").encoded in after.body


def kept(daemon):
    return {id: row.workspace for id, row in daemon.read_model.pages.rows.items()}


def stored(daemon):
    with daemon.db.read() as sql:
        return {entry.id: entry for entry in store.every(sql)}


def test_what_commits_have_changed_is_what_the_database_says(daemon, clock):
    asks, before = daemon.workspaces, daemon.read_model.pages
    steps = [
        lambda: asks.launch(Launch(name="mine", template=ML, size="L", ttl_hours=7)),
        lambda: asks.launch(Launch(name="other", template=ML)),
        lambda: asks.restart("mine"),
        lambda: asks.extend("mine", 1.3),
        lambda: asks.ask("mine", LifecycleVerb.STOP),
        lambda: asks.resize("mine", Resizing(size="XL")),
        lambda: asks.update("mine", Update(restart=True)),
        lambda: asks.ask("mine", LifecycleVerb.START),
        lambda: asks.terminate("mine", Termination(confirm="DELETE")),
    ]
    for step in steps:
        step()
        assert kept(daemon) == stored(daemon)
        for _ in range(3):
            clock.advance(seconds=1.7)
            daemon.settle()
            assert kept(daemon) == stored(daemon)
    clock.advance(days=30)
    daemon.settle()
    assert kept(daemon) == stored(daemon)
    assert daemon.read_model.pages.version > before.version


@pytest.mark.postgres
def test_a_commit_that_is_not_the_next_one_is_read(make_daemon):
    """Another daemon has committed before, and nobody has said so yet."""
    first, two = make_daemon(), make_daemon()
    assert kept(two) == {}
    first.workspaces.launch(Launch(name="first", template=ML))
    two.workspaces.launch(Launch(name="second", template=ML))
    assert sorted(workspace.name for workspace in kept(two).values()) == ["first", "second"]
    assert kept(two) == stored(two)


def test_the_living_are_listed_once_until_a_workspace_changes(daemon):
    daemon.workspaces.launch(Launch(name="mine", template=ML))
    read_model = daemon.read_model
    living = read_model.living([PLACE])
    assert [workspace.name for workspace in living] == ["mine"]
    assert read_model.living([PLACE]) is living
    assert read_model.living(["elsewhere"]) == []
    daemon.workspaces.launch(Launch(name="other", template=ML))
    assert {workspace.name for workspace in read_model.living([PLACE])} == {"mine", "other"}
