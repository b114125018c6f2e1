"""Documents that a lab server, or a workspace there without a sandbox, spoils on purpose."""

import json
import os
from contextlib import suppress

import pytest

from prism.errors import Problem
from prism.providers.ssh.compute import machine_id
from prism.workspaces.model import Observed
from tests.optional import not_none
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_compute import ID, SPEC, becomes, compute

pytestmark = LAB
__all__ = ["compute"]
REPORT = {"key": "ws_2", "name": "two", "phase": "off", "run": 1}
ORDER = {"key": "ws_2", "name": "two"}
ON = {"run": 2, "state": "on"}
DUE = {"run": 1, "state": "off", "expires_at": 1e300}
LONG = {"code": "X" * 9, "message": "m" * 900000}
SPOILED = {
    "since": {"seen.json": {**REPORT, "since": 1e300}},
    "year": {"seen.json": {**REPORT, "since": 1e12}},
    "up": {"seen.json": {**REPORT, "up": -1e15}},
    "nan": {"seen.json": {**REPORT, "since": float("nan")}},
    "infinity": {"seen.json": {**REPORT, "up": float("inf")}},
    "progress": {"seen.json": {**REPORT, "progress": 10**25}},
    "surrogate": {"seen.json": {**REPORT, "name": "\ud800"}},
    "failure": {"seen.json": {**REPORT, "failure": {}}},
    "long": {"seen.json": {**REPORT, "failure": LONG}},
    "due": {"wanted.json": DUE},
    "cpus": {"order.json": {**ORDER, "limits": {"cpus": float("inf")}}, "wanted.json": ON},
    "memory": {"order.json": {**ORDER, "limits": {"memory_mb": 1e300}}, "wanted.json": ON},
}


@pytest.mark.parametrize("documents", SPOILED.values(), ids=SPOILED)
def test_spoiled_document_hides_no_other_machine_and_no_room(compute, lab, documents):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    folder = lab.home / ".prism-server/workspaces" / machine_id("ws_2")
    folder.mkdir()
    plain = {"seen.json": REPORT, "order.json": ORDER, "wanted.json": {}}
    for name, content in {**plain, **documents}.items():
        (folder / name).write_text(json.dumps(content))
    for path in (folder, *folder.iterdir()):
        os.chown(path, lab.uid, lab.uid)
    assert [each.id for each in compute.survey() if each.observed is Observed.ON] == [ID]
    assert not_none(compute.room)["cpus"] == 64


@pytest.mark.parametrize("time", [1e300, 1e12, -1e14])
def test_absurd_clock_of_a_server_ends_no_survey(compute, lab, time):
    compute.launch(SPEC)
    becomes(compute, Observed.ON)
    [program] = lab.home.glob(".prism-server/agent/*/prism/agent/lab/host.py")
    text = program.read_text()
    clock = '"time": time.time(),\n            "machines"'
    assert clock in text
    program.write_text(text.replace(clock, f'"time": {time!r},\n            "machines"'))
    with suppress(Problem):
        assert [each.id for each in compute.survey()] == [ID]
