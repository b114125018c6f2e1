"""Starts a program like a workspace's, and reports how it is isolated on this system.

It does so in the home, if the home exists. `told` has the variables of the supervisor. It prints
one JSON object: `user` is the uid of the program, `is_shared` whether other workspaces have the
same uid, `kept` are the promises that hold, by name, `processes` is the process limit, `network`
is `own`, or `shared: why`. If nothing can be started, the exit code is 1 and it prints the reason.
"""

import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from prism.agent.machine.output_logs import last_words
from prism.agent.network import namespace
from prism.agent.protocol import IsolationProbe, IsolationReport, LocalMachineSpec
from prism.agent.sandbox import identity
from prism.agent.sandbox.sandbox_probe import etc_for_trial
from prism.agent.sandbox.sandbox_process import SHARED_ID, SandboxProcess

ISOLATION_VARIABLES = (
    *(identity.RANGE_VARIABLE, identity.PROCESSES_VARIABLE),
    *(namespace.MODE_VARIABLE, namespace.ALLOWED_VARIABLE),
)
FACTS = 5
PROBE_PROGRAM = """
import os, resource
said = dict(line.split(":", 1) for line in open("/proc/self/status"))
def unshare(flags):
    import ctypes
    if ctypes.CDLL(None).unshare(flags):
        raise OSError
def refused(flags):
    if not (child := os.fork()):
        try:
            getattr(os, "unshare", unshare)(flags)
        except OSError:
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(
    os.getuid(),
    resource.getrlimit(resource.RLIMIT_NPROC)[0],
    int(int(said["CapEff"], 16) == int(said["CapPrm"], 16) == 0),
    int(refused(0x10000000)),
    int(int(said["Seccomp"]) == 2),
)
"""


def main(probe: IsolationProbe) -> int:
    """Run the test, and print the report; returns the exit code."""
    home = probe.get("home")
    parent = home if home and os.access(home, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".prism-trial-", dir=parent) as name:
        folder = Path(os.path.realpath(name), "workspaces", "trial")
        for own in ("home", "venv", "logs"):
            (folder / own).mkdir(parents=True)
        variables = probe.get("told", {})
        os.environ.update(
            {name: value for name in ISOLATION_VARIABLES if (value := variables.get(name))}
        )
        try:
            with etc_for_trial(parent, folder.parents[1]):
                report = _probe_inside(folder, probe["reachable"])
        except (OSError, ValueError) as error:
            sys.stdout.write(f"{error}\n")
            return 1
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


def _probe_inside(folder: Path, reachable: list[str]) -> IsolationReport:
    spec: LocalMachineSpec = {"key": "", "name": "trial", "reachable": reachable}
    sandbox = SandboxProcess(folder, spec, [], lambda: None)
    read_end, write_end = os.pipe()
    environment = {"PATH": os.defpath}
    argv = [sys.executable, "-I", "-S", "-c", PROBE_PROGRAM]
    request = {"id": 1, "argv": argv, "environment": environment, "folder": "/"}
    with open(os.devnull, "rb") as nothing:
        sandbox.ask(request, [nothing.fileno(), write_end, write_end])
    os.close(write_end)
    with os.fdopen(read_end, errors="replace") as pipe:
        answer = pipe.read()
    with suppress(ProcessLookupError):
        os.kill(sandbox.pid, signal.SIGKILL)  # its regular end takes longer
    os.waitpid(sandbox.pid, 0)
    sandbox.close()
    user, processes, capabilities, namespaces, filtered = _facts(answer)
    return {
        "sandbox": sandbox.kind,
        "user": user,
        "is_shared": user == os.geteuid() or SHARED_ID in sandbox.notes,
        "kept": {
            "capabilities": bool(capabilities),
            "namespaces": bool(namespaces),
            "filter": bool(filtered),
        },
        "processes": processes if processes >= 0 else None,
        "network": sandbox.network_kind,
        "unlimited": _memory_refusal(folder),
        "unfiltered": sandbox.network.unfiltered if sandbox.network else "",
    }


def _facts(answer: str) -> list[int]:
    """The numbers that a program inside has printed; raises `OSError` if it has not."""
    try:
        facts = [int(word) for word in answer.split()]
    except ValueError:
        facts = []
    if len(facts) != FACTS:
        words = last_words(answer) or "nothing"
        raise OSError(f"the Python of Prism does not run in a workspace; it says: {words}")
    return facts


def _memory_refusal(folder: Path) -> str:
    """Why the memory of a workspace cannot be limited; empty if it can."""
    from prism.agent.system.freezer import freezer, memory_refusal  # noqa: PLC0415  cold start: in the fork

    group = freezer(folder)
    try:
        return memory_refusal(group, 1 << 30)
    finally:
        group.close()
