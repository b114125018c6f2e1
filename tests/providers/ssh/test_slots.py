"""GPUs, CPUs and memory of a real lab server, handed out under its lock."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from prism.providers.local.ssh.gate import SshGate
from prism.providers.ssh.compute import LabCompute, machine_id
from prism.providers.ssh.server import LabServer
from prism.providers.tunnels.forwards import Forwards
from prism.workspaces.model import Observed
from prism.workspaces.ports import ProviderRefused
from tests.optional import not_none
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.lab import Lab
from tests.providers.ssh.test_compute import SPEC
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

pytestmark = LAB
GPU = replace(SPEC, instance_type="g4dn.xlarge")


def gpu_spec(number: int):
    """The spec of one of many workspaces with a GPU."""
    return replace(GPU, key=f"ws_{number}", name=f"train{number}")


def connected(server: LabServer, folder: Path) -> LabCompute:
    """A daemon's machines on the server."""
    return LabCompute(
        server,
        SshGate(folder),
        folder / "ports",
        remembered=timedelta(hours=1),
        forwards=Forwards(server),
    )


@pytest.fixture
def gpu_lab(lab: Lab) -> Lab:
    """The server, with four GPUs."""
    lab.stop()
    lab.plug_in(4)
    lab.start()
    return lab


@pytest.fixture
def computes(gpu_lab: Lab, tmp_path: Path) -> Iterator[list[LabCompute]]:
    """Two daemons of the same account, with four GPUs on the server."""
    servers = [LabServer("gpu1"), LabServer("gpu1")]
    daemons = [connected(server, tmp_path / str(n)) for n, server in enumerate(servers)]
    yield daemons
    for compute, server in zip(daemons, servers, strict=True):
        compute.forwards.close()
        server.close()


def holders(compute: LabCompute) -> dict[str, list[str]]:
    """The GPUs that are held, by the name of the workspace."""
    compute.survey()
    return {slot["name"]: slot["gpus"] for slot in not_none(compute.room)["holders"]}


def reaches(compute: LabCompute, number: int, observed: Observed) -> None:
    """Wait until a machine is in a state."""
    id = machine_id(f"ws_{number}")
    eventually(lambda: {m.id: m.observed for m in compute.survey()}.get(id) is observed)


def test_race_of_two_daemons_gives_no_gpu_twice(computes, gpu_lab):
    def attempt(number: int) -> str:
        try:
            computes[number % 2].launch(gpu_spec(number))
        except ProviderRefused as refused:
            return refused.message
        return ""

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(20)))
    refusals = [answer for answer in answers if answer]
    assert len(refusals) == 16, answers
    for refusal in refusals:
        assert "0 of 4 GPUs" in refusal
        assert "your workspaces hold train" in refusal
    held = holders(computes[0])
    assert sorted(gpu for granted in held.values() for gpu in granted) == gpu_lab.gpus
    assert holders(computes[1]) == held
    assert len(computes[0].survey()) == 4, "a refused launch leaves no folder"


def test_gpus_return_at_a_stop_a_failure_a_reboot_and_a_termination(computes, gpu_lab):
    compute = computes[0]
    for number in range(4):
        compute.launch(gpu_spec(number))
    for number in range(4):
        reaches(compute, number, Observed.ON)
    compute.stop(machine_id("ws_0"))
    compute.terminate(machine_id("ws_1"))
    reaches(compute, 0, Observed.OFF)
    reaches(compute, 1, Observed.GONE)
    assert set(holders(compute)) == {"train2", "train3"}
    supervisors = [p for p in gpu_lab.programs() if machine_id("ws_2") in " ".join(p.cmdline())]
    os.kill(next(p.pid for p in supervisors if "supervisor.py" in " ".join(p.cmdline())), 9)
    eventually(lambda: set(holders(compute)) == {"train3"})
    gpu_lab.reboot()
    eventually(lambda: not holders(compute))
    compute.start(machine_id("ws_0"))
    compute.start(machine_id("ws_3"))
    held = holders(compute)
    assert sorted(held) == ["train0", "train3"]
    assert len({*held["train0"], *held["train3"]}) == 2


def test_gpu_that_somebody_else_uses_counts_as_taken(computes, gpu_lab):
    gpu_lab.use(gpu_lab.gpus[0])
    for number in range(3):
        computes[0].launch(gpu_spec(number))
    granted = [gpu for gpus in holders(computes[0]).values() for gpu in gpus]
    assert sorted(granted) == gpu_lab.gpus[1:]
    with pytest.raises(ProviderRefused, match="1 of the GPUs is used by others"):
        computes[1].launch(gpu_spec(3))


def test_started_again_it_waits_for_no_gpu_and_says_who_has_it(computes, gpu_lab):
    compute = computes[0]
    for number in range(4):
        compute.launch(gpu_spec(number))
    reaches(compute, 0, Observed.ON)
    compute.stop(machine_id("ws_0"))
    reaches(compute, 0, Observed.OFF)
    compute.launch(gpu_spec(9))
    with pytest.raises(ProviderRefused, match=r"workspaces hold .*train9"):
        compute.start(machine_id("ws_0"))
    reaches(compute, 0, Observed.OFF)


def test_life_with_a_gpu(gpu_lab, tmp_path):
    home = LabHome(tmp_path / "prism", gpu_lab)
    try:
        with home.run_daemon():
            home.begin("--gpu-hour", "0.5")
            for name in "abcd":
                home.must("launch", "plain-shell", name, "--instance-type", "g4dn.xlarge")
            assert home.client.workspaces.get("a").hourly_rate == pytest.approx(0.5)
            ask = "echo $CUDA_VISIBLE_DEVICES"
            visible_gpus = [home.inside(name, ask).strip() for name in "abcd"]
            assert sorted(visible_gpus) == gpu_lab.gpus
            done = home.cli("launch", "plain-shell", "e", "--instance-type", "g4dn.xlarge")
            assert done.returncode != 0
            assert "0 of 4 GPUs" in done.stderr
            assert "a (1 GPU, 4 CPUs, 16 GB)" in done.stderr
            home.must("launch", "plain-shell", "plain")
            assert home.inside("plain", "echo [$CUDA_VISIBLE_DEVICES]").strip() == "[]"
            home.must("stop", "b")
            eventually(lambda: home.state("b") == "stopped")
            home.must("launch", "plain-shell", "e", "--instance-type", "g4dn.xlarge")
            assert home.inside("e", "echo $CUDA_VISIBLE_DEVICES").strip() == visible_gpus[1]
    finally:
        home.clear()
