"""One double and its mortal daemons, each a process of its own; what must hold between them."""

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
    "volume": 2,
    "attaching": 2,
    "snapshot": 6,
    "file_system": 4,
}


@dataclass
class DoubleWithDaemons:
    """One double and its mortal daemons, each a process of its own."""

    folder: Path
    accounts: Iterator[int] = field(default_factory=lambda: itertools.count(100_000_000_001))

    def __post_init__(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        rules = self.folder / "rules.json"
        rules.write_text(json.dumps({"times": SLOW_TIMES}))
        double = (sys.executable, "-m", "aws_double", "--port", str(port), "--rules", rules)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.double = subprocess.Popen(double, **quiet)
        self.log = (self.folder / "log").open("w")
        self.mortals = [self._mortal()]

    def _mortal(self):
        command = (sys.executable, "-m", "tests.project.aws.mortal")
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": self.log,
        }
        return subprocess.Popen(command, text=True, **pipes)

    def two(self):
        """Have two daemons that can be asked at the same time."""
        if len(self.mortals) == 1:
            self.mortals.append(self._mortal())

    def close(self):
        for mortal in self.mortals:
            mortal.stdin.close()
        for process in (*self.mortals, self.double):
            process.terminate()
            process.wait(120)
        for mortal in self.mortals:
            mortal.stdout.close()
        self.log.close()

    def ask(self, who=0, **job):
        """One fork's answer."""
        mortal = self.mortals[who]
        print(json.dumps(job), file=mortal.stdin, flush=True)
        answer = json.loads(mortal.stdout.readline())
        assert "broke" not in answer, answer["broke"]
        return answer

    def job(self):
        """An account and a home of its own."""
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

    def tried(self, life, at=-1, how="kill"):
        """Live it; come back after a death."""
        job = self.job() | {"life": life}
        lived = self.ask(do="live", at=at, how=how, **job)
        if lived["killed"]:
            return lived["passed"], self.ask(do="come back", **job)
        return lived["passed"], lived


def machines_wrong(found):
    """Machines and the state's idea of them, wherever the two differ; what is not tagged."""
    machines = {it[0]: it for it in found["there"]["machines"]}
    alive = {id for id, it in machines.items() if it[1] != "terminated"}
    known = {it[1]: it for it in found["said"]["workspaces"] if it[1] and it[2] not in OVER}
    yield from (f"{it} is in AWS and not in the state" for it in alive - known.keys())
    yield from (f"{it} is in the state and not in AWS" for it in known.keys() - alive)
    for id, (_, state, kind, tags) in machines.items():
        if tags.get("prism:managed") != "true" or not tags.get("prism:id"):
            yield f"{id} is not tagged: {tags}"
        if it := known.get(id):
            expected = TOWARDS.get(it[2]), it[3], it[4]
            if expected != (state, kind, tags.get("prism:id")):
                yield f"{id} is {state}, {kind}; the state says {it}"
    keys = Counter(tags.get("prism:id") for *_, tags in machines.values())
    yield from (f"{n} machines were made for {key}" for key, n in keys.items() if n > 1)


def storage_wrong(found):
    """Volumes, file systems and snapshots, wherever the state and AWS differ."""
    said, there = found["said"], found["there"]
    keys = {it[-1].get("prism:id") for it in there["machines"]}
    made = [*there["volumes"], *there["files"]]
    ours = {id for id, tags in made if tags.get("prism:id") not in keys}
    if (known := {it[1] for it in said["volumes"]}) != ours:
        yield f"volumes of the state: {known}, in AWS: {ours}"
    known = {it[1] for it in said["copies"]} | set(said["surplus"])  # those are shown as orphans
    if known != {id for id, _ in there["copies"]}:
        yield f"snapshots of the state: {known}, in AWS: {there['copies']}"
    for id, tags in (*made, *there["copies"]):
        if tags.get("prism:managed") != "true" or not tags.get("prism:id"):
            yield f"{id} is not tagged: {tags}"
