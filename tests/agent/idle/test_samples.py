"""Measuring the CPU, memory, disk, network and GPU use of real processes."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from prism.agent.idle import gpus, samples
from prism.agent.idle.samples import figures, look
from prism.agent.network.sockets import TcpConnections
from tests.optional import not_none
from tests.waiting import eventually

MEMORY = 1 << 30
OTHERS: Collection[tuple[int, str]] = frozenset()
SPIN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"
WAIT = "import sys; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def run_python():
    """Runs Python code in a child process until it is ready; ends it afterwards."""
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
    """Processes that existed before the test, such as a browser, do not count."""
    existing = look(os.getpid(), ()).processes.keys()
    monkeypatch.setattr(sys.modules[__name__], "OTHERS", existing)


def current_sample():
    sample = look(os.getpid(), ("disk", "network"))
    lives = {key: live for key, live in sample.processes.items() if key not in OTHERS}
    moved = sample.moved and {key: size for key, size in sample.moved.items() if key not in OTHERS}
    return sample._replace(processes=lives, moved=moved)


def measurements_since(before):
    return figures(before, current_sample(), MEMORY)


def test_waiting_process_uses_no_resources(run_python):
    run_python("")

    def uses_nothing():
        """A process that is ready may still load a few pages of memory."""
        before = current_sample()
        passed = time.monotonic() + 0.3
        eventually(lambda: time.monotonic() > passed)
        usage = measurements_since(before)
        return usage["cpu"] < 5 and (usage["memory"], usage["network"], usage["disk"]) == (0, 0, 0)

    eventually(uses_nothing)


def test_cpu_time_of_a_process_is_measured(run_python):
    before = current_sample()
    run_python(SPIN.format(0.3))
    now = current_sample()
    used = not_none(figures(before, now, MEMORY)["cpu"]) / 100 * (now.at - before.at)
    assert 0.25 < used < 0.8


def test_cpu_time_of_an_ended_child_is_measured_with_its_parent(run_python):
    """The child starts and ends between two samples."""
    before = current_sample()
    spin = SPIN.format(0.3)
    run_python(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-S', '-c', {spin!r}])"
    )
    now = current_sample()
    assert not_none(figures(before, now, MEMORY)["cpu"]) / 100 * (now.at - before.at) > 0.25


def test_cpu_time_is_measured_when_an_ended_child_was_not_waited_for(run_python):
    """The kernel forgets the CPU time of such a child, so the sum becomes smaller."""
    used = SPIN.format(0.4) + WAIT
    lone = run_python(
        "import signal, subprocess, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-I', '-S', '-c', {used!r}],"
        "stdin=subprocess.PIPE, stdout=subprocess.PIPE)\nchild.stdout.readline()\n"
        "import threading\nthreading.Timer(0.3, child.stdin.close).start()"
    )
    before = current_sample()
    run_python(SPIN.format(0.2))
    eventually(lambda: not samples._children(lone.pid))
    now = current_sample()
    assert not_none(figures(before, now, MEMORY)["cpu"]) / 100 * (now.at - before.at) > 0.15


def test_busy_process_is_listed_as_wanting_a_processor(run_python):
    child = run_python("import threading\nthreading.Timer(0.01, lambda: None).start()")
    busy = run_python("import os, sys\nprint('ready', flush=True)\nwhile True: pass")
    before = current_sample()
    spent = time.process_time()
    while time.process_time() < spent + 0.2:  # some ticks of the kernel's clock
        pass
    now = current_sample()
    names = [process.name for process in now.processes.values() if process.pid == busy.pid]
    assert samples.wanting(before, now) == tuple(names)
    assert child.poll() is None
    busy.kill()


def sample_at(moment, **more):
    """A sample of one process that wants a processor or a disk."""
    process = samples.ProcessSample(7, "it", "1", 7, 7, 0, 0, 0.0, 0.0, 0, wants=True)._replace(
        **more
    )
    return samples.SystemSample(moment, moment, {(7, "1"): process}, None, None)


@pytest.mark.parametrize(
    ("later", "is_at_work"),
    [
        ({"waited": 15.0}, True),  # a job that got no CPU time at all
        ({"waited": 4.0, "own": 4.0}, True),
        ({"waited": 2.0, "own": 0.3}, False),  # an idle server that waits whenever it wakes up
        ({"waited": 0.1, "moved": 15 * 4096}, True),  # a slow disk, and work on it
        ({"waited": 0.1, "moved": 30_000}, False),  # an idle server that writes its settings
        ({"waited": 0.1, "moved": None}, False),
        ({"waited": 0.1, "moved": None, "hides": True}, True),  # it may move any number of bytes
        ({"waited": 15.0, "wants": False}, False),
        ({"waited": None}, True),  # a system that does not report waiting time
    ],
)
def test_process_counts_as_working_when_it_waited_or_wrote_enough(later, is_at_work):
    before = sample_at(100.0, waited=0.0, moved=0, hides=later.get("hides", False))
    now = sample_at(115.0, **({"moved": 0} | later))
    assert samples.wanting(before, now) == (("it",) if is_at_work else ())


def test_memory_growth_is_measured_and_held_memory_is_not(run_python):
    before = current_sample()
    run_python("held = b'x' * (100 << 20)")
    grown = current_sample()
    assert 9 < not_none(figures(before, grown, MEMORY)["memory"]) < 15
    assert measurements_since(grown)["memory"] < 1


def test_disk_writes_of_a_process_are_measured(run_python):
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # /tmp may be in memory
        before = current_sample()
        run_python(
            f"import os\nwith open({folder + '/file'!r}, 'wb') as f:\n"
            "    f.write(os.urandom(8 << 20)); f.flush(); os.fsync(f.fileno())"
        )
        now = current_sample()
    if now.moved is None:
        pytest.fail("this system does not report what its processes write")
    assert figures(before, now, MEMORY)["disk"] * (now.at - before.at) > 7000


SAMPLE_OF_AN_ORDINARY_USER = """
import ctypes, json, os, signal
from prism.agent.idle import samples
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
children, (told, tell) = [], os.pipe()
for is_dumpable in (1, 0):
    if not (pid := os.fork()):
        ctypes.CDLL(None).prctl(4, is_dumpable, 0, 0, 0)
        os.write(tell, b".")
        signal.pause()
    children.append(pid)
    os.read(told, 1)
sample = samples.look(os.getpid(), ("disk",))
used = samples.figures(sample, samples.look(os.getpid(), ("disk",)), 1 << 30)
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
pids = {pid for pid, _ in sample.processes}, {pid for pid, _ in sample.moved or ()}
print(json.dumps([[pid in known for pid in children] for known in pids] + [used["disk"]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc of Linux")
def test_disk_use_is_known_although_a_program_hides_its_own():
    """The first program of each sandbox does so, and `ssh-agent`."""
    argv = [sys.executable, "-c", SAMPLE_OF_AN_ORDINARY_USER]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[True, True], [True, False], 0.0]


def test_network_traffic_of_a_process_is_measured(run_python):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = run_python(f"import socket\none = socket.create_connection(('127.0.0.1', {port}))")
        theirs, _ = server.accept()
        with theirs:
            before = current_sample()
            assert before.carried
            sender = threading.Thread(target=theirs.sendall, args=(b"x" * 100_000,))
            sender.start()
            sender.join()
            assert eventually(lambda: measurements_since(before)["network"]) > 0
            now = current_sample()
            assert figures(before, now, MEMORY)["network"] * (now.at - before.at) > 97
            assert child.poll() is None


def test_connections_of_no_process_are_empty():
    assert TcpConnections().carried([]) == {}


def test_ended_process_has_no_connections_and_no_traffic(run_python):
    child = run_python("")
    child.communicate()
    assert TcpConnections().carried([child.pid]) == {}
    assert samples._read(f"/proc/{child.pid}/stat") == b""
    assert samples._bytes_moved(child.pid) == 0


def test_measurement_is_unknown_when_a_part_is_missing():
    assert samples._if_all({(1, "a"): 5, (2, "b"): None}) is None
    assert samples._rate(None, {1: 5}, 1.0) is None


@pytest.mark.parametrize(
    ("duration", "seconds"), [("0:01.50", 1.5), ("12:34", 754), ("1-02:03:04", 93784)]
)
def test_cpu_time_of_ps_is_parsed(duration, seconds):
    assert samples._seconds(duration) == seconds


def test_memory_is_measured_without_proc(run_python, monkeypatch):
    child = run_python("held = b'x' * (50 << 20)\n" + SPIN.format(0.1))
    monkeypatch.setattr(samples, "LINUX", False)
    samples_by_pid = {
        process.pid: process
        for process in look(os.getpid(), ("disk", "network")).processes.values()
    }
    assert samples_by_pid[child.pid].memory > 50 << 20
    assert measurements_since(current_sample())["disk"] is None


class Smi:
    """An `nvidia-smi` that runs a given script."""

    def __init__(self, folder):
        self.path, self.program = str(folder), folder / "nvidia-smi"

    def run(self, script):
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o700)
        return self.used()

    def used(self, device="/nowhere", granted=None):
        asking = gpus.used(f"{self.path}:/usr/bin:/bin", device, granted=granted)

        def answered():
            try:
                next(asking)
            except StopIteration as end:
                return [end.value]
            return None

        [value] = eventually(answered)
        return value


def test_gpu_use_is_the_highest_of_nvidia_smi_and_unknown_when_it_fails(tmp_path):
    smi = Smi(tmp_path)
    assert smi.used() == 0.0, "there is no GPU"
    assert smi.used(device="/dev/null") is None, "there is a GPU, but no nvidia-smi"
    both = "printf 'GPU-00000000-aa, 3\\nGPU-00000000-bb, 87\\n'"
    assert smi.run(both) == 87.0
    assert smi.used(granted=["GPU-00000000-aa"]) == 3.0, "others work on the other one"
    assert smi.used(granted=[]) == 0.0
    assert smi.used(granted=["GPU-00000000-cc"]) is None, "it is not there any more"
    assert smi.run("echo Failed to initialize NVML; exit 9") is None
    for _ in range(4):  # a supervisor waits for all its children; here the test has to
        os.waitpid(-1, 0)


def add_pci_device(folder, slot, vendor, kind):
    """A device on the PCI bus, as sysfs shows it."""
    device = folder / slot
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def test_gpu_without_a_driver_is_detected_on_the_pci_bus(tmp_path):
    """It has no device file and no `nvidia-smi`, but its use is unknown, not zero."""
    bus = tmp_path / "devices"
    add_pci_device(bus, "0000:00:1f.0", "0x8086", "0x060100")
    add_pci_device(bus, "0000:00:02.0", "0x8086", "0x030000")  # a display of another vendor
    add_pci_device(bus, "0000:00:03.0", "0x10de", "0x020000")  # NVIDIA's, and a network card
    (bus / "0000:00:04.0").mkdir()  # a device without vendor and class
    assert not gpus.is_plugged_in(bus)
    assert used_without_smi(tmp_path, bus) == 0.0
    add_pci_device(bus, "0000:00:1e.0", "0x10de", "0x030200")  # a T4: a 3D controller
    assert gpus.is_plugged_in(bus)
    assert used_without_smi(tmp_path, bus) is None
    assert not gpus.is_plugged_in(tmp_path / "none")


def used_without_smi(folder, bus):
    asking = gpus.used(str(folder), "/nowhere", bus)
    with pytest.raises(StopIteration) as end:
        next(asking)
    return end.value.value


def test_sample_costs_a_few_reads_of_each_process(run_python):
    """A slow computer also reads `stat` of these processes slowly."""
    threads = "import threading\nfor _ in range(8): "
    children = [
        run_python(
            f"{threads}threading.Thread(target=threading.Event().wait, daemon=True).start()"
        )
        for _ in range(6)
    ]
    pids = [os.getpid(), *(child.pid for child in children)]
    files = [Path(f"/proc/{pid}/stat") for pid in pids]
    look(os.getpid(), ("disk", "network"))
    samples = reads = 0.0
    for _ in range(20):  # in turns
        began = time.thread_time()
        look(os.getpid(), ("disk", "network"))
        samples += time.thread_time() - began
        began = time.thread_time()
        for file in files:
            file.read_bytes()
        reads += time.thread_time() - began
    assert samples < 50 * reads, samples / reads
