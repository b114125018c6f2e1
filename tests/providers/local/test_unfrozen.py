"""A machine that cannot be frozen keeps running, and its hibernation is refused."""

import json

import pytest

from prism.agent.protocol import MachineIntent
from prism.providers.local import supervision
from prism.providers.local.compute import LocalCompute
from prism.providers.local.folder import read_intent, write_intent
from prism.workspaces.model import HibernationNotSupported
from prism.workspaces.ports import ProviderRefused
from tests.optional import not_none

ID = f"local-{'0' * 17}"
WHY = "process 7 does not stop; it continues to run"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / ID
    folder.mkdir()
    monkeypatch.setattr(supervision, "ensure", lambda *_: None)  # no supervisor is started
    write_intent(
        folder, MachineIntent(run=2, state="asleep", expires_at=99.0, expire_action="stop")
    )
    return folder


def write_report(folder, run, phase="on", code="CANNOT_HIBERNATE"):
    failure = {"code": code, "message": WHY}
    seen = {"key": "ws_1", "name": "mine", "phase": phase, "run": run, "failure": failure}
    (folder / "seen.json").write_text(json.dumps(seen))


def test_failed_hibernation_is_refused_and_a_new_request_tries_again(folder):
    write_report(folder, run=2)
    compute = LocalCompute(folder.parent)
    with pytest.raises(ProviderRefused, match="process 7") as caught:
        compute.hibernate(ID)
    assert isinstance(caught.value, HibernationNotSupported)
    assert read_intent(folder) == MachineIntent(
        run=3, state="on", expires_at=99.0, expire_action="stop"
    )
    compute.hibernate(ID)
    assert not_none(read_intent(folder))["run"] == 4, "a new request is tried again"
    assert not_none(read_intent(folder))["state"] == "asleep"


@pytest.mark.parametrize(
    "seen", [{"run": 1}, {"run": 2, "phase": "asleep"}, {"run": 2, "code": "MACHINE_FAILED"}]
)
def test_hibernation_is_not_refused_because_of_another_report(folder, seen):
    write_report(folder, **seen)
    LocalCompute(folder.parent).hibernate(ID)
    assert not_none(read_intent(folder))["state"] == "asleep"
