"""A volume or snapshot that AWS describes as nobody documented hides no other and is not gone."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from prism.errors import Unavailable
from prism.storage.model import Snapshot, Volume, VolumeKind
from prism.storage.survey import LazySurvey
from tests.providers.aws import odd_answers
from tests.providers.aws.odd_answers import described_oddly
from tests.providers.aws.storage.world import KEPT, ORDER, SHARED

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OTHER, OTHER_SHARED = replace(ORDER, key="volume_8"), replace(SHARED, key="volume_7")
OTHER_KEPT = replace(KEPT, key="snapshot_8")
ODD = [
    odd_answers.new_state,
    odd_answers.tags_without_values,
    odd_answers.nothing_but_its_id,
]


def volume_row(order, id=None):
    return Volume(
        id=order.key,
        name=order.name,
        kind=order.kind,
        owner="ada",
        place="aws",
        disk_id=id,
        created_at=NOW,
    )


def two_volumes(place):
    return place.made(), place.made(OTHER), ORDER, OTHER


def two_shared(place):
    return place.made(SHARED), place.made(OTHER_SHARED), SHARED, OTHER_SHARED


def look(place):
    return LazySurvey({"aws": place.volumes})


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("two", [two_volumes, two_shared])
def test_the_other_volumes_are_listed_and_it_is_not_gone(place, two, change):
    odd, other, order, other_order = two(place)
    if order.kind is VolumeKind.EFS and change is odd_answers.nothing_but_its_id:
        change = odd_answers.new_state  # EFS has no filter: what says nothing may be another's
    with described_oddly(odd, change):
        view = look(place)
        assert view.disk(volume_row(other_order, other)).id == other
        assert [odd in it for it in place.cloud.unreadable.reasons()] == [True]
        with pytest.raises(Unavailable, match=odd):
            view.disk(volume_row(order, odd))
    assert look(place).disk(volume_row(order, odd)).id == odd


def test_nor_where_what_made_it_was_never_answered(place):
    """Its id is not known, and its key is: it is neither made again nor forgotten."""
    odd = place.made()
    with described_oddly(odd, odd_answers.new_state):
        with pytest.raises(Unavailable, match=odd):
            look(place).disk(volume_row(ORDER))
        with pytest.raises(Unavailable):
            place.volumes.create(ORDER)
    assert len(place.every_volume()) == 1


@pytest.mark.parametrize("change", ODD)
def test_the_other_snapshots_are_listed_and_it_is_not_gone(place, change):
    source = place.made()
    odd, other = place.kept(source), place.volumes.snapshot(OTHER_KEPT, source).id
    place.pass_time()

    def row(order, id):
        return Snapshot(
            id=order.key,
            name=order.name,
            owner="ada",
            place="aws",
            source="volume",
            source_id="volume_1",
            source_name="data",
            copy_id=id,
            kind=VolumeKind.EBS,
            size_gb=10,
            volume_type="gp3",
            iops=None,
            throughput=None,
            created_at=NOW,
        )

    with described_oddly(odd, change):
        view = look(place)
        assert view.copy(row(OTHER_KEPT, other)).id == other
        with pytest.raises(Unavailable, match=odd):
            view.copy(row(KEPT, odd))
    with described_oddly(odd, odd_answers.new_state):
        with pytest.raises(Unavailable, match=odd):
            look(place).copy(row(KEPT, None))
        with pytest.raises(Unavailable, match="snapshot_1"):
            place.volumes.snapshot(KEPT, source)
    assert len(place.every_copy()) == 2


def test_a_volume_in_a_state_that_ec2_had_not_is_not_called_broken(place):
    """What is broken may be deleted, it says; this one is there."""
    odd = place.made()
    with described_oddly(odd, odd_answers.new_state):
        assert place.volumes.survey().disks == []
        with pytest.raises(Unavailable, match="changes nothing of it"):
            place.volumes.find(odd, ORDER)
