"""The life of a real JupyterLab, run by root or by an ordinary user.

    python -m tests.providers.local.life HOME CACHE

It prints its measurements as JSON. A failure is an AssertionError.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path

import psutil
from websockets.sync.client import connect

from prism.workspaces.idleness import IdleRule
from prism.workspaces.model import Observed
from tests.jupyter import Kernel
from tests.providers.local.world import LAB, World
from tests.waiting import eventually

MINUTE = 2.0  # seconds that count as a minute, so that the machine is soon idle
# The disk is missing because it cannot be measured for an ordinary user's sandbox.
LIMITS = {"cpu": 20.0, "network": 512.0, "disk": 4096.0, "gpu": 5.0}
COUNT = "sh -c 'n=0; while :; do n=$((n+1)); echo $n > count; sleep 0.02; done'\r"


def post(door, path):
    """Ask Jupyter to do something."""
    head = {"Authorization": f"token {door.token}"}
    ask = urllib.request.Request(door.url + path, b"{}", head, method="POST")
    with urllib.request.urlopen(ask, timeout=120) as answer:
        return answer.read()


class Terminal:
    """A shell of Jupyter's, with a job in the foreground."""

    def __init__(self, door):
        name = json.loads(post(door, "/api/terminals"))["name"]
        address = door.url.replace("http", "ws", 1)
        head = {"Authorization": f"token {door.token}"}
        self._open = connect(f"{address}/terminals/websocket/{name}", additional_headers=head)
        self.shown = ""

    def __enter__(self):
        self.socket = self._open.__enter__()
        return self

    def __exit__(self, *error):
        self._open.__exit__(*error)

    def type(self, text):
        self.socket.send(json.dumps(["stdin", text]))

    def shows(self, word):
        """Wait until the word was shown."""
        while word not in self.shown:
            kind, *text = json.loads(self.socket.recv(timeout=120))
            self.shown += text[0] if kind == "stdout" else ""
        return True


def cpu_time(processes):
    """The processor time that they have used so far."""
    times = [process.cpu_times() for process in processes]
    return [(time.user, time.system) for time in times]


def timed(world, id, verb, seen):
    """Milliseconds from the request until the supervisor reports the phase."""
    began = time.perf_counter()
    getattr(world.compute, verb)(id)
    eventually(lambda: world.report(id)["phase"] == seen)
    return round((time.perf_counter() - began) * 1000, 1)


# The workspace as another user reads these: temporary files, and what is public in `/etc`.
PUBLIC = ("tmp", "etc", "install-etc")


def live(world):
    """From the launch to the end."""
    began = time.monotonic()
    id = world.launch(LAB)
    world.becomes(id, Observed.ON, 150)  # with a cold cache, on a machine that others use too
    measured = {"launch_s": round(time.monotonic() - began, 2)}
    door = world.compute.access(id).endpoints["jupyter"]
    count = world.root / id / "home" / "count"
    with Terminal(door) as terminal:
        _sleep_and_wake(world, id, door, terminal, measured)
    tree = world.tree(id)
    (count.parent / "notes").write_text("kept")
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    eventually(lambda: not any(node.is_running() for node in tree))
    began = time.monotonic()
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    measured["restart_s"] = round(time.monotonic() - began, 2)
    again = world.compute.access(id).endpoints["jupyter"]
    assert again == door, "the port is free and the secret is the same"
    assert (count.parent / "notes").read_text() == "kept"
    _falls_asleep(world, id, again)
    return measured | {"freezer": world.report(id)["freezer"], "uid": os.getuid()}


def _falls_asleep(world, id, door):
    """The machine hibernates when it is idle; a running cell without output is not idle."""
    kernel = Kernel(door.url, door.token)
    assert kernel.run("print(41)").strip() == "41"  # it has started
    kernel.send("import time; time.sleep(600)")
    rule = IdleRule(profile="t", minutes=1, action="hibernate", limits=LIMITS)
    world.compute.watch(id, rule)
    passed = time.monotonic() + 2 * MINUTE

    def has_passed():
        assert world.report(id)["phase"] == "on"
        return time.monotonic() > passed

    eventually(has_passed)
    verdict = eventually(lambda: (idle := world.machine(id).idle) and idle.state and idle)
    assert verdict.state == "active"
    assert "the kernel of python3 is busy" in verdict.because
    post(door, f"/api/kernels/{kernel.id}/interrupt")
    kernel.close()
    assert world.becomes(id, Observed.ASLEEP).idle.acted.profile == "t"


def _sleep_and_wake(world, id, door, terminal, measured):
    kernel, count = Kernel(door.url, door.token), world.root / id / "home" / "count"
    assert kernel.run("x = 41; import os; print(os.getcwd())").strip() == str(count.parent)
    kernel.send("import time\nfor n in range(10**9): time.sleep(0.01); x = n")  # it never rests
    terminal.type(COUNT)
    eventually(count.exists)
    secret_is_private(world, id)
    measured["supervisor_rss_mb"] = round(world.supervisor(id).memory_info().rss / 1e6, 1)

    measured["freeze_ms"] = timed(world, id, "hibernate", "asleep")
    asleep = world.becomes(id, Observed.ASLEEP)
    assert asleep.private_ip is None
    tree = world.tree(id)
    assert len(tree) >= 4, "a server, a kernel, a shell and its job"
    before, stood = cpu_time(tree), count.read_text()
    passed = time.monotonic() + 0.5
    eventually(lambda: time.monotonic() > passed)
    assert (cpu_time(tree), count.read_text()) == (before, stood), (
        "a hibernated program still runs"
    )

    measured["thaw_ms"] = timed(world, id, "start", "on")
    eventually(lambda: count.read_text() not in {"", stood})
    terminal.type("\x03")
    assert terminal.shows("^C")
    terminal.type("echo it is $((40+2))\r")
    assert terminal.shows("it is 42")
    assert "Stopped" not in terminal.shown
    post(door, f"/api/kernels/{kernel.id}/interrupt")
    # The kernel drops what was queued behind an interrupted cell, and does not answer it.
    assert int(eventually(lambda: kernel.run("print(x)").strip())) > 0
    kernel.close()


def secret_is_private(world, id):
    """No command line contains the token, and other users can read no file of the machine.

    The folder `tmp` is open to all, as `/tmp` is, but its parent is not.
    """
    token = (world.root / id / "token").read_text()
    assert len(token) >= 43
    for process in psutil.process_iter(["cmdline"]):
        assert token not in " ".join(process.info["cmdline"] or ())
    for path in (world.root / id, *(world.root / id).iterdir()):
        is_private = path.stat().st_mode & 0o077 == 0
        assert path.is_symlink() or is_private or path.name in PUBLIC, path


def main(home, cache):
    """Run it all, and destroy the machines afterwards."""
    world = World(Path(home), Path(cache), minute=MINUTE)
    try:
        sys.stdout.write(json.dumps(live(world)))
    finally:
        world.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
