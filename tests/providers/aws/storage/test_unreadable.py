"""A volume or snapshot with an undocumented description hides no other and is not gone."""

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
        location="aws",
        disk_id=id,
        created_at=NOW,
    )


def two_volumes(place):
    return place.made(), place.made(OTHER), ORDER, OTHER


def two_shared(place):
    return place.made(SHARED), place.made(OTHER_SHARED), SHARED, OTHER_SHARED


def survey_of(place):
    return LazySurvey({"aws": place.volumes})


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("two", [two_volumes, two_shared])
def test_unreadable_volume_is_unavailable_and_others_are_listed(aws_parts, two, change):
    odd, other, order, other_order = two(aws_parts)
    if order.kind is VolumeKind.EFS and change is odd_answers.nothing_but_its_id:
        change = odd_answers.new_state  # EFS has no filter: what has no tags may be foreign
    with described_oddly(odd, change):
        view = survey_of(aws_parts)
        assert view.disk(volume_row(other_order, other)).id == other
        assert [odd in reason for reason in aws_parts.cloud.unreadable.reasons()] == [True]
        with pytest.raises(Unavailable, match=odd):
            view.disk(volume_row(order, odd))
    assert survey_of(aws_parts).disk(volume_row(order, odd)).id == odd


def test_unreadable_volume_with_an_unknown_id_is_not_created_again(aws_parts):
    """Only its key is known, because its creation was never answered."""
    odd = aws_parts.made()
    with described_oddly(odd, odd_answers.new_state):
        with pytest.raises(Unavailable, match=odd):
            survey_of(aws_parts).disk(volume_row(ORDER))
        with pytest.raises(Unavailable):
            aws_parts.volumes.create(ORDER)
    assert len(aws_parts.every_volume()) == 1


@pytest.mark.parametrize("change", ODD)
def test_unreadable_snapshot_is_unavailable_and_others_are_listed(aws_parts, change):
    source = aws_parts.made()
    odd, other = aws_parts.kept(source), aws_parts.volumes.snapshot(OTHER_KEPT, source).id
    aws_parts.pass_time()

    def row(order, id):
        return Snapshot(
            id=order.key,
            name=order.name,
            owner="ada",
            location="aws",
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
        view = survey_of(aws_parts)
        assert view.copy(row(OTHER_KEPT, other)).id == other
        with pytest.raises(Unavailable, match=odd):
            view.copy(row(KEPT, odd))
    with described_oddly(odd, odd_answers.new_state):
        with pytest.raises(Unavailable, match=odd):
            survey_of(aws_parts).copy(row(KEPT, None))
        with pytest.raises(Unavailable, match="snapshot_1"):
            aws_parts.volumes.snapshot(KEPT, source)
    assert len(aws_parts.every_copy()) == 2


def test_volume_in_an_unknown_state_is_not_broken(aws_parts):
    """A broken volume may be deleted, but this one may hold data."""
    odd = aws_parts.made()
    with described_oddly(odd, odd_answers.new_state):
        assert aws_parts.volumes.survey().disks == []
        with pytest.raises(Unavailable, match="changes nothing of it"):
            aws_parts.volumes.find(odd, ORDER)
