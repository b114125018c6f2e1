"""One double and its killable daemons, each a process of its own; checks of their states."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import free_port

TOWARDS = {"running": "running", "stopped": "stopped", "hibernated": "stopped"}
OVER = {"terminated", "failed"}
SLOW_TIMES = {
    "pending": 3,
    "stopping": 4,
    "hibernating": 6,
    "shutting_down": 3,
    "unseen": 2,
    "boot": 6,
    "console": 3,
    "volume": 2,
    "attaching": 2,
    "snapshot": 6,
    "file_system": 4,
}


@dataclass
class DoubleWithDaemons:
    """One double and its killable daemons, each a process of its own."""

    folder: Path
    accounts: Iterator[int] = field(default_factory=lambda: itertools.count(100_000_000_001))

    def __post_init__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        rules = self.folder / "rules.json"
        rules.write_text(json.dumps({"times": SLOW_TIMES, "slow_start": True}))
        double = (sys.executable, "-m", "aws_double", "--port", str(port), "--rules", rules)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.double = subprocess.Popen(double, **quiet)
        self.log = (self.folder / "log").open("w")
        self.daemons = [self._start()]

    def _start(self):
        command = (sys.executable, "-m", "tests.project.aws.killable_daemon")
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": self.log,
        }
        return subprocess.Popen(command, text=True, **pipes)

    def two(self):
        """Starts a second daemon, for requests at the same time."""
        if len(self.daemons) == 1:
            self.daemons.append(self._start())

    def close(self):
        for daemon in self.daemons:
            daemon.stdin.close()
        for process in (*self.daemons, self.double):
            process.terminate()
            process.wait(120)
        for daemon in self.daemons:
            daemon.stdout.close()
        self.log.close()

    def ask(self, index=0, **job):
        """Sends a job to a daemon; returns the answer of its fork."""
        daemon = self.daemons[index]
        print(json.dumps(job), file=daemon.stdin, flush=True)
        answer = json.loads(daemon.stdout.readline())
        assert "broke" not in answer, answer["broke"]
        return answer

    def job(self):
        """An account and a home for one job."""
        account = str(next(self.accounts))
        environ = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "none"),
        }
        return {"home": str(self.folder / account), "environ": environ}

    def run(self, scenario, at=-1, how="kill"):
        """Runs a scenario; starts the next daemon after a kill."""
        job = self.job() | {"scenario": scenario}
        answer = self.ask(do="live", at=at, how=how, **job)
        if answer["killed"]:
            return answer["passed"], self.ask(do="come back", **job)
        return answer["passed"], answer


def machines_wrong(outcome):
    """The differences between the machines and the state, and machines without tags."""
    machines = {machine[0]: machine for machine in outcome["there"]["machines"]}
    alive = {id for id, machine in machines.items() if machine[1] != "terminated"}
    known = {row[1]: row for row in outcome["said"]["workspaces"] if row[1] and row[2] not in OVER}
    yield from (f"{id} is in AWS and not in the state" for id in alive - known.keys())
    yield from (f"{id} is in the state and not in AWS" for id in known.keys() - alive)
    for id, (_, state, kind, tags) in machines.items():
        if tags.get("prism:managed") != "true" or not tags.get("prism:id"):
            yield f"{id} is not tagged: {tags}"
        if row := known.get(id):
            expected = TOWARDS.get(row[2]), row[3], row[4]
            if expected != (state, kind, tags.get("prism:id")):
                yield f"{id} is {state}, {kind}; the state says {row}"
    keys = Counter(tags.get("prism:id") for *_, tags in machines.values())
    yield from (f"{n} machines were made for {key}" for key, n in keys.items() if n > 1)


def storage_wrong(outcome):
    """The differences between the state and AWS in volumes, file systems and snapshots."""
    state, truth = outcome["said"], outcome["there"]
    keys = {machine[-1].get("prism:id") for machine in truth["machines"]}
    storage = [*truth["volumes"], *truth["files"]]
    ours = {id for id, tags in storage if tags.get("prism:id") not in keys}
    if (known := {row[1] for row in state["volumes"]}) != ours:
        yield f"volumes of the state: {known}, in AWS: {ours}"
    # Surplus snapshots are listed as orphans.
    known = {row[1] for row in state["copies"]} | set(state["surplus"])
    if known != {id for id, _ in truth["copies"]}:
        yield f"snapshots of the state: {known}, in AWS: {truth['copies']}"
    for id, tags in (*storage, *truth["copies"]):
        if tags.get("prism:managed") != "true" or not tags.get("prism:id"):
            yield f"{id} is not tagged: {tags}"
