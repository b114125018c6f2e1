"""Pure decisions: the limits of AWS, the states of volumes, and the next step."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from msgspec.structs import replace

from prism.errors import ValidationFailed
from prism.kit.money import Micros
from prism.storage.model import (
    Attachment,
    AttachmentHost,
    NewVolume,
    Snapshot,
    SnapshotState,
    StorageObserved,
    StorageVerb,
    Volume,
    VolumeKind,
    VolumeState,
)
from prism.storage.plan import (
    StorageAction,
    checked,
    monthly_cost,
    observed_attachments,
    perceive,
    plan_snapshot,
    plan_volume,
    snapshot_state,
    volume_state,
)
from tests.optional import not_none

AT = datetime(2026, 1, 1, tzinfo=UTC)
GIB = 2**30


def ebs(**more):
    return replace(NewVolume(type=VolumeKind.EBS, name="data", size_gb=100), **more)


UP, OFF = {"up": True}, {"quiet": True}
BOOTS: dict[str, bool] = {}


def volume(**more):
    usual = Volume(
        id="v",
        name="data",
        kind=VolumeKind.EBS,
        owner="ada",
        location="here",
        size_gb=10,
        created_at=AT,
    )
    return replace(usual, **more)


def snapshot(**more):
    usual = Snapshot(
        id="s",
        name="kept",
        owner="ada",
        location="here",
        source="workspace",
        source_id="w",
        source_name="mine",
        kind=VolumeKind.EBS,
        size_gb=8,
        volume_type="gp3",
        created_at=AT,
    )
    return replace(usual, **more)


def host(**more):
    usual = AttachmentHost(
        id="w", name="mine", location="here", machine="m", quiet=False, ended=False
    )
    return replace(usual, **more)


def link(**more):
    return Attachment(volume="v", workspace="w", name="mine", **more)


ALLOWED = [
    {},
    {"size_gb": 1},
    {"size_gb": 65536},
    {"iops": 4000, "throughput": 250},
    {"iops": 80000, "size_gb": 160},
    {"iops": 8000, "throughput": 2000},
    {"volume_type": "gp2", "size_gb": 16384},
    {"volume_type": "st1", "size_gb": 16384},
    {"size_gb": 1, "iops": 3000},
    {"throughput": 750},
    {"volume_type": "gp2"},
    {"volume_type": "io2", "iops": 100, "size_gb": 4},
    {"volume_type": "io2", "iops": 256000, "size_gb": 256},
    {"volume_type": "io2", "iops": 100, "size_gb": 65536},
    {"volume_type": "st1", "size_gb": 125},
]
REFUSED = [
    ({"size_gb": 65537}, "size_gb", "1 to 65536"),
    ({"volume_type": "gp2", "size_gb": 16385}, "size_gb", "1 to 16384"),
    ({"volume_type": "st1", "size_gb": 16385}, "size_gb", "125 to 16384"),
    ({"iops": 2999}, "iops", "3000 to 80000"),
    ({"iops": 80001, "size_gb": 200}, "iops", "3000 to 80000"),
    ({"throughput": 2000, "iops": 7999}, "throughput", "0.25 MiB/s per IOPS, of 7999"),
    ({"iops": 5001, "size_gb": 10}, "iops", "at most 500 per GB, 5000 with 10 GB"),
    ({"throughput": 124}, "throughput", "125 to 2000"),
    ({"throughput": 2001, "iops": 16000}, "throughput", "125 to 2000"),
    ({"throughput": 751}, "throughput", "0.25 MiB/s per IOPS, of 3000"),
    ({"volume_type": "gp2", "iops": 3000}, "iops", "takes none"),
    ({"volume_type": "gp2", "throughput": 125}, "throughput", "takes none"),
    ({"volume_type": "io2"}, "iops", "required for io2"),
    ({"volume_type": "io2", "iops": 99}, "iops", "100 to 256000"),
    ({"volume_type": "io2", "iops": 4001, "size_gb": 4}, "iops", "at most 1000 per GB"),
    ({"volume_type": "io2", "iops": 100, "size_gb": 3}, "size_gb", "4 to 65536"),
    ({"volume_type": "io2", "iops": 100, "throughput": 125}, "throughput", "takes none"),
    ({"volume_type": "st1", "size_gb": 124}, "size_gb", "125 to 16384"),
    ({"volume_type": "st1", "size_gb": 125, "iops": 500}, "iops", "takes none"),
    ({"size_gb": None}, "size_gb", "required"),
    ({"name": "create"}, "name", "reserved"),
]


@pytest.mark.parametrize("order", ALLOWED, ids=str)
def test_volume_within_the_limits_of_aws_is_accepted(order):
    disk = checked(ebs(**order))
    assert disk.volume_type == order.get("volume_type", "gp3")
    if disk.volume_type == "gp3":
        assert (disk.iops or 0) >= 3000
        assert (disk.throughput or 0) >= 125


@pytest.mark.parametrize(("order", "field", "why"), REFUSED, ids=str)
def test_volume_beyond_a_limit_of_aws_is_refused_with_the_limit(order, field, why):
    body = {"name": "data", "size_gb": 100} | order
    with pytest.raises(ValidationFailed) as refused:
        checked(NewVolume(type=VolumeKind.EBS, **body))
    [wrong] = not_none(refused.value.data)["fields"]
    assert (wrong["field"], why in wrong["why"]) == (field, True), wrong


def test_all_exceeded_limits_are_named_together():
    with pytest.raises(ValidationFailed) as refused:
        checked(ebs(volume_type="st1", size_gb=1, iops=1, throughput=1))
    assert {field["field"] for field in not_none(refused.value.data)["fields"]} == {
        "size_gb",
        "iops",
        "throughput",
    }


@pytest.mark.parametrize("field", ["size_gb", "volume_type", "iops", "throughput"])
def test_shared_volume_accepts_neither_size_nor_type(field):
    value = "gp3" if field == "volume_type" else 3000
    with pytest.raises(ValidationFailed) as refused:
        checked(replace(NewVolume(type=VolumeKind.EFS, name="all"), **{field: value}))
    assert not_none(refused.value.data)["fields"][0]["field"] == field
    assert checked(NewVolume(type=VolumeKind.EFS, name="all")).volume_type is None


STATES = [
    (StorageObserved.NONE, [], VolumeState.CREATING),
    (StorageObserved.MAKING, [], VolumeState.CREATING),
    (StorageObserved.THERE, [], VolumeState.AVAILABLE),
    (StorageObserved.THERE, [link()], VolumeState.ATTACHING),
    (StorageObserved.THERE, [link(attached=True)], VolumeState.IN_USE),
    (StorageObserved.THERE, [link(attached=True, wanted=False)], VolumeState.DETACHING),
    (StorageObserved.BROKEN, [], VolumeState.ERROR),
    (StorageObserved.GONE, [], VolumeState.ERROR),
]


@pytest.mark.parametrize(("seen", "links", "state"), STATES, ids=str)
def test_volume_state_follows_from_observation_and_attachments(seen, links, state):
    assert volume_state(volume(observed=seen), links) is state
    leaving = volume(observed=seen, verb=StorageVerb.DELETE)
    gone = seen in {StorageObserved.NONE, StorageObserved.GONE}
    assert volume_state(leaving, links) is (VolumeState.DELETED if gone else VolumeState.DELETING)


def test_shared_volume_with_an_attachment_is_available():
    assert volume_state(
        volume(kind=VolumeKind.EFS, observed=StorageObserved.THERE), [link(attached=True)]
    ) == (VolumeState.AVAILABLE)


def test_next_step_of_a_volume_follows_from_observation_and_attachments():
    hosts = {"w": host()}
    steps = [
        (StorageObserved.NONE, [], StorageAction.MAKE),
        (StorageObserved.UNSURE, [], StorageAction.MAKE),
        (StorageObserved.MAKING, [link()], StorageAction.WAIT),
        (StorageObserved.THERE, [], StorageAction.REST),
        (StorageObserved.THERE, [link()], StorageAction.ATTACH),
        (StorageObserved.THERE, [link(attached=True)], StorageAction.REST),
        (StorageObserved.THERE, [link(attached=True, wanted=False)], StorageAction.DETACH),
        (StorageObserved.BROKEN, [], StorageAction.REST),
        (StorageObserved.GONE, [], StorageAction.REST),
    ]
    for seen, links, act in steps:
        assert plan_volume(volume(), seen, links, hosts).act is act, (seen, links)


@pytest.mark.parametrize("hosts", [{}, {"w": host(ended=True)}], ids=["deleted", "ended"])
def test_volume_of_an_ended_workspace_is_detached(hosts):
    assert (
        plan_volume(volume(), StorageObserved.THERE, [link(attached=True)], hosts).act
        is StorageAction.DETACH
    )
    assert plan_volume(volume(), StorageObserved.THERE, [link()], hosts).act is StorageAction.REST


def test_attachment_waits_until_the_machine_is_known():
    hosts = {"w": host(machine=None)}
    assert plan_volume(volume(), StorageObserved.THERE, [link()], hosts).act is StorageAction.WAIT


@pytest.mark.parametrize(
    ("how", "act"),
    [(UP, StorageAction.ATTACH), (BOOTS, StorageAction.WAIT), (OFF, StorageAction.ATTACH)],
    ids=str,
)
def test_attachment_to_a_booting_machine_waits_if_the_provider_requires_it(how, act):
    hosts = {"w": host(**how)}
    assert plan_volume(volume(), StorageObserved.THERE, [link()], hosts, early=False).act is act
    assert (
        plan_volume(volume(), StorageObserved.THERE, [link()], hosts).act is StorageAction.ATTACH
    )
    leaving = [link(attached=True, wanted=False)]
    assert (
        plan_volume(volume(), StorageObserved.THERE, leaving, hosts, early=False).act
        is StorageAction.DETACH
    )


def test_volume_is_detached_before_it_is_attached_elsewhere():
    other = Attachment(volume="v", workspace="x", name="other")
    hosts = {"w": host(), "x": host(id="x")}
    leaving = link(attached=True, wanted=False)
    assert (
        plan_volume(volume(), StorageObserved.THERE, [leaving, other], hosts).attachment == leaving
    )
    staying = link(attached=True)
    assert (
        plan_volume(volume(), StorageObserved.THERE, [staying, other], hosts).act
        is StorageAction.REST
    )


@pytest.mark.parametrize(
    ("how", "counted", "counts", "act"),
    [
        (UP, False, False, StorageAction.ATTACH),
        (UP, True, True, StorageAction.ATTACH),
        (BOOTS, False, False, StorageAction.WAIT),
        (OFF, False, True, StorageAction.REST),
        (OFF, True, True, StorageAction.REST),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", VolumeKind)
def test_attachment_counts_once_the_machine_is_on_and_has_mounted_it(
    kind, how, counted, counts, act
):
    hosts, row = {"w": host(**how)}, volume(kind=kind)
    [seen] = observed_attachments([link(attached=counted, machine="m")], hosts, {"m"}, {"m"})
    assert seen.attached is counts
    assert plan_volume(row, StorageObserved.THERE, [seen], hosts, {"m"}).act is act
    [seen] = observed_attachments([seen], hosts, {"m"})
    assert (seen.attached, plan_volume(row, StorageObserved.THERE, [seen], hosts).act) == (
        True,
        StorageAction.REST,
    )


@pytest.mark.parametrize("seen", StorageObserved)
def test_volume_being_deleted_is_never_made_or_attached(seen):
    leaving = volume(verb=StorageVerb.DELETE)
    step = plan_volume(leaving, seen, [], {})
    assert step.act in {StorageAction.DELETE, StorageAction.WAIT, StorageAction.FORGET}
    assert (step.act is StorageAction.FORGET) is (
        seen in {StorageObserved.NONE, StorageObserved.GONE}
    )


def test_volume_is_not_deleted_while_a_machine_has_it():
    """Such as a machine that was unknown at the time of the request; its data would be lost."""
    leaving, hosts = volume(verb=StorageVerb.DELETE), {"w": host()}
    for links in (
        [link(attached=True)],
        [Attachment(volume="v", workspace="m", name="", machine="m", attached=True)],
    ):
        step = plan_volume(leaving, StorageObserved.THERE, links, hosts)
        assert step.act is StorageAction.WAIT, links
    unwanted = [link(attached=True, wanted=False)]
    step = plan_volume(leaving, StorageObserved.THERE, unwanted, hosts)
    assert step.act is StorageAction.DETACH
    assert plan_volume(leaving, StorageObserved.THERE, [], hosts).act is StorageAction.DELETE


def test_next_step_of_a_snapshot_follows_from_observation_and_tries():
    for seen, tried in product(StorageObserved, (0, 1)):
        act = plan_snapshot(snapshot(attempted_generation=tried), seen, host())
        expected = {
            StorageObserved.THERE: StorageAction.REST,
            StorageObserved.UNSURE: StorageAction.WAIT,
            StorageObserved.MAKING: StorageAction.WAIT,
            StorageObserved.DELETING: StorageAction.WAIT,
            StorageObserved.BROKEN: StorageAction.REST if tried else StorageAction.MAKE,
        }
        assert act is expected.get(seen, StorageAction.MAKE), (seen, tried)


def test_backup_snapshot_waits_until_the_workspace_has_stopped():
    last = snapshot(holds=True)
    assert plan_snapshot(last, StorageObserved.NONE, host()) is StorageAction.WAIT
    assert plan_snapshot(last, StorageObserved.NONE, host(quiet=True)) is StorageAction.MAKE
    assert plan_snapshot(snapshot(), StorageObserved.NONE, host()) is StorageAction.MAKE
    assert snapshot_state(last) is SnapshotState.PENDING


def test_missing_volume_counts_as_gone_only_after_a_minute():
    soon, patience = AT + timedelta(seconds=30), timedelta(minutes=1)
    existing = volume(provider_called_at=AT, observed=StorageObserved.THERE, disk_id="vol-1")
    assert perceive(existing, None, soon, patience) is StorageObserved.THERE
    assert perceive(existing, None, AT + 2 * patience, patience) is StorageObserved.GONE
    half = volume(provider_called_at=AT, observed=StorageObserved.MAKING, disk_id="vol-1")
    assert perceive(half, None, soon, patience) is StorageObserved.MAKING
    assert perceive(half, None, AT + 2 * patience, patience) is StorageObserved.NONE, (
        "it is made again"
    )
    assert perceive(volume(provider_called_at=AT), None, soon, patience) is StorageObserved.UNSURE
    assert (
        perceive(volume(provider_called_at=AT), None, AT + 2 * patience, patience)
        is StorageObserved.NONE
    )


def test_monthly_cost_is_null_without_all_prices():
    gp3 = Micros(80_000)
    assert monthly_cost(volume(gb_month=gp3, size_gb=100, iops=3000, throughput=125)) == 8_000_000
    assert monthly_cost(volume(gb_month=gp3, size_gb=100, iops=4000)) is None, "no price for IOPS"
    io2 = volume(volume_type="io2", gb_month=Micros(125_000), size_gb=100, iops=3000)
    assert monthly_cost(io2) is None, "AWS charges for each of its IOPS"
    priced = replace(io2, performance_month=Micros(195_000_000))
    assert monthly_cost(priced) == 207_500_000
    assert monthly_cost(volume(gb_month=None)) is None
    assert monthly_cost(volume(gb_month=Micros(0), iops=4000)) == 0
    shared = volume(kind=VolumeKind.EFS, gb_month=Micros(300_000), size_gb=None)
    assert monthly_cost(shared) is None, "the size is not measured yet"
    half = volume(kind=VolumeKind.EFS, gb_month=Micros(300_000), size_gb=None, used_bytes=GIB // 2)
    assert monthly_cost(half) == 150_000


def test_snapshot_waits_while_its_volume_is_moving():
    tested_snapshot = snapshot()
    assert (
        plan_snapshot(tested_snapshot, StorageObserved.NONE, None, moving=True)
        is StorageAction.WAIT
    )
    assert plan_snapshot(tested_snapshot, StorageObserved.NONE, None) is StorageAction.MAKE
