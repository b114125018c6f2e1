"""Every change of a workspace is admitted, written, told and recorded, in this order."""

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from prism.kit.events import Event
from prism.workspaces import store
from prism.workspaces.changes import WorkspaceChanges
from prism.workspaces.model import Launch, LifecycleVerb, Moving, Resizing, Update, Workspace
from tests.conftest import ML
from tests.money import ClockedDaemon

LEASED = {"due_at", "lease", "lease_until", "attempts"}


@pytest.fixture
def workspace(daemon):
    daemon.workspaces.launch(Launch(name="mine", template=ML))
    return daemon.workspaces.named("mine")


def test_the_order_is_admit_write_listen_record(daemon, clock, workspace):
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


def test_what_is_refused_is_not_written(daemon, clock, workspace):
    class Check:
        def allow(self, tx, workspace, *, beyond=None):
            raise LookupError("no money")

    changes = WorkspaceChanges(clock, [Check()])
    with pytest.raises(LookupError), daemon.db.write() as tx:
        changes.apply(tx, workspace, replace(workspace, restart=True), admit=True)
    assert daemon.workspaces.named("mine") == workspace


@pytest.mark.parametrize("column", sorted(store.OBSERVED))
def test_a_request_writes_nothing_that_the_reconciler_writes(daemon, clock, workspace, column):
    with pytest.raises(AssertionError, match=column), daemon.db.write() as tx:
        WorkspaceChanges(clock).apply(tx, workspace, replace(workspace, **{column: "other"}))


@pytest.mark.parametrize("column", sorted(store.WISHED))
def test_the_reconciler_writes_nothing_that_a_request_writes(daemon, clock, workspace, column):
    with pytest.raises(AssertionError, match=column), daemon.db.write() as tx:
        after = replace(workspace, **{column: "other"})
        WorkspaceChanges(clock).apply(tx, workspace, after, observed=True)


def test_both_sides_together_write_all_that_ever_changes():
    at_launch = {
        "id", "name", "profile", "place", "template", "region", "expected_id", "spot",
        "open_ports", "unlimited", "hibernation", "root_gb", "root_type", "launched_at",
    }  # fmt: skip
    assert not store.WISHED & store.OBSERVED
    assert store.WISHED | store.OBSERVED | at_launch == set(Workspace.__struct_fields__)


def test_each_statement_writes_the_columns_of_one_side(daemon, clock, cloud, monkeypatch):
    """Read off the database: a life with every verb, and who wrote what."""
    lab, written = ClockedDaemon(daemon, clock), []

    def saw(connection, cursor, statement, *_):
        if statement.startswith("UPDATE workspaces SET "):
            columns = statement.removeprefix("UPDATE workspaces SET ").partition(" WHERE ")[0]
            written.append({part.partition("=")[0].strip() for part in columns.split(", ")})

    event.listen(daemon.db.writer, "before_cursor_execute", saw)
    lab.project("bees")
    lab.running()
    works = daemon.workspaces
    for change in (
        lambda: works.extend("mine", 3),
        lambda: works.update("mine", Update(restart=True)),
        lambda: works.move("mine", Moving(project="bees")),
        lambda: works.ask("mine", LifecycleVerb.STOP),
        lambda: works.resize("mine", Resizing(size="L")),
        lambda: works.ask("mine", LifecycleVerb.START),
        lambda: works.restart("mine"),
        lambda: works.ask("mine", LifecycleVerb.STOP),
        lambda: works.extend("mine", None),
    ):
        change()
        for _ in range(3):
            clock.advance(seconds=40)
            daemon.settle()
    event.remove(daemon.db.writer, "before_cursor_execute", saw)
    names = {column.name for column in store.workspaces.c}
    ours = [columns & names - LEASED for columns in written]
    assert any(columns & store.WISHED for columns in ours)
    assert any(columns & store.OBSERVED for columns in ours)
    mixed = [our for our in ours if our & store.WISHED and our & store.OBSERVED]
    assert not mixed
