"""A machine with an undocumented description is reported and never counts as gone."""

from datetime import timedelta

import pytest

from prism.errors import Unavailable
from prism.providers.aws.api import tags as names
from prism.providers.aws.compute.state_mapping import hangs
from prism.workspaces.model import Observed
from tests.providers.aws import odd_answers
from tests.providers.aws.compute.test_newer_states import NOW, machine
from tests.providers.aws.odd_answers import described_oddly

ODD = [
    odd_answers.no_placement,
    odd_answers.new_state,
    odd_answers.no_start,
    odd_answers.tags_without_values,
    odd_answers.nothing_but_its_id,
]
FARTHEST = "99999999999h"
LATEST = "9999-12-31T23:59:59Z"


@pytest.fixture
def two_machine_ids(aws_parts):
    return aws_parts.on(key="ws_1"), aws_parts.launch(key="ws_2").id


@pytest.mark.parametrize("change", ODD)
def test_survey_lists_other_machines_and_reports_the_unreadable_machine(
    aws_parts, two_machine_ids, change, caplog
):
    odd, other = two_machine_ids
    with described_oddly(odd, change):
        for _ in range(2):
            assert [machine.id for machine in aws_parts.compute.survey()] == [other]
        [reason] = aws_parts.cloud.unreadable.reasons()
    assert odd in reason
    assert caplog.text.count(odd) == 1, "it is logged once, not at each survey"
    assert {machine.id for machine in aws_parts.compute.survey()} == {odd, other}
    assert aws_parts.cloud.unreadable.reasons() == []


@pytest.mark.parametrize("change", ODD)
def test_find_by_id_of_an_unreadable_machine_is_unavailable(aws_parts, two_machine_ids, change):
    with described_oddly(two_machine_ids[0], change):
        aws_parts.compute.survey()
        with pytest.raises(Unavailable, match=two_machine_ids[0]):
            aws_parts.compute.find(two_machine_ids[0], aws_parts.spec(key="ws_1"))
        other = aws_parts.compute.find(two_machine_ids[1], aws_parts.spec(key="ws_2"))
    assert other.id == two_machine_ids[1]


def test_find_by_key_of_an_unreadable_machine_is_unavailable(aws_parts, two_machine_ids):
    with described_oddly(two_machine_ids[0], odd_answers.new_state):
        aws_parts.compute.survey()
        with pytest.raises(Unavailable, match=two_machine_ids[0]):
            aws_parts.compute.find(None, aws_parts.spec(key="ws_1"))
        assert aws_parts.compute.find(None, aws_parts.spec(key="ws_2")) is None


def test_repeated_launch_of_an_unreadable_machine_makes_no_second_machine(aws_parts):
    order = aws_parts.spec()
    launch = aws_parts.launch()
    with described_oddly(launch.id, odd_answers.new_state):
        for _ in range(2):
            with pytest.raises(Unavailable, match=launch.id):
                aws_parts.compute.launch(order)
    assert len(aws_parts.aws.machines()) == 1
    aws_parts.pass_on()
    assert aws_parts.look().id == launch.id


def test_of_key_of_an_unreadable_machine_is_unavailable(aws_parts, two_machine_ids):
    with described_oddly(two_machine_ids[0], odd_answers.new_state):
        with pytest.raises(Unavailable, match=two_machine_ids[0]):
            aws_parts.instances.of_key("ws_1")
        assert aws_parts.instances.of_key("ws_2").id == two_machine_ids[1]


@pytest.mark.parametrize(
    "tags",
    [
        {names.TTL: FARTHEST},
        {names.TTL: "1" + "0" * 200 + "h"},
        {names.LAUNCHED_AT: LATEST, names.TTL: "9h"},
        {names.LAUNCHED_AT: "0001-01-01T00:00:00+14:00", names.TTL: "9h"},
        {names.FORCED_OFF: LATEST},
        {names.ENDS_AT: "0001-01-01T00:00:00+14:00"},
        {names.PARAMETERS: "[" * 200},
    ],
    ids=str,
)
def test_extreme_tag_values_do_not_hide_a_machine(aws_parts, two_machine_ids, tags):
    odd = two_machine_ids[0]
    aws_parts.compute.stop(odd)
    written = [{"Key": key, "Value": value} for key, value in tags.items()]

    def change(description):
        description["Tags"] = [
            tag for tag in description["Tags"] if tag["Key"] not in tags
        ] + written

    with described_oddly(odd, change):
        for _ in range(2):  # stopping, stopped
            assert {machine.id for machine in aws_parts.compute.survey()} == set(two_machine_ids)
            assert {finding.id for finding in aws_parts.compute.found(two_machine_ids)} == set(
                two_machine_ids
            )
            aws_parts.pass_on()
        aws_parts.compute.start(odd)
    assert aws_parts.cloud.unreadable.reasons() == []


def test_forced_stop_at_the_last_possible_time_does_not_hang():
    tested_machine = machine("stopping")
    tested_machine.tags[names.FORCED_OFF] = LATEST
    assert hangs(tested_machine, NOW, NOW + timedelta(hours=1)) is None


def test_machine_is_unchanged_once_it_is_readable_again(aws_parts, two_machine_ids):
    with described_oddly(two_machine_ids[0], odd_answers.new_state):
        aws_parts.compute.survey()
    [machine] = [seen for seen in aws_parts.compute.survey() if seen.id == two_machine_ids[0]]
    assert (machine.key, machine.observed) == ("ws_1", Observed.ON)
