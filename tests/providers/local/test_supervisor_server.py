"""Supervisors as forks of one process: they outlive it, and look like programs."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from prism.providers.local.supervisor_server import MAX_REQUEST_BYTES, SupervisorServer
from prism.workspaces.model import Observed
from tests.processes import with_words
from tests.providers.local.world import World, page
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are programs")
SUPERVISOR = "/prism/agent/supervisor.py"


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "prism", tmp_path / "cache", environ={"PRISM_TEST_MARK": "1"})
    world.compute.listen()
    yield world
    world.close()


@pytest.fixture
def servers():
    """Lists the servers that this test has started."""

    def running():
        return with_words(psutil.Process().children(), "supervisor_server.py")

    before = running()
    return lambda: [process for process in running() if process not in before]


def test_supervisor_shows_its_own_command_line_and_outlives_the_server(servers, world):
    id = world.launched(page())
    [server] = servers()
    supervisor = world.supervisor(id)
    _, *_, program, folder = supervisor.cmdline()
    assert program.endswith(SUPERVISOR) and folder == str(world.root / id)
    assert "" not in supervisor.cmdline()
    assert len(server.children()) == 0, "it waits for nobody"
    world.compute.close()
    assert not psutil.pid_exists(server.pid)
    assert supervisor.is_running()
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    eventually(lambda: not supervisor.is_running() or supervisor.status() == "zombie")


def test_one_server_forks_all_supervisors_with_the_current_variables(servers, world):
    first = world.launched(page())
    [server] = servers()
    world.compute.environ = {"PRISM_WORKSPACE_NETWORK": "shared"}
    second = world.launched(page(), key="ws_2")
    assert servers() == [server]
    assert world.report(second)["network"] == "shared: PRISM_WORKSPACE_NETWORK is shared"
    assert world.report(first)["network"] != world.report(second)["network"]
    for id in (first, second):
        opened = {path for path, *_ in world.supervisor(id).open_files()}
        assert str(world.root / id / "lock") in opened
        assert world.supervisor(id).ppid() != server.pid


def test_killed_server_is_replaced(servers, world):
    id = world.launched(page())
    [server] = servers()
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    for key in ("ws_2", "ws_3"):
        assert world.launched(page(), key=key)
    assert world.supervisor(id).is_running()
    assert [process.pid != server.pid for process in servers()] == [True]


def test_failed_start_has_an_exit_code_and_a_closed_server_starts_nothing(tmp_path):
    server = SupervisorServer(tmp_path, 20)
    try:
        started = server.start(tmp_path / "nothing", {})
        assert started is not None
        assert started.wait(60) != 0, "there is no such folder"
    finally:
        server.close()
    assert server.start(tmp_path, {}) is None, "it is closed"


def test_unanswered_start_times_out(servers, tmp_path):
    server = SupervisorServer(tmp_path, 20)
    try:
        assert server.start(tmp_path, {"X": "y" * MAX_REQUEST_BYTES}) is None
        first = server.start(tmp_path / "nothing", {})
        assert first is not None
        first.wait(60)
        [process] = servers()
        process.suspend()
        started = server.start(tmp_path / "nothing", {})
        assert started is not None
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(0.01)
        started.kill()
        assert started.wait() != 0
        process.resume()
    finally:
        server.close()
