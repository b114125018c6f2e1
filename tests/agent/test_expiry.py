"""What a machine makes of its expiry where its programs, played here, cannot be frozen."""

import json
import time

import pytest

from prism.agent.folder import Folder
from prism.agent.freezer import CannotFreeze, Signals
from prism.agent.output_logs import Selector
from prism.agent.process_group import ProcessGroup
from prism.agent.supervised_machine import SupervisedMachine


class Stubborn(Signals):
    """A freezer of programs that do not stop."""

    def freeze(self):
        raise CannotFreeze("process 7 does not stop")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One that is on, and what its programs were asked."""
    (tmp_path / "order.json").write_text(json.dumps({"name": "mine", "services": {}}))
    (tmp_path / "seen.json").write_text(json.dumps({"phase": "on", "run": 1}))
    wants(tmp_path, 1, "on", None)
    monkeypatch.setattr(ProcessGroup, "end", lambda *_: iter(()))
    machine = SupervisedMachine(Folder(tmp_path), Selector(-1))
    machine.process_group._freezer = Stubborn()
    return machine


def wants(path, run, state, expires_at):
    wish = {"run": run, "state": state, "expires_at": expires_at, "expire_action": "hibernate"}
    (path / "wanted.new").write_text(json.dumps(wish))
    (path / "wanted.new").replace(path / "wanted.json")


def said(machine):
    """What it says after some steps."""
    for _ in range(10):
        machine.step()
    machine.say()
    return json.loads((machine.folder.path / "seen.json").read_text())


@pytest.mark.parametrize(("run", "state"), [(1, "on"), (2, "asleep")])
def test_what_has_expired_and_cannot_be_frozen_is_stopped_and_says_so(machine, run, state):
    """Also where the daemon says it in the same moment."""
    wants(machine.folder.path, run, state, time.time() - 1)
    seen = said(machine)
    assert (seen["phase"], seen["failure"]["code"]) == ("off", "CANNOT_HIBERNATE")
    assert "has expired, so it was stopped" in seen["failure"]["message"]
    assert "prism workspace start mine" in seen["failure"]["message"]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_failed_hibernation_by_request_continues_to_run(machine, hours):
    """Before its expiry, and after it by somebody who had started it again."""
    at = time.time() + 3600 * hours
    machine._expired = at if hours < 0 else None
    wants(machine.folder.path, 2, "asleep", at)
    seen = said(machine)
    assert (seen["phase"], seen["failure"]["code"]) == ("on", "CANNOT_HIBERNATE")
    assert "it continues to run" in seen["failure"]["message"]
