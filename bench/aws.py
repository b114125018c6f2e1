"""Launches on the double of EC2, which throttles as EC2 does, and a survey of all machines."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import boto3
from living import REAL, daemon, home
from load import Connection
from page import Report
from reads import API, TEMPLATE

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.compute.survey import InstanceCache

LAUNCHES, PEOPLE, SURVEYS = 300, 16, 7
REGION = "us-west-2"


def aws(report: Report) -> None:
    """A real daemon with a profile of AWS."""
    with home() as folder, double(folder) as environ:
        with daemon(folder, REAL, **environ) as server, closing(Connection(server.port)) as to:
            profile = {"name": "lab", "provider": "aws", "region": REGION}
            post(to, "profiles", profile, 201)
            post(to, "profiles/switch", {"profile_name": "lab"}, 200)
            plan = {"name": "first", "template": TEMPLATE, "dry_run": True}
            post(to, "instances/launch", plan, 200)  # the daemon has asked AWS for its identity
            began = time.perf_counter()
            with ThreadPoolExecutor(PEOPLE) as people:
                list(people.map(lambda n: launch(server.port, n), range(LAUNCHES)))
            accepted = time.perf_counter() - began
            label = f"{LAUNCHES} launches on AWS at once, accepted"
            report.say(label, f"{accepted:.1f} s", "≤ 5 s", accepted <= 5)
            while not all_run(to):
                time.sleep(0.5)
            took = time.perf_counter() - began
            report.say("… all of them running; EC2 grants 2 a second", f"{took:.0f} s")
        with urlopen(f"{environ['AWS_ENDPOINT_URL']}/_double/calls") as answer:
            heard = Counter(call["outcome"] for call in json.load(answer)["calls"])
        calls, refused = sum(heard.values()), heard["RequestLimitExceeded"]
        report.say("… calls to AWS, of these throttled", f"{calls:,}, {refused}")
        survey(environ, report)


def survey(environ: dict[str, str], report: Report) -> None:
    """Time a survey of all machines beside a bare `describe_instances` of boto3, in turns."""
    os.environ.update(environ)  # Prism and boto3 find the double there
    bare = boto3.client("ec2", region_name=REGION)
    ours, theirs = [], []
    cache = InstanceCache(Cloud(REGION))
    for _ in range(SURVEYS + 1):
        began = time.perf_counter()
        bare.describe_instances(MaxResults=1000)
        theirs.append(time.perf_counter() - began)
        began = time.perf_counter()
        machines = cache.survey()
        ours.append(time.perf_counter() - began)
        if len(machines) != LAUNCHES:
            raise RuntimeError(f"{len(machines)} machines")
    mine, plain = median(ours[1:]), median(theirs[1:])
    how = f"{mine * 1000:.0f} ms, {mine / plain:.2f} × a bare DescribeInstances"
    report.say(f"a survey of {LAUNCHES} machines", how)


def launch(port: int, number: int) -> None:
    with closing(Connection(port)) as to:
        post(to, "instances/launch", {"name": f"w{number}", "template": TEMPLATE}, 201)


def post(to: Connection, path: str, body: Mapping[str, object], status: int) -> None:
    answer = to.ask(f"{API}/{path}", "POST", json.dumps(body).encode())
    if answer.status != status:
        raise RuntimeError(f"{path}: {answer.status} {answer.body[:200]!r}")


def all_run(to: Connection) -> bool:
    workspaces = json.loads(to.ask(f"{API}/instances").body)
    return [workspace["state"] for workspace in workspaces] == ["running"] * LAUNCHES


@contextmanager
def double(folder: Path) -> Iterator[dict[str, str]]:
    """Run the double of AWS as a process; yields the environment for its clients."""
    rules = folder / "rules.json"
    rules.write_text(json.dumps({"like": "aws", "times": {"boot": 5}}))
    command = (sys.executable, "-m", "aws_double", "--port", "0", "--rules", rules)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None, "it is a pipe"
    try:
        lines = (process.stdout.readline().split(maxsplit=1)[1] for _ in range(5))
        environ = dict(line.strip().split("=", 1) for line in lines)
        yield environ | {
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "PRISM_CALLER_CIDR": "192.0.2.7/32",
        }
    finally:
        process.terminate()
        process.wait(20)
