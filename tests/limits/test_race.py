"""Hostile requests from many threads: nobody passes a limit."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from prism.budgets.model import Holder
from prism.limits import store
from prism.limits.plan import running
from tests.proofs import record

pytestmark = pytest.mark.postgres
MOST, MONTHLY, THREADS = 3, 1.0, 16
VERBS = ("start", "stop", "resume", "hibernate", "restart", "extend", "terminate")


def hostile(team, caller, rng):
    """One request: a launch with any size, a verb, another limit, a token, or a project."""
    name = f"w{rng.randrange(6)}"
    kind = rng.random()
    if kind < 0.5:
        disk = {"ebs_volume_size": rng.choice([8, 20])}
        more = {"ttl_hours": rng.choice([1, 8])} if rng.random() < 0.5 else {}
        return team.launch(caller, name, size=rng.choice("SML"), storage=disk, **more)
    if kind < 0.9:
        body = {"extend": {"hours": 2}, "terminate": {"confirm": "DELETE"}}
        verb = rng.choice(VERBS)
        path = f"instances/{name}/{verb}"
        return team(caller, "POST", path, **({"json": body[verb]} if verb in body else {}))
    if kind < 0.95:
        raised = {"person": f"{caller}@x.org", "workspaces": 99, "monthly": 900.0}
        return team(caller, "PUT", "limits", json=raised)
    return team(caller, "PUT", "limits", json={"role": "member", "project": "Reef", "gpus": 9})


def attack(team, requests):
    for caller in ("member", "admin"):
        fields = {"person": f"{caller}@x.org", "workspaces": MOST, "monthly": MONTHLY}
        assert team("operator", "PUT", "limits", json=fields).status_code == 200

    def ask(number):
        rng = random.Random(number)
        caller = rng.choice(["member", "admin"])
        answer = hostile(team, caller, rng)
        if number % 50 == 0:
            team.daemon.settle(rounds=2)
        return answer.status_code

    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        for batch in range(0, requests, 200):
            statuses = set(threads.map(ask, range(batch, min(requests, batch + 200))))
            assert max(statuses) < 500, statuses
            require_within_limits(team)
    return time.monotonic() - began


def require_within_limits(team):
    for caller in ("member", "admin"):
        [use] = [
            use
            for use in team(caller, "GET", "limits/mine").json()["limits"]
            if use["limit"]["scope"] == "person"
        ]
        assert (use["limit"]["workspaces"], use["limit"]["monthly"]) == (MOST, MONTHLY)
        assert use["spent"] + use["reserved"] <= MONTHLY + 0.01, use
        with team.daemon.db.read() as sql:
            now = running(store.living(sql, Holder("person", f"{caller}@x.org")))
        assert now.workspaces <= MOST


def test_nobody_passes_a_limit_in_hostile_requests(priced_team):
    attack(priced_team, 400)
    launched = priced_team("operator", "GET", "instances").json()
    assert launched, "some requests were granted"


@pytest.mark.slow
def test_nobody_passes_a_limit_in_10000_hostile_requests(priced_team):
    took = attack(priced_team, 10_000)
    where = "PostgreSQL" if priced_team.daemon.db.shared else "SQLite"
    record(
        f"Ten thousand hostile requests of two people with limits, {where}",
        f"{THREADS} threads; nobody passed a limit of {MOST} workspaces or ${MONTHLY:.2f} a "
        f"month; {took:.0f} s",
    )
