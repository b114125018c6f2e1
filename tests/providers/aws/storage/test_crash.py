"""Storage on AWS stays consistent if the daemon is killed at any point, or any call fails."""

import re

import pytest

from aws_double.rulebook import build
from tests.proofs import record
from tests.providers.aws.storage.life import (
    Life,
    check_final_state,
    of_disks,
    of_shares,
    run_story,
)

STORIES = [of_disks, of_shares]
WAYS = ["lost", "twice", "throttle", "drop", "error"]
WORDS: dict[object, str] = {of_disks: "volumes", of_shares: "shared volumes"}
WORDS |= {
    "lost": "whose answer is lost",
    "twice": "that arrives twice",
    "throttle": "that is throttled",
}
WORDS |= {"drop": "that never arrives", "error": "that fails inside AWS"}
FEW = 41
HEALTHY: dict[object, tuple[list[str], list[str]]] = {}


@pytest.fixture
def begin_life(stopped_aws, cloud, tmp_path):
    lives: list[Life] = []

    def life():
        stopped_aws.reset()
        stopped_aws.clock.stop()
        begun = Life(stopped_aws, cloud, tmp_path / f"state{len(lives)}.db")
        lives.append(begun)
        return begun

    yield life
    for begun in lives:
        begun.close()


def healthy(begin, story):
    """A life in which nothing goes wrong, the same each time."""
    if story not in HEALTHY:
        life = begin()
        before = len(life.aws.calls)
        run_story(life, story)
        check_final_state(life, story)
        HEALTHY[story] = life.points.passed, [call.action for call in life.aws.calls[before:]]
    return HEALTHY[story]


def kill_points(begin, story):
    """The points after a change; a kill at another point is the same as at one of these."""
    passed, _ = healthy(begin, story)
    changed = [text.startswith("after") and "Describe" not in text for text in passed]
    return [at for at, changed in enumerate(changed) if changed]


def changing_calls(begin, story):
    """The calls that change something; `Cloud` repeats those that only read."""
    _, calls = healthy(begin, story)
    return [at for at, action in enumerate(calls) if not action.startswith("Describe")]


def run_and_kill(begin, story, at):
    life = begin()
    life.points.die_at = at
    run_story(life, story)
    assert len(life.points.passed) > at, "the daemon was not killed"
    check_final_state(life, story)


def run_with_fault(begin, story, way, call):
    life = begin()
    before = len(life.aws.calls)
    life.aws.fault(call=before + call + 1, do=way)
    run_story(life, story)
    outcome = life.aws.calls[before + call].outcome
    life.aws.rules = build({})
    check_final_state(life, story)
    return outcome


@pytest.mark.parametrize("story", STORIES)
def test_points_include_every_commit_script_and_changing_call(begin_life, story):
    passed, _ = healthy(begin_life, story)
    passed = {re.sub("^(before|after) ", "", point) for point in passed}
    expected = {
        of_disks: {
            "commit",
            "machine",
            "ec2:AttachVolume",
            "ec2:CreateSnapshot",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DeleteSnapshot",
            "ec2:DeleteVolume",
            "ec2:DetachVolume",
        },
        of_shares: {
            "commit",
            "machine",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CreateSecurityGroup",
            "efs:CreateFileSystem",
            "efs:CreateMountTarget",
            "efs:DeleteFileSystem",
            "efs:DeleteMountTarget",
            "efs:TagResource",
            "efs:UntagResource",
        },
    }
    assert expected[story] <= passed


@pytest.mark.parametrize("story", STORIES)
def test_storage_is_consistent_after_a_kill_at_some_points(begin_life, story):
    for at in kill_points(begin_life, story)[1::FEW]:
        run_and_kill(begin_life, story, at)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", STORIES)
def test_storage_is_consistent_after_a_kill_at_every_point(begin_life, story):
    points = kill_points(begin_life, story)
    assert len(points) > 30
    for at in points:
        run_and_kill(begin_life, story, at)
    record(
        f"Storage on AWS: killed, {WORDS[story]}",
        f"once after each of {len(points)} commits, calls to AWS and scripts on a machine",
    )


@pytest.mark.parametrize(
    ("story", "way"), [*zip([*STORIES, *STORIES, of_disks], WAYS, strict=True)]
)
def test_storage_is_consistent_after_a_fault_of_some_calls(begin_life, story, way):
    calls = changing_calls(begin_life, story)
    call = calls[len(calls) * WAYS.index(way) // len(WAYS)]
    assert run_with_fault(begin_life, story, way, call) != "ok"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("story", STORIES)
def test_storage_is_consistent_after_a_fault_of_every_call(begin_life, story, way):
    calls = changing_calls(begin_life, story)
    for call in calls:
        assert run_with_fault(begin_life, story, way, call) != "ok"
    record(
        f"Storage on AWS: a call {WORDS[way]}, {WORDS[story]}",
        f"tried once with each of {len(calls)} calls that change something",
    )
