"""Killed at every point of every verb, and every call gone wrong: one each, nothing lost."""

import re

import pytest

from tests.providers.aws.storage.life import Life, alone, lived, of_disks, of_shares

STORIES = [of_disks, of_shares]
WAYS = ["lost", "twice", "throttle", "drop", "error"]
FEW = 23


@pytest.fixture
def begin(stopped, cloud, tmp_path):
    lives = []

    def life():
        stopped.reset()
        stopped.clock.stop()
        made = Life(stopped, cloud, tmp_path / f"state{len(lives)}.db")
        lives.append(made)
        return made

    yield life
    for made in lives:
        made.close()


def points(begin, story):
    """What is passed when nothing goes wrong."""
    life = begin()
    lived(life, story)
    alone(life, story)
    return life.points.passed


def dies(begin, story, at):
    life = begin()
    life.points.die_at = at
    lived(life, story)
    assert len(life.points.passed) > at, "it did die"
    alone(life, story)


def errs(begin, story, way, call):
    life = begin()
    first = len(life.aws.calls)
    life.aws.fault(call=first + call, do=way)
    lived(life, story)
    alone(life, story)


@pytest.mark.parametrize("story", STORIES)
def test_every_verb_announces_itself(begin, story):
    passed = {re.sub("^(before|after) ", "", it) for it in points(begin, story)}
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
def test_death_at_a_point_now_and_then(begin, story):
    for at in range(0, len(points(begin, story)), FEW):
        dies(begin, story, at)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", STORIES)
def test_death_at_every_point(begin, story):
    for at in range(len(points(begin, story))):
        dies(begin, story, at)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("story", STORIES)
def test_a_call_goes_wrong_now_and_then(begin, story, way):
    for call in range(WAYS.index(way), calls(begin, story), FEW):
        errs(begin, story, way, call)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("story", STORIES)
def test_every_call_goes_wrong(begin, story, way):
    for call in range(calls(begin, story)):
        errs(begin, story, way, call)


def calls(begin, story):
    """How many calls it takes when nothing goes wrong."""
    return sum(
        it.startswith("before ec2:") or it.startswith("before efs:") for it in points(begin, story)
    )
