"""The crash matrix: each verb, each of its points, and each fault that is possible there."""

import re
from collections import Counter

import pytest

from tests.project.aws.double_with_daemons import DoubleWithDaemons, machines_wrong, storage_wrong
from tests.project.aws.scenarios import ENDED, SCENARIOS
from tests.proofs import record

WAYS = ("lost", "twice", "throttled")
ALIKE = 4  # points
LOOKS = re.compile(r"after (\w+\.)?(Describe|Get|List|GET )")


@pytest.fixture(scope="module")
def double_with_daemons(tmp_path_factory):
    double = DoubleWithDaemons(tmp_path_factory.mktemp("double"))
    try:
        yield double
    finally:
        double.close()


def wrong(scenario, outcome, how="kill"):
    """The differences between the outcome and what `scenario` must lead to."""
    yield from machines_wrong(outcome)
    yield from storage_wrong(outcome)
    state, truth = outcome["said"], outcome["there"]
    states = [workspace[2] for workspace in state["workspaces"]]
    if scenario.state and states not in (
        [scenario.state],
        [] if scenario.state == ENDED else None,
    ):
        yield f"it is {states}, not {scenario.state}"
    expected = {
        "machines": int(scenario.state is not None),
        # One is the disk of the machine.
        "volumes": scenario.volumes + (scenario.state not in {None, ENDED}),
        "files": scenario.files,
        "copies": scenario.copies,
    }
    for id, _, _, tags in truth["machines"]:
        if scenario.tags.items() - tags.items():
            yield f"{id} says {tags}, not {scenario.tags}"
    surplus = state[
        "surplus"
    ]  # CreateSnapshot has no token, so a repeated call makes a second one
    if surplus and (how != "twice" or len(surplus) > 1):
        yield f"these snapshots were made besides: {surplus}"
    for kind, many in expected.items():
        if len([resource for resource in truth[kind] if resource[0] not in surplus]) != many:
            yield f"{many} {kind} should be there, not {truth[kind]}"
    for kind in ("groups", "keys"):
        if len(truth[kind]) > 2:  # one of machines, one of shared volumes
            yield f"{kind}: {truth[kind]}"


def fresh(points, alike):
    """The points that do not repeat those just before them, as in a loop that waits."""
    seen = set()
    for at, name in enumerate(points):
        recently = tuple(points[max(0, at - alike) : at + 1])
        if recently not in seen:
            yield at, name
        seen.add(recently)


def matrix(points):
    """The points and faults to try: a kill at each point, and more faults at calls to AWS."""
    for at, name in fresh(points, ALIKE):
        yield at, "kill"
        if name.startswith("before ") and name != "before commit":
            yield from ((at, how) for how in WAYS)


def changes(points):
    """The first point after each kind of change of the database or of AWS."""
    done = [point for point in enumerate(points) if point[1].startswith("after ")]
    for at, name in fresh([name for _, name in done], 0):
        if not LOOKS.match(name):
            yield done[at][0], "kill"


def costly_changes(points):
    """The points of `changes` after which a machine could be lost or made twice."""
    names = {"after commit", "after RunInstances", "after CreateTags"}
    return [(at, how) for at, how in changes(points) if points[at] in names]


def check_kills(double, name, choose):
    """Tries a verb with a kill or fault at its points; fails if one does harm; returns counts."""
    scenario = SCENARIOS[name]
    points, outcome = double.run(name)
    assert not list(wrong(scenario, outcome))
    calls = [point for point in points if point.startswith("before ") and point != "before commit"]
    assert calls and "after commit" in points, "the verb has no call to AWS or no commit"
    failures, tried, strikes = [], Counter[str](), [*choose(points)]
    for at, how in strikes:
        passed, outcome = double.run(name, at, how)
        failures += [
            f"{at} {points[at]}, {how}: {problem}" for problem in wrong(scenario, outcome, how)
        ]
        tried[at] += len(passed) > at  # threads race, so a run may have a point less
    assert not failures, "\n".join(failures)
    assert tried.total() >= 0.9 * len(strikes), (
        f"only {tried.total()} of {len(strikes)} were struck"
    )
    commits = points.count("after commit")
    those = f"{len(points)} points ({len(calls)} calls, {commits} commits)"
    return f"{those}, {len(tried)} of them distinct; {tried.total()} runs"


@pytest.mark.timeout(900)
def test_launch_survives_kills_after_costly_changes(double_with_daemons):
    check_kills(double_with_daemons, "launch", costly_changes)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["launch", "terminate"])
def test_verb_survives_kills_after_different_changes(double_with_daemons, name):
    check_kills(double_with_daemons, name, changes)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_verb_survives_every_fault_at_every_point(double_with_daemons, name):
    record(f"Killed on AWS: {name}", check_kills(double_with_daemons, name, matrix))
