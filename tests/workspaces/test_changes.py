"""A change of a workspace is admitted, written, announced and recorded, in this order."""

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from prism.kit.events import Event
from prism.workspaces import store
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.model import (
    ExtendRequest,
    LaunchRequest,
    LifecycleVerb,
    MoveRequest,
    ResizeRequest,
    UpdateRequest,
    Workspace,
)
from tests.conftest import ML
from tests.money import ClockedDaemon

LEASED = {"due_at", "lease", "lease_until", "attempts"}


@pytest.fixture
def workspace(daemon):
    daemon.workspaces.launch(LaunchRequest(name="mine", template=ML))
    return daemon.workspaces.named("mine")


def test_change_is_admitted_written_announced_and_recorded_in_this_order(daemon, clock, workspace):
    done: list[tuple[object, ...]] = []

    class Check:
        def allow(self, tx, workspace, *, beyond=None):
            done.append(("admit", store.by_id(tx.sql, workspace.id).restart))

    class Listener:
        def changed(self, tx, before, after, at, *, sure):
            done.append(("listen", store.by_id(tx.sql, workspace.id).restart, len(tx.events)))

    def recorded(workspace):
        done.append(("record", workspace.restart))
        return Event(actor="ada", subject=workspace.name)

    changes = WorkspaceChanges(clock, [Check()], [Listener()])
    with daemon.db.write() as tx:
        after = changes.apply(
            tx,
            workspace,
            replace(workspace, restart=True),
            recorded,
            admit=True,
        )
        tx.events.clear()
    assert done == [("admit", False), ("listen", True, 0), ("record", True)]
    assert daemon.workspaces.named("mine") == after


def test_refused_change_is_not_written(daemon, clock, workspace):
    class Check:
        def allow(self, tx, workspace, *, beyond=None):
            raise LookupError("no money")

    changes = WorkspaceChanges(clock, [Check()])
    with pytest.raises(LookupError), daemon.db.write() as tx:
        changes.apply(tx, workspace, replace(workspace, restart=True), admit=True)
    assert daemon.workspaces.named("mine") == workspace


@pytest.mark.parametrize("column", sorted(store.OBSERVED))
def test_request_cannot_write_a_column_of_the_reconciler(daemon, clock, workspace, column):
    with pytest.raises(AssertionError, match=column), daemon.db.write() as tx:
        WorkspaceChanges(clock).apply(tx, workspace, replace(workspace, **{column: "other"}))


@pytest.mark.parametrize("column", sorted(store.REQUESTED))
def test_reconciler_cannot_write_a_column_of_requests(daemon, clock, workspace, column):
    with pytest.raises(AssertionError, match=column), daemon.db.write() as tx:
        after = replace(workspace, **{column: "other"})
        WorkspaceChanges(clock).apply(tx, workspace, after, observed=True)


def test_each_column_is_written_by_one_side_or_at_launch():
    at_launch = {
        "id", "name", "profile", "location", "template", "region", "expected_id", "spot",
        "open_ports", "unlimited", "hibernation", "root_gb", "root_type", "launched_at",
    }  # fmt: skip
    assert not store.REQUESTED & store.OBSERVED
    assert store.REQUESTED | store.OBSERVED | at_launch == set(Workspace.__struct_fields__)


def test_each_update_statement_writes_columns_of_one_side(daemon, clock, cloud, monkeypatch):
    """Observed in the database, during a sequence of all verbs."""
    lab, written = ClockedDaemon(daemon, clock), []

    def record_columns(connection, cursor, statement, *_):
        if statement.startswith("UPDATE workspaces SET "):
            columns = statement.removeprefix("UPDATE workspaces SET ").partition(" WHERE ")[0]
            written.append({part.partition("=")[0].strip() for part in columns.split(", ")})

    event.listen(daemon.db.writer, "before_cursor_execute", record_columns)
    lab.project("bees")
    lab.running()
    service = daemon.workspaces
    for change in (
        lambda: service.extend("mine", ExtendRequest(hours=3)),
        lambda: service.update("mine", UpdateRequest(restart=True)),
        lambda: service.move("mine", MoveRequest(project="bees")),
        lambda: service.ask("mine", LifecycleVerb.STOP),
        lambda: service.resize("mine", ResizeRequest(size="L")),
        lambda: service.ask("mine", LifecycleVerb.START),
        lambda: service.restart("mine"),
        lambda: service.ask("mine", LifecycleVerb.STOP),
        lambda: service.extend("mine", ExtendRequest(hours=None)),
    ):
        change()
        for _ in range(3):
            clock.advance(seconds=40)
            daemon.settle()
    event.remove(daemon.db.writer, "before_cursor_execute", record_columns)
    keys = {column.name: column.key for column in store.workspaces.c}
    ours = [{keys[column] for column in columns & keys.keys()} - LEASED for columns in written]
    assert any(columns & store.REQUESTED for columns in ours)
    assert any(columns & store.OBSERVED for columns in ours)
    mixed = [our for our in ours if our & store.REQUESTED and our & store.OBSERVED]
    assert not mixed
