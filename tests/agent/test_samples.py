"""What processes use is measured on real ones."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from typing import Any

import pytest

from prism.agent import gpus, samples
from prism.agent.samples import figures, look
from prism.agent.sockets import TcpConnections
from tests.optional import not_none
from tests.waiting import eventually

MEMORY = 1 << 30
OTHERS: Collection[tuple[int, str]] = frozenset()
SPIN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def run_python():
    """Runs Python in a child, which has said that it is ready; ends it afterwards."""
    children = []

    def start(code):
        argv = [sys.executable, "-I", "-S", "-c", f"{code}\n{WAIT}"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen(argv, **pipes, text=True)
        children.append(child)
        assert not_none(child.stdout).readline() == "ready\n"
        return child

    yield start
    for child in children:
        child.communicate()


@pytest.fixture(autouse=True)
def other_processes(monkeypatch):
    """What came of this process before, like a browser, is none of a test's."""
    existing = look(os.getpid(), ()).processes.keys()
    monkeypatch.setattr(sys.modules[__name__], "OTHERS", existing)


def seen():
    sample = look(os.getpid(), ("disk", "network"))
    lives = {key: live for key, live in sample.processes.items() if key not in OTHERS}
    moved = sample.moved and {key: size for key, size in sample.moved.items() if key not in OTHERS}
    return sample._replace(processes=lives, moved=moved)


def since(before):
    return figures(before, seen(), MEMORY)


def test_who_waits_uses_nothing(run_python):
    run_python("")

    def nothing():
        """But who has said that it is ready may still have a page or two to load."""
        before = seen()
        passed = time.monotonic() + 0.3
        eventually(lambda: time.monotonic() > passed)
        usage = since(before)
        return usage["cpu"] < 5 and (usage["memory"], usage["network"], usage["disk"]) == (0, 0, 0)

    eventually(nothing)


def test_a_processor_at_work_is_seen(run_python):
    before = seen()
    run_python(SPIN.format(0.3))
    now = seen()
    used = not_none(figures(before, now, MEMORY)["cpu"]) / 100 * (now.at - before.at)
    assert 0.25 < used < 0.8


def test_what_a_short_life_used_is_found_with_its_parent(run_python):
    """It began after one look and was over before the next."""
    before = seen()
    spin = SPIN.format(0.3)
    run_python(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-S', '-c', {spin!r}])"
    )
    now = seen()
    assert not_none(figures(before, now, MEMORY)["cpu"]) / 100 * (now.at - before.at) > 0.25


def test_what_nobody_waited_for_takes_nothing_away_from_others(run_python):
    """The kernel forgot what it had used, so the sum is smaller than it was."""
    used = SPIN.format(0.4) + WAIT
    lone = run_python(
        "import signal, subprocess, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-I', '-S', '-c', {used!r}],"
        "stdin=subprocess.PIPE, stdout=subprocess.PIPE)\nchild.stdout.readline()\n"
        "import threading\nthreading.Timer(0.3, child.stdin.close).start()"
    )
    before = seen()
    run_python(SPIN.format(0.2))
    eventually(lambda: not samples._children(lone.pid))
    now = seen()
    assert not_none(figures(before, now, MEMORY)["cpu"]) / 100 * (now.at - before.at) > 0.15


def test_who_wants_a_processor_is_at_work_also_where_others_have_it(run_python):
    child = run_python("import threading\nthreading.Timer(0.01, lambda: None).start()")
    busy = run_python("import os, sys\nprint('ready', flush=True)\nwhile True: pass")
    before = seen()
    spent = time.process_time()
    while time.process_time() < spent + 0.2:  # some ticks of the kernel's clock
        pass
    now = seen()
    names = [process.name for process in now.processes.values() if process.pid == busy.pid]
    assert samples.wanting(before, now) == tuple(names)
    assert child.poll() is None
    busy.kill()


def at(moment, **more):
    """A look at one process that wants a processor or a disk at this moment."""
    process = samples.ProcessSample(7, "it", "1", 7, 7, 0, 0, 0.0, 0.0, 0, wants=True)._replace(
        **more
    )
    return samples.SystemSample(moment, moment, {(7, "1"): process}, None, None)


@pytest.mark.parametrize(
    ("later", "is_at_work"),
    [
        ({"waited": 15.0}, True),  # it was given nothing at all
        ({"waited": 4.0, "own": 4.0}, True),
        ({"waited": 2.0, "own": 0.3}, False),  # an idle server that waits whenever it wakes up
        ({"waited": 0.1, "moved": 15 * 4096}, True),  # a slow disk, and work on it
        ({"waited": 0.1, "moved": 30_000}, False),  # an idle server that writes its settings
        ({"waited": 0.1, "moved": None}, False),
        ({"waited": 15.0, "wants": False}, False),
        ({"waited": None}, True),  # a system that does not say
    ],
)
def test_two_moments_prove_nothing(later, is_at_work):
    before = at(100.0, waited=0.0, moved=0)
    now = at(115.0, **({"moved": 0} | later))
    assert samples.wanting(before, now) == (("it",) if is_at_work else ())


def test_memory_that_grows_is_seen_and_memory_that_is_held_is_not(run_python):
    before = seen()
    run_python("held = b'x' * (100 << 20)")
    grown = seen()
    assert 9 < not_none(figures(before, grown, MEMORY)["memory"]) < 15
    assert since(grown)["memory"] < 1


def test_what_goes_to_a_disk_is_seen(run_python):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # /tmp may be in memory
        before = seen()
        run_python(
            f"import os\nwith open({folder + '/file'!r}, 'wb') as f:\n"
            "    f.write(os.urandom(8 << 20)); f.flush(); os.fsync(f.fileno())"
        )
        now = seen()
    if now.moved is None:
        pytest.fail("this system does not say what its processes write")
    assert figures(before, now, MEMORY)["disk"] * (now.at - before.at) > 7000


def test_what_a_connection_carries_is_seen(run_python):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = run_python(f"import socket\none = socket.create_connection(('127.0.0.1', {port}))")
        theirs, _ = server.accept()
        with theirs:
            before = seen()
            assert before.carried
            sender = threading.Thread(target=theirs.sendall, args=(b"x" * 100_000,))
            sender.start()
            sender.join()
            assert eventually(lambda: since(before)["network"]) > 0
            now = seen()
            assert figures(before, now, MEMORY)["network"] * (now.at - before.at) > 97
            assert child.poll() is None


def test_who_holds_no_socket_carries_nothing():
    assert TcpConnections().carried([]) == {}


def test_a_process_that_is_gone_is_no_trouble(run_python):
    child = run_python("")
    child.communicate()
    assert TcpConnections().carried([child.pid]) == {}
    assert samples._read(f"/proc/{child.pid}/stat") == b""
    assert samples._bytes_moved(child.pid) == 0


def test_a_part_of_the_figures_is_no_measurement():
    assert samples._if_all({(1, "a"): 5, (2, "b"): None}) is None
    assert samples._rate(None, {1: 5}, 1.0) is None


@pytest.mark.parametrize(
    ("duration", "seconds"), [("0:01.50", 1.5), ("12:34", 754), ("1-02:03:04", 93784)]
)
def test_the_times_of_ps(duration, seconds):
    assert samples._seconds(duration) == seconds


def test_the_same_without_proc(run_python, monkeypatch):
    child = run_python("held = b'x' * (50 << 20)\n" + SPIN.format(0.1))
    monkeypatch.setattr(samples, "LINUX", False)
    samples_by_pid = {
        process.pid: process
        for process in look(os.getpid(), ("disk", "network")).processes.values()
    }
    assert samples_by_pid[child.pid].memory > 50 << 20
    assert since(seen())["disk"] is None


class Smi:
    """An `nvidia-smi` that says what it is told to."""

    def __init__(self, folder):
        self.path, self.program = str(folder), folder / "nvidia-smi"

    def says(self, script):
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o700)
        return self.used()

    def used(self, device="/nowhere"):
        asking = gpus.used(f"{self.path}:/usr/bin:/bin", device)

        def answered():
            try:
                next(asking)
            except StopIteration as end:
                return [end.value]
            return None

        [value] = eventually(answered)
        return value


def test_gpus(tmp_path):
    smi = Smi(tmp_path)
    assert smi.used() == 0.0, "there is none"
    assert smi.used(device="/dev/null") is None, "there is one that cannot be asked"
    assert smi.says("printf '3\\n87\\n'") == 87.0
    assert smi.says("echo Failed to initialize NVML; exit 9") is None
    for _ in range(2):  # a supervisor buries all who are its own; here nobody else does
        os.waitpid(-1, 0)


def plugged(folder, slot, vendor, kind):
    """A device on the PCI bus, as sysfs shows it."""
    device = folder / slot
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def test_a_gpu_without_a_driver_is_seen_on_the_bus(tmp_path):
    """It has no device file and no `nvidia-smi`, and may come to be used all the same."""
    bus = tmp_path / "devices"
    plugged(bus, "0000:00:1f.0", "0x8086", "0x060100")
    plugged(bus, "0000:00:02.0", "0x8086", "0x030000")  # somebody else's display
    plugged(bus, "0000:00:03.0", "0x10de", "0x020000")  # NVIDIA's, and a network card
    (bus / "0000:00:04.0").mkdir()  # it says nothing of itself
    assert not gpus.is_plugged_in(bus)
    assert used_without_smi(tmp_path, bus) == 0.0
    plugged(bus, "0000:00:1e.0", "0x10de", "0x030200")  # a T4: a 3D controller
    assert gpus.is_plugged_in(bus)
    assert used_without_smi(tmp_path, bus) is None
    assert not gpus.is_plugged_in(tmp_path / "none")


def used_without_smi(folder, bus):
    asking = gpus.used(str(folder), "/nowhere", bus)
    with pytest.raises(StopIteration) as end:
        next(asking)
    return end.value.value


def test_a_look_costs_little(run_python):
    """Aim: 1 ms of processor for each workspace and sample; here with some room."""
    threads = "import threading\nfor _ in range(8): "
    for _ in range(6):
        run_python(
            f"{threads}threading.Thread(target=threading.Event().wait, daemon=True).start()"
        )
    look(os.getpid(), ("disk", "network"))
    began = time.process_time()
    for _ in range(20):
        look(os.getpid(), ("disk", "network"))
    assert (time.process_time() - began) / 20 < 0.005
