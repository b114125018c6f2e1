"""Tags of a machine: what is written, and how it is read back."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from prism.providers.aws.api import tags
from prism.templates.model import Template
from prism.workspaces.ports import MachineSpec
from tests.optional import not_none

BORN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def order(**more):
    usual = MachineSpec(
        key="ws_1",
        name="mine",
        owner="ada@example.org",
        template=Template(name="R Research"),
        instance_type="t3.small",
        root_gb=20,
        hibernation=True,
        launched_at=BORN,
    )
    return replace(usual, **more)


def test_instance_tags_contain_all_fields_of_the_order():
    written = tags.instance_tags(
        order(
            project="trees",
            profile="lab",
            allocation="alloc_1",
            budget="pool",
            idle_profile="gpu",
            parameters={"b": 1, "a": "x"},
            expires_at=BORN + timedelta(hours=8),
        )
    )
    version = written.pop("prism:version")
    assert version[0].isdigit()
    assert written == {
        "Name": "mine",
        "prism:managed": "true",
        "prism:id": "ws_1",
        "prism:name": "mine",
        "prism:template": "R Research",
        "prism:project": "trees",
        "prism:user": "ada@example.org",
        "prism:profile": "lab",
        "prism:allocation": "alloc_1",
        "prism:budget": "pool",
        "prism:idle-profile": "gpu",
        "prism:parameters": '{"a":"x","b":1}',
        "prism:root-disk": "20 gp3",
        "prism:launched-at": "2026-01-01T12:00:00Z",
        "prism:ttl": "8h0m0s",
        "prism:expire-action": "hibernate",
    }


def test_instance_tags_of_missing_fields_are_empty_or_omitted():
    written = tags.instance_tags(order(hibernation=False))
    assert written["prism:project"] == written["prism:idle-profile"] == ""
    assert not {"prism:budget", "prism:allocation", "prism:ttl"} & written.keys()


def test_expiry_is_read_from_the_tags():
    at = BORN + timedelta(hours=30, minutes=5, seconds=7)
    written = tags.instance_tags(order(expires_at=at))
    assert tags.expires_at(written) == at
    assert tags.expires_at({}) is None
    assert tags.expires_at(written | {"prism:ttl": "soon"}) is None


def test_parameters_are_read_from_their_tag_unless_too_long():
    written = tags.instance_tags(order(parameters={"n": 3, "deep": True}))
    assert tags.parameters_of(written) == {"n": 3, "deep": True}
    assert "prism:parameters" not in tags.instance_tags(order(parameters={"a": "x" * 300}))
    assert tags.parameters_of({}) == tags.parameters_of({"prism:parameters": "[}"}) == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (0.2, "1s"), (59, "59s"), (61, "1m1s"), (3600, "1h0m0s")],
)
def test_duration_is_go_text_and_rounded_up(seconds, text):
    assert tags.duration(timedelta(seconds=seconds)) == text
    assert not_none(tags.span(text)) >= timedelta(seconds=seconds)


@pytest.mark.parametrize("text", [None, "", "8", "h8", "8h ", "eight"])
def test_invalid_duration_is_read_as_none(text):
    assert tags.span(text) is None


def test_time_is_read_with_and_without_a_time_zone():
    assert tags.moment("2026-01-01T12:00:00Z") == tags.moment("2026-01-01T12:00:00") == BORN
    assert tags.moment("yesterday") is None
    assert tags.moment(None) is None


def test_listed_tags_are_sorted_and_cut_to_256_characters():
    listed = tags.listed({"b": "2", "a": "x" * 300})
    assert [entry["Key"] for entry in listed] == ["a", "b"]
    assert len(listed[0]["Value"]) == 256
    assert tags.read(listed)["b"] == "2"
    assert tags.read(None) == {}
