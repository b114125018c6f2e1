"""Advice from measured usage."""

import pytest
from msgspec.structs import replace

from prism.costs.advice import advice
from prism.costs.model import MeasuredUsage, UsageStatistics
from prism.kit.money import Micros

MEASURED = MeasuredUsage(
    workspace="w",
    instance_type="t3.xlarge",  # 4 processors, 16 GiB
    region="us-east-1",
    hours=100,
    idle_hours=60,
    cpu=UsageStatistics(100, 16, 150),
    memory=UsageStatistics(100, 10, 30),
    hourly=Micros(166_400),
)
BUSY = replace(MEASURED, idle_hours=10)
PAID = {"w": 1_000_000_000}  # more than any advice could save


def test_advice_contains_the_measurements_and_the_savings():
    sleep, small = advice([MEASURED], PAID)
    assert (sleep.type, sleep.instance, sleep.potential_savings) == ("hibernation", "w", 9.98)
    assert "it was idle for 60 of 100 measured hours" in sleep.recommendation
    assert (small.type, small.potential_savings) == ("rightsizing", 3.33), (
        "of the 40 hours that were not idle"
    )
    assert small.recommendation == (
        "Downsize from t3.xlarge to t3.large: in 100 measured hours it used 4 % of its "
        "processors, 38 % at most, and at most 30 % of its memory "
        "(`prism resize w --instance-type t3.large`)"
    )
    assert small.measured == MEASURED


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"cpu": UsageStatistics(100, 16, 161)}, None),  # both smaller ones have two processors
        ({"cpu": UsageStatistics(100, 16, 160)}, "t3.large"),
        ({"memory": UsageStatistics(100, 10, 41)}, None),
        ({"memory": UsageStatistics(100, 10, 20)}, "t3.medium"),
        ({"memory": None}, None),
        ({"memory": UsageStatistics(23, 10, 20)}, None),
        ({"cpu": None}, None),
        ({"region": "eu-nowhere-1"}, None),
        ({"hourly": 83_200}, None),  # it costs no less
        ({"instance_type": "no.such"}, None),
    ],
)
def test_smaller_type_is_suggested_only_if_it_covers_the_peak_usage(change, name):
    smaller = [
        suggestion
        for suggestion in advice([replace(BUSY, **change)], PAID)
        if suggestion.type == "rightsizing"
    ]
    assert [f" to {name}: " in suggestion.recommendation for suggestion in smaller] == (
        [True] if name else []
    )


def test_potential_savings_never_exceed_the_paid_cost():
    """The sum of all advice exceeds neither the measured nor the paid cost."""
    whole = replace(MEASURED, idle_hours=90, hours=100, hourly=166_400)
    assert sum(suggestion.potential_savings for suggestion in advice([whole], PAID)) <= 16.64
    cheaper = advice([whole], {"w": 5_004_999})  # it was measured at a lower price
    assert [suggestion.potential_savings for suggestion in cheaper] == [5.0, 0.0]
    assert [suggestion.potential_savings for suggestion in advice([whole], {})] == [0.0, 0.0]


def test_advice_without_hibernation_is_to_stop():
    [stop, *_] = advice([replace(MEASURED, hibernates=False)], PAID)
    assert stop.type == "stop"
    assert "automated stopping" in stop.recommendation


def test_unused_gpu_is_reported():
    gpu = replace(BUSY, instance_type="g4dn.xlarge", hourly=526_000, gpu=UsageStatistics(80, 0, 2))
    [recommendation] = advice([gpu], PAID)
    assert (recommendation.type, recommendation.potential_savings) == ("gpu", 0.0)
    assert advice([replace(gpu, gpu=UsageStatistics(80, 3, 60))], PAID) == []


@pytest.mark.parametrize(
    "change",
    [
        {"hours": 23.9},
        {"hourly": None},
        {"hourly": 0},
        {"idle_hours": 10, "cpu": UsageStatistics(100, 300, 380)},
    ],
)
def test_advice_is_empty_without_enough_data_or_savings(change):
    assert advice([replace(MEASURED, **change)], PAID) == []
