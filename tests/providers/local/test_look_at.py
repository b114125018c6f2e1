"""`look_at` reads one machine without a survey of the others."""

from types import SimpleNamespace
from typing import Any

import pytest

from prism.connections.ports import Address
from prism.providers.local.compute import LocalCompute
from prism.workspaces.model import Observed
from prism.workspaces.ports import SingleMachineSurvey
from tests.providers.local.world import page
from tests.waiting import eventually


def test_look_at_equals_the_survey_except_right_after_a_supervisor_died(world):
    assert isinstance(world.compute, SingleMachineSurvey)
    id = world.launched(page())
    assert world.compute.look_at(id) == world.machine(id)
    supervisor = world.supervisor(id)
    supervisor.kill()
    eventually(lambda: not supervisor.is_running())
    assert world.compute.look_at(id) is None
    assert world.machine(id).observed is Observed.OFF
    assert world.compute.look_at(id) == world.machine(id)


@pytest.mark.parametrize("id", [f"local-{'0' * 17}", "..", "../workspaces", "local-1/.."])
def test_look_at_returns_none_for_an_id_that_is_not_a_machine(world, id):
    assert world.compute.look_at(id) is None


def test_published_ports_are_forgotten_once_their_gateway_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("prism.providers.local.compute.publish", lambda network, port: port + 1)
    compute = LocalCompute(tmp_path)
    for number in range(3):
        (tmp_path / (id := f"local-{number:017x}")).mkdir()
        gateway = tmp_path / id / "gateway"
        gateway.touch()
        assert (
            compute.published(
                id, Address(host="127.0.0.1", port=80, listener="1", network=str(gateway))
            )
            == 81
        )
        gateway.unlink()
    assert [id for id, _ in compute._published] == [id]


def test_machine_that_a_survey_forgets_meanwhile_is_not_missed(tmp_path):
    compute, id = LocalCompute(tmp_path), f"local-{'0' * 17}"

    class Forgotten(dict[str, Any]):
        def __contains__(self, id):
            compute._cached = {}
            return super().__contains__(id)

    compute._cached = Forgotten({id: SimpleNamespace(machine=None)})
    assert compute.found([id]) == [], "its folder is gone, too"
