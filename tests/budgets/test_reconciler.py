"""The reconciler of reservations."""

from msgspec.structs import replace

from prism.budgets import store


def test_reservation_of_an_ended_or_unknown_workspace_is_released(clocked_daemon):
    clocked_daemon.project("lab", 5.0)
    clocked_daemon.running(project="lab")
    [held] = clocked_daemon.reservations()
    clocked_daemon.verb("mine", "terminate", confirm="DELETE")
    clocked_daemon.settle()
    assert clocked_daemon.workspace().ended_at is not None
    assert clocked_daemon.reservations() == []
    with clocked_daemon.daemon.db.write() as tx:
        for id in (held.id, "ws_unknown"):
            store.put_reservation(tx, replace(held, id=id), clocked_daemon.clock.now())
    assert len(clocked_daemon.reservations()) == 2
    clocked_daemon.settle()
    assert clocked_daemon.reservations() == []
