"""What a computer has and what workspaces hold of it, from their files and `nvidia-smi`."""

import pytest

from prism.agent.machine.folder import Folder
from prism.agent.machine.machine_config import MachineConfig
from prism.agent.machine.slots import (
    GpuClaims,
    GpusUnknown,
    NoRoom,
    choose,
    gpus,
    gpus_of,
    hidden_devices,
    slot_of,
    totals,
)
from prism.agent.protocol import LocalMachineSpec
from prism.agent.sandbox import bubblewrap

ONE, TWO = "GPU-8f6d4ae8-0b4c-11ee-be56-0242ac120002", "GPU-9a1b2c3d-0b4c-11ee-be56-0242ac120002"
LISTED = f"{ONE}, NVIDIA A100-SXM4-40GB, 40960\n{TWO}, NVIDIA GB10, [N/A]\n"
SPEC = {"name": "train", "limits": {"cpus": 4, "memory_mb": 16384, "gpus": 1}, "gpus": [ONE]}


def room(*holders, listed=LISTED, programs=""):
    known = gpus_of(listed, programs)
    return {"cpus": 16, "memory_mb": 65536, "gpus": known, "holders": list(holders)}


def holder(name="train", cpus=4, memory_mb=16384, granted=(ONE,)):
    return {
        "id": name,
        "name": name,
        "cpus": cpus,
        "memory_mb": memory_mb,
        "gpus": list(granted),
    }


def test_gpus_are_read_in_the_format_of_nvidia_smi():
    first, second = gpus_of(LISTED, f"{TWO}, 1234\n")
    assert first == {
        "id": ONE,
        "name": "NVIDIA A100-SXM4-40GB",
        "memory_mb": 40960,
        "is_used": False,
    }
    assert (second["memory_mb"], second["is_used"]) == (0, True)
    assert gpus_of("Failed to initialize NVML: Driver/library version mismatch\n", "") == []


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'Failed to initialize NVML: Unknown Error'; exit 255", "Unknown Error"),
        ("exit 9", "fails"),
    ],
)
def test_nvidia_smi_that_fails_does_not_say_that_there_is_no_gpu(tmp_path, script, says):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    with pytest.raises(GpusUnknown, match=says):
        gpus(str(tmp_path))
    program.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert gpus(str(tmp_path)) == []


STATES = [
    ({"run": 1, "state": "on"}, None, True),
    ({"run": 1, "state": "off"}, None, False),
    ({"run": 1, "state": "on"}, {"run": 1, "phase": "on"}, True),
    ({"run": 1, "state": "on"}, {"run": 1, "phase": "failed"}, False),
    ({"run": 2, "state": "off"}, {"run": 1, "phase": "on"}, True),  # it has not stopped yet
    ({"run": 2, "state": "off"}, {"run": 2, "phase": "stopping"}, True),
    ({"run": 2, "state": "off"}, {"run": 2, "phase": "off"}, False),
    ({"run": 3, "state": "on"}, {"run": 2, "phase": "off"}, True),
    ({"run": 2, "state": "asleep"}, {"run": 2, "phase": "asleep"}, True),
    ({"run": 2, "state": "gone"}, {"run": 1, "phase": "on"}, True),
    ({"run": 2, "state": "gone"}, {"run": 2, "phase": "gone"}, False),
]


@pytest.mark.parametrize(("intent", "report", "holds"), STATES)
def test_slot_is_held_from_the_request_until_the_report_that_it_is_down(intent, report, holds):
    slot = slot_of("ssh-1", SPEC, intent, report)
    assert (slot is not None) == holds
    if slot:
        assert (slot["name"], slot["cpus"], slot["gpus"]) == ("train", 4, [ONE])


def test_free_gpus_are_given_and_used_ones_are_not():
    assert choose(room(), {"gpus": 1}) == [ONE]
    assert choose(room(holder()), {"gpus": 1}) == [TWO]
    assert choose(room(programs=f"{ONE}, 77"), {"gpus": 1}) == [TWO]
    assert choose(room(), {}) == []


def test_refusal_says_what_is_free_and_who_holds_the_rest():
    full = room(holder(), programs=f"{ONE}, 12\n{TWO}, 77\n")
    with pytest.raises(NoRoom) as refusal:
        choose(full, {"cpus": 4, "memory_mb": 16384, "gpus": 1})
    assert str(refusal.value) == (
        "there is no room for it: it needs 1 GPU, 4 CPUs, 16 GB; "
        "free are 0 of 2 GPUs, 12 of 16 CPUs, 48 of 64 GB"
    )
    assert refusal.value.held == (
        "your workspaces hold train (1 GPU, 4 CPUs, 16 GB); 1 of the GPUs is used by others"
    )
    with pytest.raises(NoRoom, match="6 of 16 CPUs"):
        choose(room(holder(cpus=10)), {"cpus": 8})
    with pytest.raises(NoRoom, match="4 of 64 GB"):
        choose(room(holder(memory_mb=61440)), {"memory_mb": 8192})


def test_workspace_larger_than_the_computer_gets_all_of_it():
    assert choose(room(), {"cpus": 64, "memory_mb": 1 << 20}) == []
    with pytest.raises(NoRoom):
        choose(room(holder(cpus=1, memory_mb=0, granted=())), {"cpus": 64})


def test_variables_say_how_much_of_a_server_may_be_used():
    assert totals({"PRISM_SERVER_CPUS": "6", "PRISM_SERVER_MEMORY_GB": "12"}) == (6, 12288)
    cpus, memory = totals({"PRISM_SERVER_CPUS": "all", "PRISM_SERVER_MEMORY_GB": ""})
    assert cpus >= 1
    assert memory > 100


def visible(folder, gpus=None):
    """The variable of programs of a workspace whose template sets it too."""
    environment = {"CUDA_VISIBLE_DEVICES": "all"}
    spec: LocalMachineSpec = {"key": "ws", "name": "m", "environment": environment}
    if gpus is not None:
        spec["gpus"] = gpus
    return MachineConfig(spec, Folder(folder)).program_environment()["CUDA_VISIBLE_DEVICES"]


def test_programs_see_only_their_own_gpus(tmp_path):
    assert visible(tmp_path / "m", gpus=[ONE]) == ONE
    assert visible(tmp_path / "m", gpus=[]) == ""
    assert visible(tmp_path / "m") == "all"


def test_devices_of_other_gpus_are_hidden(tmp_path, monkeypatch):
    for number, gpu in enumerate((ONE, TWO)):
        path = tmp_path / f"0000:{number}7:00.0"
        path.mkdir()
        (path / "information").write_text(
            f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 24\nGPU UUID: \t {gpu}\n"
            f"Bus Location: \t 0000:{number}7:00.0\nDevice Minor: \t {1 - number}\n"
        )
    assert hidden_devices([ONE], tmp_path) == {"nvidia0"}
    assert hidden_devices([], tmp_path) == {"nvidia0", "nvidia1"}
    assert hidden_devices(None, tmp_path) == set()
    monkeypatch.setattr(
        "prism.agent.sandbox.bubblewrap.hidden_devices", lambda granted: {"nvidia0"}
    )
    names = ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "dri", "null"]
    monkeypatch.setattr("os.listdir", lambda folder: names)
    assert bubblewrap.accelerators([ONE]) == ["/dev/nvidia-uvm", "/dev/nvidia1", "/dev/nvidiactl"]


def test_claim_of_a_gpu_is_seen_by_others_and_ends_with_its_holder(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f"#!/bin/sh\ncase $1 in --query-gpu=*) echo '{ONE}, NVIDIA A100, 40960' ;; esac\n"
    )
    program.chmod(0o700)
    claims, later_claims = GpuClaims(), GpuClaims()
    assert claims.take([ONE]) is None
    assert [gpu["is_used"] for gpu in gpus(str(tmp_path))] == [True]
    assert later_claims.take([TWO, ONE]) == ONE
    claims.release()
    assert [gpu["is_used"] for gpu in gpus(str(tmp_path))] == [False]
    assert later_claims.take([ONE]) is None
    later_claims.release()
