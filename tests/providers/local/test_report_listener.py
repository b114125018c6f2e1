"""The daemon hears of changes of machines without a survey."""

import os
import socket
import subprocess
import threading
from math import inf

import pytest

from prism.agent.protocol import REPORTS_SOCKET, socket_address
from prism.providers.local.report_listener import ReportListener
from prism.workspaces.model import Observed
from tests.providers.local.world import World, page
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has handles")


class Heard:
    """The names that a listener was told, and a folder for its socket."""

    def __init__(self, folder):
        self.folder, self.names, self._new = folder, [], threading.Event()
        self.listener = ReportListener(folder, self._add)

    def _add(self, names):
        self.names += sorted(names)
        self._new.set()

    def send(self, name):
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
            socket_address(self.folder, REPORTS_SOCKET) as address,
        ):
            sender.sendto(name, address)

    def next(self):
        """The names that were told since the last call; waits for one."""
        assert self._new.wait(60)
        self._new.clear()
        names, self.names = self.names, []
        return names


@pytest.fixture
def heard(tmp_path):
    heard = Heard(tmp_path / ("long" * 40))  # longer than the path of a socket may be
    heard.folder.mkdir()
    yield heard
    heard.listener.stop()


def test_names_that_supervisors_send_are_heard(heard):
    heard.listener.start()
    assert (heard.folder / REPORTS_SOCKET).stat().st_mode & 0o777 == 0o600
    heard.send(b"local-1")
    assert heard.next() == ["local-1"]
    heard.send(b"\xff" * 1000)  # a damaged sender
    assert len(heard.next()[0]) <= 64
    heard.listener.stop()
    assert not (heard.folder / REPORTS_SOCKET).exists()


def test_socket_of_a_killed_daemon_is_replaced(heard):
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left,
        socket_address(heard.folder, REPORTS_SOCKET) as address,
    ):
        left.bind(address)
    heard.listener.start()
    heard.send(b"local-1")
    assert heard.next() == ["local-1"]


def test_other_file_of_that_name_is_left_alone(heard):
    (heard.folder / REPORTS_SOCKET).write_text("mine")
    heard.listener.start()
    heard.listener.stop()
    assert (heard.folder / REPORTS_SOCKET).read_text() == "mine"


def test_end_of_a_process_is_heard_once(heard):
    heard.listener.start()
    processes = [subprocess.Popen(["cat"], stdin=subprocess.PIPE) for _ in range(2)]
    for process in processes * 2:
        heard.listener.follow(f"local-{processes.index(process)}", process.pid)
    processes[0].communicate()
    assert heard.next() == ["local-0"]
    processes[1].communicate()
    assert heard.next() == ["local-1"]
    heard.listener.follow("local-2", processes[1].pid)  # it has ended: the next survey sees it


def test_handles_take_only_a_part_of_the_files_that_may_be_open(heard):
    heard.listener._most_handles = 1
    heard.listener.start()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        before = len(os.listdir("/proc/self/fd"))
        heard.listener.follow("local-1", process.pid)
        heard.listener.follow("local-2", process.pid)
        assert len(os.listdir("/proc/self/fd")) == before + 1


def test_error_does_not_end_the_thread(heard, caplog):
    def fail(names):
        heard._add(names)
        raise OSError("the disk is away")

    heard.listener._changed = fail
    heard.listener.start()
    heard.send(b"local-1")
    assert heard.next() == ["local-1"]
    heard.send(b"local-2")
    assert heard.next() == ["local-2"]


def test_daemon_hears_that_a_machine_is_on_and_that_its_supervisor_was_killed(world):
    news, changed = list[Observed](), threading.Condition()

    def add(machines):
        with changed:
            news.extend(machine.observed for machine in machines)
            changed.notify()

    def heard(observed):
        with changed:
            return changed.wait_for(lambda: observed in news, 120)

    world.compute.on_news = add
    world.compute.listen()
    id = world.launch(page())
    assert heard(Observed.ON)
    news.clear()
    supervisor = world.supervisor(id)
    supervisor.kill()
    assert heard(Observed.OFF)
    eventually(lambda: not supervisor.is_running())
    assert world.compute.look_at(id).failure.code == "MACHINE_DIED"


def test_calm_machine_is_read_again_only_after_a_while_or_when_something_is_heard(
    tmp_path, monkeypatch
):
    (tmp_path / "prism").mkdir()
    world = World(tmp_path / "prism", tmp_path / "cache")
    reads = []
    read = world.compute._read

    def counted(*args):
        reads.append(args)
        return read(*args)

    monkeypatch.setattr(world.compute, "_read", counted)
    world.compute.listen()
    try:
        first, second = world.launched(page()), world.launched(page(), key="ws_2")
        world.compute._look_at_all_at = inf
        reads.clear()
        for id in (first, second):
            path = world.root / id / "seen.json"
            path.write_bytes(path.read_bytes() + b" ")  # a change that nobody tells of
        assert len(world.compute.survey()) == 2
        assert not reads
        world.compute._look_at_all_at = 0.0  # some time later
        assert len(world.compute.survey()) == 2
        assert len(reads) == 2, "a net for what is not told"
        reads.clear()
        world.compute.stop(first)
        eventually(lambda: reads, 60)
        world.becomes(first, Observed.OFF)
        world.supervisor(second).kill()
        eventually(lambda: world.machine(second).failure, 60)
    finally:
        world.close()


def test_folder_that_was_removed_by_hand_is_not_surveyed(tmp_path):
    (tmp_path / "prism").mkdir()
    world = World(tmp_path / "prism", tmp_path / "cache")
    world.compute.listen()
    try:
        first, second = world.launched(page()), world.launched(page(), key="ws_2")
        world.compute.survey()
        (world.root / first).rename(tmp_path / "elsewhere")
        assert [machine.id for machine in world.compute.survey()] == [second]
    finally:
        world.close()
