"""`is_networked`: surely no sandboxed program of the machine shares the daemon's network."""

import os
import shutil
from typing import cast

import pytest

from prism.agent.network.namespace import MODE_VARIABLE
from prism.agent.protocol import ObservedMachine
from prism.kit.network import workspace_peers
from prism.providers.local import folder as folders
from prism.providers.local.compute import is_networked
from tests.attacks.holding import socket_holder
from tests.optional import not_none
from tests.providers.local.world import World, page
from tests.waiting import eventually

SHARES = "shared: `pasta` is not installed"


def report_of(phase, **kinds):
    """The report of a supervisor."""
    return cast(
        ObservedMachine, {"key": "ws_1", "name": "mine", "run": 1, "phase": phase, **kinds}
    )


@pytest.mark.parametrize("phase", ["starting", "on", "stopping", "asleep"])
def test_machine_is_networked_if_its_sandbox_has_its_own_network(phase):
    assert is_networked(report_of(phase, sandbox="bubblewrap", network="own"))


@pytest.mark.parametrize("phase", ["starting", "on", "stopping", "asleep"])
def test_machine_without_a_sandbox_is_networked(phase):
    assert is_networked(report_of(phase, sandbox="none: switched off", network=None))


@pytest.mark.parametrize(
    "seen",
    [
        report_of("starting", sandbox=None, network=None),
        report_of("on"),
        report_of("on", sandbox="bubblewrap", network=SHARES),
        report_of("on", sandbox="bubblewrap", network=None),
        report_of("off", sandbox="bubblewrap", network="own"),
        report_of("failed", sandbox="bubblewrap", network="own"),
    ],
    ids=[
        "no sandbox yet",
        "an older supervisor",
        "shared",
        "not reported",
        "an earlier run",
        "failed",
    ],
)
def test_machine_is_not_networked_by_any_other_report(seen):
    assert not is_networked(seen)


needs_sandbox = pytest.mark.needs("bwrap")


def scans_every_process(world, monkeypatch):
    """Whether the daemon reads every process when a program of no workspace connects to it."""
    looked = []
    whole = workspace_peers.descendants
    with monkeypatch.context() as patched, socket_holder() as (_, inode):

        def counted(of):
            looked.append(of)
            return whole(of)

        patched.setattr(workspace_peers, "descendants", counted)
        assert not world.compute.peers.of_a_workspace(inode)
    return bool(looked)


@needs_sandbox
@pytest.mark.skipif(not shutil.which("pasta"), reason="needs passt")
def test_peer_check_scans_every_process_after_a_new_intent_or_machine(world, monkeypatch):
    id = world.launched(page())
    if world.report(id)["network"] != "own":
        pytest.skip("needs namespaces: a network of its own")
    assert not scans_every_process(world, monkeypatch)
    folder = world.root / id
    intent = not_none(folders.read_intent(folder))
    supervisor = world.supervisor(id)
    supervisor.suspend()  # it wakes now and then, and would read the intent
    try:
        folders.write_intent(folder, {**intent, "run": intent["run"] + 1, "state": "on"})
        assert scans_every_process(world, monkeypatch), "no supervisor has read the intent yet"
    finally:
        supervisor.resume()
    eventually(lambda: not scans_every_process(world, monkeypatch))
    (world.root / f"local-{'0' * 17}").mkdir()
    assert scans_every_process(world, monkeypatch), "the new machine is unknown"


@needs_sandbox
def test_peer_check_scans_every_process_while_a_machine_shares_the_network(
    tmp_path, package_cache, monkeypatch
):
    world = World(tmp_path, package_cache, environ=dict(os.environ) | {MODE_VARIABLE: "host"})
    try:
        id = world.launched(page())
        assert world.report(id)["network"].startswith("shared")
        assert scans_every_process(world, monkeypatch)
    finally:
        world.close()
