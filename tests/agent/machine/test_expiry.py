"""Expiry of a local machine whose programs cannot be frozen."""

import errno
import json
import os
import time

import pytest

from prism.agent.machine.folder import Folder
from prism.agent.machine.output_logs import Selector
from prism.agent.machine.process_group import ProcessGroup
from prism.agent.machine.supervised_machine import SupervisedMachine
from prism.agent.system.freezer import CannotFreeze, Signals


class FailingFreezer(Signals):
    """A freezer of programs that do not stop."""

    def freeze(self):
        raise CannotFreeze("process 7 does not stop")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that is on and cannot be frozen."""
    (tmp_path / "order.json").write_text(json.dumps({"name": "mine", "services": {}}))
    (tmp_path / "seen.json").write_text(json.dumps({"phase": "on", "run": 1}))
    write_intent(tmp_path, 1, "on", None)
    monkeypatch.setattr(ProcessGroup, "end", lambda *_: iter(()))
    machine = SupervisedMachine(Folder(tmp_path), Selector(-1))
    machine.process_group._freezer = FailingFreezer()
    return machine


def write_intent(path, run, state, expires_at):
    wish = {"run": run, "state": state, "expires_at": expires_at, "expire_action": "hibernate"}
    (path / "wanted.new").write_text(json.dumps(wish))
    (path / "wanted.new").replace(path / "wanted.json")


def report_after_steps(machine):
    """The report of the machine after some steps."""
    for _ in range(10):
        machine.step()
    machine.write_report()
    return json.loads((machine.folder.path / "seen.json").read_text())


@pytest.mark.parametrize(("run", "state"), [(1, "on"), (2, "asleep")])
def test_expired_machine_is_stopped_when_it_cannot_be_frozen(machine, run, state):
    """Also if the daemon requests hibernation at the same moment."""
    write_intent(machine.folder.path, run, state, time.time() - 1)
    seen = report_after_steps(machine)
    assert (seen["phase"], seen["failure"]["code"]) == ("off", "CANNOT_HIBERNATE")
    assert "has expired, so it was stopped" in seen["failure"]["message"]
    assert "prism workspace start mine" in seen["failure"]["message"]


@pytest.mark.parametrize("hours", [1, -1])
def test_machine_continues_to_run_when_a_requested_hibernation_fails(machine, hours):
    """Before its expiry, and after it if the machine was started again."""
    at = time.time() + 3600 * hours
    machine._expired = at if hours < 0 else None
    write_intent(machine.folder.path, 2, "asleep", at)
    seen = report_after_steps(machine)
    assert (seen["phase"], seen["failure"]["code"]) == ("on", "CANNOT_HIBERNATE")
    assert "it continues to run" in seen["failure"]["message"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_error_of_a_full_disk_or_quota_is_reported_as_a_full_disk(machine, monkeypatch, code):
    def fail():
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(machine._mounts, "step", fail)
    # It ends all descendants of this process, and so what other tests share.
    monkeypatch.setattr(machine.process_group, "kill", lambda: None)
    assert report_after_steps(machine)["failure"]["code"] == "DISK_FULL"
