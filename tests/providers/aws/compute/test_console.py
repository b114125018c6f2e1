"""The console output of many machines."""

from typing import cast

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.compute.console import MOST_TEXTS, Console


class FakeCloud:
    """Answers with the machine's id, and counts the calls."""

    def __init__(self):
        self.calls = 0

    def call(self, service, action, **arguments):
        self.calls += 1
        return {"Output": arguments["InstanceId"]}


def test_console_output_is_fetched_once_in_a_few_seconds():
    console = Console(cast("Cloud", cloud := FakeCloud()))
    assert [console.read("i-1"), console.read("i-1")] == ["i-1", "i-1"]
    assert cloud.calls == 1
    assert console.read("i-1", fresh=0) == "i-1"
    assert cloud.calls == 2


def test_console_forgets_machines_of_long_ago():
    console = Console(cast("Cloud", FakeCloud()))
    for number in range(2 * MOST_TEXTS + 10):
        console.read(f"i-{number}")
    assert len(console._texts) <= MOST_TEXTS
    assert len(console._locks) <= MOST_TEXTS
