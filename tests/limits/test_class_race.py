"""A class of 120 against a real daemon over HTTP, from many threads: nobody passes her limit."""

import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from prism.projects.model import NewBudget
from prism.workspaces.plan import ACTIVE
from tests.conftest import free_port
from tests.project.home import Home
from tests.proofs import record

SERVING_DAEMON = (sys.executable, str(Path(__file__).with_name("serving_daemon.py")))
STUDENTS, THREADS = 120, 16
WORKSPACES, MONTHLY = 2, 3.0
PEOPLE = [f"s{number:03}@x.org" for number in range(STUDENTS)]
RUNS = {*map(str, ACTIVE), "running", "stopping", "hibernating", "restarting"}
VERBS = ("start", "stop", "resume", "hibernate", "restart")
BATCH = 400
REFUSALS = ("LIMIT_REACHED", "BUDGET_EXCEEDED")
PLAIN = "Plain Shell"


class Class:
    """The students, each with a token, and their teacher, who runs the daemon."""

    def __init__(self, home, http):
        self.home, self.http = home, http
        home.client.projects.create("stat", budget=NewBudget(total_allocated=100_000.0))
        self.teacher = self.token("ada@example.org")
        limit = {"person": "*", "workspaces": WORKSPACES, "gpus": 0, "monthly": MONTHLY}
        assert self.ask(self.teacher, "PUT", "limits", limit).status_code == 200
        self.tokens = {}
        for person in PEOPLE:
            home.client.members.add("stat", person)
            self.tokens[person] = self.token(person)

    def token(self, user):
        return self.home.client.tokens.create(f"of {user}", user=user, scope="admin").token

    def ask(self, token, method, path, body=None):
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.request(method, path, headers=headers, json=body)


def hostile_request(rng, me):
    """Method, path and body of what a student sends who wants more than her limit."""
    number, other = rng.randrange(4), rng.choice(PEOPLE).partition("@")[0]
    mine = f"w{number}"
    name = rng.choice([mine, mine, mine, f"{mine}--{other}"])
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    order = {"name": mine, "template": PLAIN, "project": "stat", "size": rng.choice(["XS", "S"])}
    launch = ("POST", "instances/launch")
    size = rng.choice(["XS", "M", "XL"])
    choices = [
        *[(*launch, order)] * 6,
        (*launch, {**order, "owner": rng.choice(PEOPLE)}),
        (*launch, {**order, "owner": f"{me.upper()}"}),
        (*launch, {**order, "size": "GPU-S"}),
        (*launch, {**order, "ttl_hours": 8760}),
        *[("POST", f"instances/{name}/{rng.choice(VERBS)}", None)] * 6,
        ("POST", f"instances/{name}/resize", {"size": size}),
        ("POST", f"instances/{name}/extend", {"hours": rng.choice([1, 700])}),
        ("POST", f"instances/{mine}/terminate", {"confirm": "DELETE"}),
        ("POST", f"instances/{mine}/shares", {"terminal": True, "guest": me, "until": until}),
        (
            "POST",
            f"instances/{mine}/shares",
            {"terminal": True, "guest": "everybody", "until": until, "may_wake": True},
        ),
        ("POST", "requests", {"kind": "workspaces", "count": 5}),
        ("POST", "requests", {"kind": "money", "usd": 500.0}),
        ("PUT", "limits", {"person": me, "workspaces": 99, "monthly": 900.0}),
        ("PUT", "limits", {"role": "member", "project": "stat", "workspaces": 99}),
        ("POST", "tokens", {"name": "more", "user": rng.choice(PEOPLE), "scope": "admin"}),
    ]
    return rng.choice(choices)


def send(people, number):
    """One request; neighbours in number are of the same student, so that they race."""
    rng = random.Random(number)
    me = PEOPLE[number // THREADS % STUDENTS]
    method, path, body = hostile_request(rng, me)
    answer = people.ask(people.tokens[me], method, path, body)
    if path == "requests" and answer.status_code == 201:
        grant = f"requests/{answer.json()['id']}/grant"
        assert people.ask(people.tokens[me], "POST", grant).status_code >= 400
    code = answer.json()["error"]["code"] if answer.is_error else ""
    return f"{method} {path.partition('/')[0]}", answer.status_code, code


def require_within_limits(people):
    """What the daemon shows of all workspaces, and of each student's money."""
    rows = people.ask(people.teacher, "GET", "instances").json()
    running = Counter(row["owner"] for row in rows if row["state"] in RUNS)
    assert max(running.values(), default=0) <= WORKSPACES, running.most_common(3)
    assert set(running) <= {*PEOPLE}
    return len(rows)


def require_money_within_limits(people):
    for person in PEOPLE:
        uses = people.ask(people.tokens[person], "GET", "limits/mine").json()["limits"]
        [use] = [use for use in uses if use["limit"]["monthly"] is not None]
        assert (use["limit"]["workspaces"], use["limit"]["monthly"]) == (WORKSPACES, MONTHLY)
        assert use["spent"] + use["reserved"] <= MONTHLY + 0.01, (person, use)


def attack(people, requests):
    """Send them all; how long it took, and how many answers there were of each kind."""
    answers: Counter[tuple[str, int, str]] = Counter()
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        for start in range(0, requests, BATCH):
            numbers = range(start, min(requests, start + BATCH))
            answers.update(threads.map(lambda number: send(people, number), numbers))
            require_within_limits(people)
    require_money_within_limits(people)
    failed = {answer: count for answer, count in answers.items() if answer[1] >= 500}
    assert not failed, failed
    assert answers["POST instances", 201, ""], "some launches were granted"
    limits = [answers["POST instances", 403, code] for code in REFUSALS]
    assert sum(limits), f"nobody came to a limit: {answers}"
    return time.monotonic() - began, answers


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgres)])
def people(request, tmp_path):
    home, port = Home(tmp_path / "home"), free_port()
    settings = {"PRISM_AUTH": "tokens", "PRISM_PORT": str(port), "PRISM_LOCAL_PRICES": "aws"}
    if request.param == "PostgreSQL":
        copy = request.getfixturevalue("copy_database")
        settings["PRISM_DATABASE_URL"] = copy("template1", to="class")
    with home.run_daemon(SERVING_DAEMON, **settings):
        base = f"http://127.0.0.1:{port}/api/v1/"
        with httpx.Client(base_url=base, timeout=300, trust_env=False) as http:
            yield Class(home, http)


def test_nobody_of_a_class_passes_her_limit(people):
    attack(people, 800)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nobody_of_a_class_passes_her_limit_in_10000_hostile_requests(people, request):
    took, answers = attack(people, 10_000)
    granted = sum(count for (_, status, _), count in answers.items() if status < 400)
    record(
        "Ten thousand hostile requests of a class of 120, "
        + request.node.callspec.params["people"],
        f"A real daemon over HTTP and {THREADS} threads: launches (also for others, of any size "
        "and with GPUs), verbs, sizes and extensions of own and foreign workspaces, shares, "
        "requests for more and attempts to grant them, limits and tokens. "
        f"{granted} of 10,000 were granted. Nobody had more than {WORKSPACES} workspaces at once "
        f"or ${MONTHLY:.2f} a month; {took:.0f} s.",
    )
