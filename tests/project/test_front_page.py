"""The front page of the documentation names each interface for programs, and they exist."""

import re
from functools import reduce

import pytest

from prism.client.client import Client
from tests.project.tree import ROOT

FRONT = (ROOT / "README.md").read_text()


def section(link):
    """The text of a page from the linked heading to the next one."""
    page, _, anchor = link.partition("#")
    parts = re.split(r"^#+ (.*)$", (ROOT / page).read_text(), flags=re.MULTILINE)
    by_anchor = {_anchor(parts[at]): parts[at + 1] for at in range(1, len(parts), 2)}
    return by_anchor[anchor]


def _anchor(heading):
    """The anchor, as GitHub makes it."""
    letters = re.sub(r"[^\w -]", "", heading.lower())
    return letters.replace(" ", "-")


def target_of(words):
    """The target of the link with this text on the front page."""
    [target] = re.findall(rf"\[{re.escape(words)}\]\(([^)]+)\)", FRONT)
    return target


def test_api_documentation_page_is_named_and_served(http):
    assert "`http://localhost:8947/docs`" in FRONT
    answer = http("GET", "/docs")
    assert answer.status_code == 200
    assert "/api/v1/instances" in answer.text


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("WebSocket and SSE", ("/api/v1/ws", "/api/v1/events")),
        ("the Python client", ("from prism.client", "Client(")),
    ],
)
def test_interfaces_for_programs_are_linked_to_their_sections(words, names):
    linked_section = section(target_of(words))
    assert [name for name in names if name not in linked_section] == []


def test_python_example_of_the_front_page_calls_existing_methods():
    [example] = re.findall(r"```python\n(.*?)```", FRONT, re.DOTALL)
    client = Client(url="http://127.0.0.1:1")
    calls = re.findall(r"\bprism\.(\w+\.\w+)\(", example)
    assert len(calls) >= 2
    for call in calls:
        assert callable(reduce(getattr, call.split("."), client)), call
