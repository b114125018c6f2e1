"""GPUs of this computer, one for each workspace whose machine type has one."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from prism.providers.local import folder as folders
from prism.providers.local.offer import machine_id
from prism.workspaces.model import Observed
from prism.workspaces.ports import ProviderRefused
from tests.optional import not_none
from tests.providers.local.world import page

OWN = f"{uuid4()}"[8:]  # names of sockets in the kernel say who has one: not another test
GPUS = [f"GPU-{number:08x}{OWN}" for number in range(2)]


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    program = tmp_path / "tools" / "nvidia-smi"
    program.parent.mkdir()
    listed = "\\n".join(f"{gpu}, NVIDIA A100, 40960" for gpu in GPUS)
    program.write_text(f"#!/bin/sh\ncase $1 in --query-gpu=uuid,*) printf '{listed}\\n' ;; esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def given(world, key):
    return not_none(folders.read_spec(world.root / machine_id(key))).get("gpus")


def stop(world, id):
    world.becomes(id, Observed.ON)
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)


def test_race_gives_no_gpu_twice_and_a_stopped_one_returns_it(two_gpus, world):
    def attempt(number):
        try:
            world.launch(page(), f"ws_{number}", name=f"m{number}", instance_type="g4dn.xlarge")
        except ProviderRefused as refused:
            return str(refused.details)
        return ""

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(attempt, range(6)))
    assert sum("your workspaces hold m" in answer for answer in answers) == 4
    winners = [f"ws_{n}" for n, answer in enumerate(answers) if not answer]
    assert sorted(given(world, key)[0] for key in winners) == GPUS
    freed = given(world, winners[0])
    stop(world, machine_id(winners[0]))
    id = world.launched(page(), key="ws_later", instance_type="g4dn.xlarge")
    assert given(world, "ws_later") == freed
    with pytest.raises(ProviderRefused, match="0 of 2 GPUs"):
        world.compute.start(machine_id(winners[0]))
    stop(world, id)
    world.compute.start(machine_id(winners[0]))
    assert given(world, winners[0]) == freed


def test_workspace_without_a_gpu_is_limited_to_none(two_gpus, world):
    id = world.launch(page())
    assert "gpus" not in not_none(folders.read_spec(world.root / id))
