"""Storage changes in one place; requests and the reconciler write different columns."""

import pytest
from msgspec.structs import replace

from prism.kit.events import Event
from prism.storage import store
from prism.storage.changes import StorageChanges
from prism.storage.model import NewVolume, Volume, VolumeKind


@pytest.fixture
def volume(daemon):
    daemon.storage.create(NewVolume(name="data", type=VolumeKind.EBS, size_gb=1))
    with daemon.db.read() as sql:
        return store.named(sql, Volume, "data")


def test_change_is_admitted_written_announced_and_recorded_in_this_order(daemon, clock, volume):
    done: list[tuple[object, ...]] = []
    new = replace(volume, id="volume_new", name="new")

    def known(tx):
        return store.find(tx.sql, Volume, "new") is not None

    class Check:
        def allow(self, tx, volume, *, backup, budget=None):
            done.append(("admit", known(tx), backup, budget))

    class Listener:
        def changed(self, tx, before, after, at):
            done.append(("listen", known(tx)))

    def recorded(volume):
        done.append(("record", volume.name))
        return Event(actor="ada", subject=volume.name)

    changes = StorageChanges(clock, [Check()], [Listener()])
    with daemon.db.write() as tx:
        changes.add(tx, new, recorded, backup=True, budget="grant")
        tx.events.clear()
    assert done == [("admit", False, True, "grant"), ("listen", True), ("record", "new")]


@pytest.mark.parametrize(
    "column", ["observed", "observed_generation", "disk_id", "zone", "used_bytes", "trouble"]
)
def test_request_cannot_write_a_column_of_the_reconciler(daemon, clock, volume, column):
    with pytest.raises(AssertionError, match=column), daemon.db.write() as tx:
        StorageChanges(clock).apply(tx, volume, replace(volume, **{column: "other"}))


@pytest.mark.parametrize("column", sorted(store.REQUESTED & set(Volume.__struct_fields__)))
def test_reconciler_cannot_write_a_column_of_requests(daemon, clock, volume, column):
    after = replace(volume, **{column: "other"})
    with pytest.raises(AssertionError, match=column), daemon.db.write() as tx:
        StorageChanges(clock).apply(tx, volume, after, observed=True)
