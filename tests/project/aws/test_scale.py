"""A daemon and a double with AWS's limits: 300 launches at once, and 1,000 workspaces at rest."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import perf_counter

import pytest

from prism.daemon.app import build
from prism.kit.clock import StoppedClock
from prism.profiles.model import NewProfile
from prism.providers.aws.api import rate_limits
from prism.settings import Settings
from prism.workspaces.model import LaunchRequest, WorkspaceState
from tests.conftest import free_port
from tests.project.home import Home
from tests.proofs import record
from tests.rows import every_workspace
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
REGION, CIDR = "us-west-2", "192.0.2.7/32"


@contextlib.contextmanager
def aws(folder, **rules):
    """A double in a process of its own; returns its address."""
    port, file = free_port(), folder / "rules.json"
    file.write_text(json.dumps(rules))
    command = (sys.executable, "-m", "aws_double", "--port", str(port), "--rules", file)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(120)


def answers(url):
    with contextlib.suppress(OSError):
        return bool(double_state(url, "calls"))
    return False


def double_state(url, word):
    with urllib.request.urlopen(f"{url}/_double/{word}", timeout=120) as answer:
        return json.load(answer)


def environ(url, folder):
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "PRISM_CALLER_CIDR": CIDR,
    }


def alive(url):
    return [
        machine
        for machine in double_state(url, "machines")["machines"]
        if machine["state"] == "running"
    ]


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    yield home
    home.clear()


def test_three_hundred_concurrent_launches_all_run(home, tmp_path):
    many = 300
    with aws(tmp_path, like="aws", times={"boot": 5}) as url:
        with home.run_daemon(**environ(url, tmp_path)), ThreadPoolExecutor(16) as people:
            home.client.profiles.create("lab", "aws", region=REGION)
            home.client.profiles.switch("lab")
            home.client.workspaces.plan(
                "Plain Shell", "first"
            )  # AWS has answered with the identity
            began = perf_counter()
            names = [f"w{n}" for n in range(many)]
            launch = home.client.workspaces.launch
            answers = list(people.map(lambda name: launch("Plain Shell", name), names))
            accepted = perf_counter() - began
            assert {answer.state for answer in answers} == {WorkspaceState.LAUNCHING}
            states = eventually(lambda: states_when_all(home, many, WorkspaceState.RUNNING), 900)
            assert states == {WorkspaceState.RUNNING: many}
            took = perf_counter() - began
            assert len(alive(url)) == many == len(double_state(url, "machines")["machines"])
            assert not [
                workspace.failure
                for workspace in home.client.workspaces.list()
                if workspace.failure
            ]
        outcomes = Counter(call["outcome"] for call in double_state(url, "calls")["calls"])
    record(
        "300 launches on AWS at once",
        f"{many} launches were accepted in {accepted:.1f} s, and all machines ran after "
        f"{took:.0f} s (AWS grants 2 machines a second). AWS was called "
        f"{sum(outcomes.values())} times and throttled {outcomes['RequestLimitExceeded']} of "
        "these calls. No user saw an error.",
    )
    assert accepted <= 5


def states_when_all(home, many, state):
    states = Counter(home.states())
    return states if states[state] == many else None


def fill_home(home, url, many, monkeypatch):
    """Fills a home with so many machines, without waiting for AWS's rate limits."""
    for name, value in environ(url, home.folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rate_limits, "DEPTHS", (("*", rate_limits.BucketSize(1e6, 1e6)),))
    clock = StoppedClock(datetime.now(UTC))
    settings = Settings(home=str(home.folder), user="ada@example.org", caller_cidr=CIDR)
    daemon = build(settings, None, clock)
    daemon.prepare()
    daemon.profiles.create(NewProfile(name="lab", provider="aws", region=REGION))
    daemon.profiles.switch("lab")
    for n in range(many):
        daemon.workspaces.launch(LaunchRequest(name=f"w{n}", template="Plain Shell"))

    daemon.aws.look(10)
    [location] = daemon.aws.connected
    loop, *_ = daemon.join(location)  # the loop of idle rules would wait for addresses

    def running():
        clock.advance(seconds=3)
        loop.mark_due()
        while loop.once():
            pass
        return all(entry.observed == "on" for entry in every_workspace(daemon.db))

    eventually(running, 600)
    daemon.close()


def test_thousand_workspaces_at_rest_cost_at_most_four_calls_a_minute(home, tmp_path, monkeypatch):
    many = 1000
    with aws(tmp_path) as url:
        fill_home(home, url, many, monkeypatch)
        assert len(alive(url)) == many
        before = len(double_state(url, "calls")["calls"])
        with home.run_daemon(**environ(url, tmp_path)):
            surveys = lambda: first_pages(double_state(url, "calls")["calls"][before:])  # noqa: E731
            eventually(lambda: len(surveys()) >= 3, 300)  # it has come to rest
            rested, at = surveys()[-1], len(double_state(url, "calls")["calls"])
            eventually(lambda: len(surveys()) >= 8, 600)
            last = surveys()[-1]
            assert home.states() == [WorkspaceState.RUNNING] * many
        calls = [
            call for call in double_state(url, "calls")["calls"][at:] if call["at"] <= last["at"]
        ]
    minutes = (time_of(last) - time_of(rested)).total_seconds() / 60
    rate = len(calls) / minutes
    record(
        "1,000 workspaces at rest on AWS",
        f"{len(calls)} calls in {minutes:.1f} minutes, {rate:.1f} a minute for each region: "
        + ", ".join(
            f"{n} × {action}" for action, n in Counter(call["action"] for call in calls).items()
        )
        + ".",
    )
    assert rate <= 4


def first_pages(calls):
    """The first page of each survey."""
    return [call for call in calls if call["action"] == "DescribeInstances"]


def time_of(call):
    return datetime.fromisoformat(call["at"])
