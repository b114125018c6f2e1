"""What is kept of the workspaces for whoever reads them."""

from prism.workspaces.model import Launch, LifecycleVerb
from tests.conftest import ML


def test_a_settlement_encodes_only_what_costs_another_cent(make_daemon, clock):
    daemon = make_daemon(local_prices="aws")
    for name in ("runs", "rests"):
        daemon.workspaces.launch(Launch(name=name, template=ML, size="L"))
    daemon.settle()
    daemon.workspaces.ask("rests", LifecycleVerb.STOP)
    for _ in range(2):
        daemon.settle()
        clock.advance(minutes=1)
    read_model = daemon.wiring.read_model
    before = read_model.settle(clock.now())
    clock.advance(minutes=10)
    daemon.settle()  # somebody has looked: until now it counts
    after = read_model.settle(clock.now())
    kept = {name: after.named(name) is before.named(name) for name in ("runs", "rests")}
    assert kept == {"runs": False, "rests": True}
    assert after.named("rests").encoded in after.body
