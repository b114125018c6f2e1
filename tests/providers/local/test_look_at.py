"""One machine, looked at without a survey of all others."""

import pytest

from prism.workspaces.model import Observed
from prism.workspaces.ports import LooksAtOne
from tests.providers.local.world import page
from tests.waiting import eventually


def test_it_is_as_a_survey_shows_it_unless_only_a_survey_can_tell(world):
    assert isinstance(world.compute, LooksAtOne)
    id = world.launched(page())
    assert world.compute.look_at(id) == world.machine(id)
    supervisor = world.supervisor(id)
    supervisor.kill()
    eventually(lambda: not supervisor.is_running())
    assert world.compute.look_at(id) is None
    assert world.machine(id).seen is Observed.OFF
    assert world.compute.look_at(id) == world.machine(id)


@pytest.mark.parametrize("id", [f"local-{'0' * 17}", "..", "../workspaces", "local-1/.."])
def test_what_is_no_machine_is_not_looked_at(world, id):
    assert world.compute.look_at(id) is None
