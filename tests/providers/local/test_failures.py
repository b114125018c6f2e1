"""A failed start is reported, leaves no process running, and can be repeated."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prism.agent.machine.folder import Folder
from prism.agent.machine.output_logs import Selector
from prism.agent.machine.supervised_machine import SupervisedMachine
from prism.agent.protocol import SPEC, MachineIntent
from prism.providers.local import folder as folders
from prism.templates.model import Service, Template
from prism.workspaces.model import Observed
from tests.disks import mounted
from tests.providers.local.world import PAGE, World, page, script
from tests.waiting import eventually

AGAIN = "`prism workspace start mine"


CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")


def broken(world, id, code):
    """The message of the failure, once no process of the machine runs any more."""
    failure = world.becomes(id, Observed.BROKEN).failure
    assert failure.code == code, failure
    assert AGAIN in failure.message
    eventually(lambda: not world.left())
    return failure.message


def test_missing_package_is_named_and_start_succeeds_after_correction(world):
    wrong = ("no-such-package-of-prism",)
    id = world.launch(Template(name="t", packages={"pip": wrong}, services={"page": PAGE}))
    assert wrong[0] in broken(world, id, "PACKAGE_NOT_FOUND")
    world.change_spec(id, packages=["six"])
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert world.installed(id, "six.py")


def test_package_installation_reports_a_missing_network(world, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    template = page(packages={"pip": ("attrs",)})
    world.compute = World(world.root.parent, world.root.parent / "empty-cache").compute
    message = broken(world, world.launch(template), "NETWORK_UNREACHABLE")
    assert "network" in message


def test_unreachable_package_registry_is_reported_without_its_password(world, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://user:pass@127.0.0.1:{closed.getsockname()[1]}/simple"
        monkeypatch.setenv("UV_DEFAULT_INDEX", address)
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        template = page(packages={"pip": ("attrs",)})
        world.compute = World(world.root.parent, world.root.parent / "empty-cache").compute
        message = broken(world, world.launch(template), "NETWORK_UNREACHABLE")
    assert "user:pass" not in message


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a small disk")
def test_full_disk_is_reported_even_if_no_byte_is_free(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=600k"):
        world = World(disk, disk / "cache")
        id = world.launch(page(packages={"pip": ("pygments",)}))
        assert "room" in broken(world, id, "DISK_FULL")
        (disk / "rest").write_bytes(b"")
        with pytest.raises(OSError, match="space"):
            (disk / "rest").write_bytes(b"x" * 10**6)  # not a byte is left
        world.compute.start(id)
        broken(world, id, "DISK_FULL")
        world.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a small disk")
def test_supervisor_survives_a_full_disk_and_reports_hibernation_later(tmp_path, package_cache):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "size=20m"):
        world = World(disk, package_cache)
        id = world.launched(page())
        programs, watched = world.programs(id), world.supervisor(id)
        os.truncate(world.root / id / "seen.json", 0)
        rest = disk / "rest"
        with rest.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
            while True:
                file.write(b"x" * 4096)
        world.compute.hibernate(id)
        eventually(
            lambda: all(
                program.status() == "stopped" or _is_frozen(program) for program in programs
            )
        )
        assert watched.is_running()
        rest.unlink()
        world.becomes(id, Observed.ASLEEP)
        assert world.supervisor(id) == watched
        world.close()


def _is_frozen(process):
    """Whether its control group is."""
    group = Path(f"/proc/{process.pid}/cgroup").read_text().rpartition("0::/")[2].strip()
    events = [value / group / "cgroup.events" for value in map(Path, CGROUPS)]
    return any("frozen 1" in event.read_text() for event in events if event.exists())


def test_missing_command_of_a_service_is_named(world):
    id = world.launch(Template(name="t", services={"x": Service(command="no-such-x", port=80)}))
    assert "`no-such-x`" in broken(world, id, "COMMAND_NOT_FOUND")


def test_missing_required_program_of_a_service_is_named(world):
    service = Service(command="python -V", port=80, requires=("no-such-y",))
    id = world.launch(Template(name="t", services={"x": service}))
    assert "`no-such-y`" in broken(world, id, "COMMAND_NOT_FOUND")


def test_failed_post_install_reports_exit_code_and_last_output(world):
    template = page(post_install=("echo 'the moon is down' >&2; exit 3",))
    message = broken(world, world.launch(template), "POST_INSTALL_FAILED")
    assert "exit code 3" in message
    assert "the moon is down" in message


def test_changed_template_applies_to_a_machine_that_never_started(world):
    wrong = page(packages={"pip": ("no-such-package-of-prism",)}, post_install=("echo 1 >first",))
    id = world.launch(wrong)
    assert "start mine --template-again`" in broken(world, id, "PACKAGE_NOT_FOUND")
    code = 'print(open("made").read())'
    right = Template(
        name="right",
        packages={"pip": ("six",)},
        post_install=("echo {parameters.word} >made",),
        services={"other": PAGE},
        environment={"SAID": code},
    )
    order = world.spec(right, parameters={"word": "moo"})
    world.compute.change_template(id, order)
    written = (world.root / id / SPEC).stat().st_ino
    world.compute.change_template(id, order)  # any call may be repeated
    assert (world.root / id / SPEC).stat().st_ino == written, "an equal order is not written again"
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    home = world.root / id / "home"
    assert (home / "made").read_text() == "moo\n"
    assert not (home / "first").exists()
    assert world.installed(id, "six.py")
    assert set(world.report(id)["services"]) == {"other"}


def test_failed_supervisor_ends_instead_of_starting_by_its_old_order(world):
    id = world.launch(page(post_install=("false",)))
    broken(world, id, "POST_INSTALL_FAILED")
    held = Folder(world.root / id)
    selector = Selector(os.open(os.devnull, os.O_RDONLY | os.O_NONBLOCK))
    machine = SupervisedMachine(held, selector)  # as the supervisor that saw it fail
    folders.write_intent(world.root / id, MachineIntent(run=2, state="on"))
    world.compute.change_template(id, world.spec(page()))
    machine.step()
    assert machine.is_over, "the next supervisor starts with the new order"
    assert SupervisedMachine(held, selector).is_over is False


def test_crashing_service_fails_the_start_with_exit_code_and_last_output(world):
    sick = script('import sys; sys.exit("I am sick")')
    message = broken(
        world, world.launch(Template(name="t", services={"x": sick})), "SERVICE_FAILED"
    )
    assert "exit code 1" in message
    assert "I am sick" in message


def test_service_that_never_answers_fails_the_start(world):
    mute = script("import time; time.sleep(600)")
    id = world.launch(Template(name="t", post_install=("false",), services={"x": mute}))
    broken(world, id, "POST_INSTALL_FAILED")
    world.change_spec(id, post_install=[], patience=1)
    world.compute.start(id)
    assert "gave no answer" in broken(world, id, "SERVICE_SILENT")


def test_stage_names_a_silent_service_and_its_last_output(world):
    """The stage is in the list, the JSON and the progress bar; `services (85%)` is not enough."""
    mute = script('import time; print("I wait for the moon", flush=True); time.sleep(600)')
    id = world.launch(Template(name="t", services={"page": PAGE, "mute": mute}))

    def stage():
        return world.machine(id).stage or ""

    shown_stage = eventually(lambda: "mute" in stage() and stage(), seconds=180)
    assert shown_stage.startswith("services: mute has not answered on port ")
    assert shown_stage.endswith("its last output: I wait for the moon")
    assert world.machine(id).progress < 100


def test_token_in_the_command_of_a_service_is_refused(world):
    open_hearted = Service(command="python -V {token}", port=80)
    id = world.launch(Template(name="t", services={"x": open_hearted}))
    assert "`environment`" in broken(world, id, "TEMPLATE_INVALID")


def test_port_taken_by_another_program_is_reported_and_replaced_later(tmp_path, package_cache):
    world = World(tmp_path, package_cache, environ={"PRISM_WORKSPACE_NETWORK": "shared"})
    try:
        _check_taken_port(world)
    finally:
        world.close()


def _check_taken_port(world):
    # The stranger listens on the machine's port before the machine's own program can.
    waits = "while [ ! -e {home}/go ]; do sleep 0.02; done; exec python -m http.server {port}"
    service = Service(command=f"sh -c '{waits} --bind 127.0.0.1'", port=80, health="/")
    id = world.launch(Template(name="t", services={"x": service}))
    port = eventually(lambda: world.report(id)["services"]["x"]["port"])
    serve = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    stranger = subprocess.Popen(serve, **quiet)
    try:
        message = broken(world, id, "PORT_TAKEN")
        assert str(port) in message
        (world.root / id / "home" / "go").touch()
        world.compute.start(id)
        world.becomes(id, Observed.ON)
        assert world.report(id)["services"]["x"]["port"] != port
    finally:
        stranger.terminate()
        stranger.wait()


def test_survey_lists_other_machines_beside_a_broken_folder(world):
    id = world.launched(page())
    broken = world.root / f"local-{'0' * 17}"
    shutil.copytree(world.root / id, broken, ignore=lambda _, names: {*names} - {"order.json"})
    (broken / "logs").write_text("no folder")
    seen = {machine.id: machine for machine in world.compute.survey()}
    assert seen[id].observed is Observed.ON
    assert (seen[broken.name].observed, seen[broken.name].failure.code) == (
        Observed.OFF,
        "MACHINE_DIED",
    )
    (broken / "logs").unlink()
