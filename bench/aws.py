"""EC2's double, as busy as EC2 is: launches at once, and what a look at all machines costs."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from statistics import median
from urllib.request import urlopen

import boto3
from living import REAL, daemon, home
from load import Connection
from page import Report
from reads import API, TEMPLATE

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.compute.survey import InstanceCache

LAUNCHES, PEOPLE, LOOKS = 300, 16, 7
REGION = "us-west-2"


def aws(report: Report) -> None:
    """A real daemon with a profile of AWS."""
    with home() as folder, double(folder) as environ:
        with daemon(folder, REAL, **environ) as it, closing(Connection(it.port)) as to:
            profile = {"name": "lab", "provider": "aws", "region": REGION}
            asked(to, "profiles", profile, 201)
            asked(to, "profiles/switch", {"profile_name": "lab"}, 200)
            plan = {"name": "first", "template": TEMPLATE, "dry_run": True}
            asked(to, "instances/launch", plan, 200)  # by now AWS has said who we are
            began = time.perf_counter()
            with ThreadPoolExecutor(PEOPLE) as people:
                list(people.map(lambda n: launch(it.port, n), range(LAUNCHES)))
            accepted = time.perf_counter() - began
            what = f"{LAUNCHES} launches on AWS at once, accepted"
            report.say(what, f"{accepted:.1f} s", "≤ 5 s", accepted <= 5)
            while not all_run(to):
                time.sleep(0.5)
            took = time.perf_counter() - began
            report.say("… all of them running; EC2 grants 2 a second", f"{took:.0f} s")
        with urlopen(f"{environ['AWS_ENDPOINT_URL']}/_double/calls") as answer:
            heard = Counter(call["outcome"] for call in json.load(answer)["calls"])
        calls, refused = sum(heard.values()), heard["RequestLimitExceeded"]
        report.say("… calls to AWS, of these throttled", f"{calls:,}, {refused}")
        looks(environ, report)


def looks(environ: dict[str, str], report: Report) -> None:
    """Our look at all machines, beside a bare one of boto3's, in turns."""
    os.environ.update(environ)  # both find the double there, as the daemon did
    bare = boto3.client("ec2", region_name=REGION)
    ours, theirs = [], []
    book = InstanceCache(Cloud(REGION))
    for _ in range(LOOKS + 1):
        began = time.perf_counter()
        bare.describe_instances(MaxResults=1000)
        theirs.append(time.perf_counter() - began)
        began = time.perf_counter()
        found = book.survey()
        ours.append(time.perf_counter() - began)
        if len(found) != LAUNCHES:
            raise RuntimeError(f"{len(found)} machines")
    mine, plain = median(ours[1:]), median(theirs[1:])
    how = f"{mine * 1000:.0f} ms, {mine / plain:.2f} × a bare DescribeInstances"
    report.say(f"a survey of {LAUNCHES} machines", how)


def launch(port: int, number: int) -> None:
    with closing(Connection(port)) as to:
        asked(to, "instances/launch", {"name": f"w{number}", "template": TEMPLATE}, 201)


def asked(to: Connection, path: str, body: dict, status: int) -> None:
    answer = to.ask(f"{API}/{path}", "POST", json.dumps(body).encode())
    if answer.status != status:
        raise RuntimeError(f"{path}: {answer.status} {answer.body[:200]!r}")


def all_run(to: Connection) -> bool:
    found = json.loads(to.ask(f"{API}/instances").body)
    return len(found) == LAUNCHES and {it["state"] for it in found} == {"running"}


@contextmanager
def double(folder):
    """A process that takes itself for AWS: what its clients want in their environment."""
    rules = folder / "rules.json"
    rules.write_text(json.dumps({"like": "aws", "times": {"boot": 5}}))
    command = (sys.executable, "-m", "aws_double", "--port", "0", "--rules", rules)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        said = (process.stdout.readline().split(maxsplit=1)[1] for _ in range(5))
        environ = dict(line.strip().split("=", 1) for line in said)
        yield environ | {
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "PRISM_CALLER_CIDR": "192.0.2.7/32",
        }
    finally:
        process.terminate()
        process.wait(20)
