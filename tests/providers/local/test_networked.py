"""When the daemon knows that no sandboxed program is in its own network."""

import os
import shutil
import sys
from typing import cast

import pytest

from prism.agent.network import SHARED, VARIABLE
from prism.agent.protocol import ObservedMachine
from prism.providers.local import folder as folders
from prism.providers.local import workspace_peers
from prism.providers.local.compute import is_networked
from tests.attacks.holding import held
from tests.optional import not_none
from tests.providers.local.world import World, page
from tests.waiting import eventually

SHARES = "shared: `pasta` is not installed"


def said(phase, **kinds):
    """What a supervisor says."""
    return cast(
        ObservedMachine, {"key": "ws_1", "name": "mine", "run": 1, "phase": phase, **kinds}
    )


@pytest.mark.parametrize("phase", ["starting", "on", "stopping", "asleep"])
def test_where_its_supervisor_says_so_of_this_run(phase):
    assert is_networked(said(phase, sandbox="bubblewrap", network="own"))


@pytest.mark.parametrize("phase", ["starting", "on", "stopping", "asleep"])
def test_programs_without_a_sandbox_are_no_concern(phase):
    assert is_networked(said(phase, sandbox="none: switched off", network=None))


@pytest.mark.parametrize(
    "seen",
    [
        said("starting", sandbox=None, network=None),
        said("on"),
        said("on", sandbox="bubblewrap", network=SHARES),
        said("on", sandbox="bubblewrap", network=None),
        said("off", sandbox="bubblewrap", network="own"),
        said("failed", sandbox="bubblewrap", network="own"),
    ],
    ids=["nobody yet", "an older supervisor", "shared", "not said", "an earlier run", "failed"],
)
def test_not_where_it_says_something_else(seen):
    assert not is_networked(seen)


needs_sandbox = pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, ("bwrap", "setsid"))),
    reason="there is no bubblewrap here",
)


def looks_at_everybody(world, monkeypatch):
    """Whether the daemon looks at every process when somebody outside connects to it."""
    looked = []
    whole = workspace_peers.descendants
    with monkeypatch.context() as patched, held() as (_, inode):

        def counted(of):
            looked.append(of)
            return whole(of)

        patched.setattr(workspace_peers, "descendants", counted)
        assert not world.compute.peers.of_a_workspace(inode)
    return bool(looked)


@needs_sandbox
@pytest.mark.skipif(not shutil.which("pasta"), reason="there is no pasta here")
def test_it_looks_at_everybody_as_soon_as_anything_else_may_begin(world, monkeypatch):
    id = world.launched(page())
    if world.said(id)["network"] != "own":
        pytest.skip("no network of its own can be made here")
    assert not looks_at_everybody(world, monkeypatch)
    folder = world.root / id
    intent = not_none(folders.read_intent(folder))
    folders.write_intent(folder, {**intent, "run": intent["run"] + 1, "state": "on"})
    assert looks_at_everybody(world, monkeypatch), "nobody has read this wish yet"
    eventually(lambda: not looks_at_everybody(world, monkeypatch))
    (world.root / f"local-{'0' * 17}").mkdir()
    assert looks_at_everybody(world, monkeypatch), "nobody knows that one yet"


@needs_sandbox
def test_it_looks_at_everybody_while_one_shares_our_network(tmp_path, package_cache, monkeypatch):
    world = World(tmp_path, package_cache, environ=dict(os.environ) | {VARIABLE: SHARED})
    try:
        id = world.launched(page())
        assert world.said(id)["network"].startswith("shared")
        assert looks_at_everybody(world, monkeypatch)
    finally:
        world.close()
