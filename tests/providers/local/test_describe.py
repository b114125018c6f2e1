"""`describe` writes changed metadata into the folder of a machine."""

import os
import sys
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from prism.providers.local.adoption import machine_of_folder
from prism.providers.local.folder_setup import (
    MachineOptions,
    change_type,
    describe,
    make,
    update_installation,
)
from prism.templates.model import Template
from prism.workspaces.model import Observed
from prism.workspaces.ports import Machine, MachineSpec

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ORDER = MachineSpec(
    key="ws_1",
    name="mine",
    project="bees",
    budget="grant",
    idle_profile="batch",
    launched_at=NOON,
    template=Template(name="plain-shell"),
    instance_type="t3.medium",
    root_gb=8,
    hibernation=True,
)
CHANGED = replace(ORDER, project="reef", budget=None, idle_profile="standard", ends_at=NOON)


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "local-1", ORDER, MachineOptions(cache=tmp_path / "cache"))
    return tmp_path / "local-1"


def found(folder):
    return machine_of_folder(folder, Machine(id="local-1", key="ws_1", observed=Observed.OFF))


def test_describe_updates_the_fields_that_may_change_and_no_other(folder):
    before = found(folder)
    describe(folder, CHANGED)
    assert found(folder) == replace(
        before, project="reef", budget=None, idle_profile="standard", ends_at=NOON
    )


def test_describe_does_not_rewrite_an_unchanged_order(folder):
    path = folder / "order.json"
    describe(folder, CHANGED)
    written = path.stat().st_ino
    describe(folder, CHANGED)
    assert path.stat().st_ino == written


def test_describe_ignores_the_requested_instance_type(folder):
    change_type(folder, "t3.large")
    describe(folder, replace(CHANGED, instance_type="t3.xlarge"))
    assert found(folder).instance_type == "t3.large"


def test_describe_completes_the_order_of_an_older_version(folder):
    path = folder / "order.json"
    order = msgspec.json.decode(path.read_bytes())
    del order["launched"]
    path.write_bytes(msgspec.json.encode(order))
    describe(folder, CHANGED)
    assert (found(folder).project, found(folder).ends_at) == ("reef", NOON)


def test_order_of_another_installation_gets_the_present_paths(folder, tmp_path):
    path = folder / "order.json"
    before = msgspec.json.decode(path.read_bytes())
    older = {"uv": "/gone/uv", "python": "/gone/python", "reachable": ["/gone", str(tmp_path)]}
    path.write_bytes(msgspec.json.encode(before | older))
    update_installation(folder)
    order = msgspec.json.decode(path.read_bytes())
    assert (order["python"], os.path.exists(order["uv"])) == (sys.executable, True)
    assert order["reachable"][0] == str(tmp_path), "its environment may need what still exists"
    assert {*before["reachable"]} < {*order["reachable"]}
    assert "/gone" not in order["reachable"]


def test_describe_ignores_a_missing_folder(tmp_path):
    describe(tmp_path / "gone", CHANGED)
    assert not (tmp_path / "gone").exists()
