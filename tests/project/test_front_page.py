"""The front page of the documentation names every way in for programs, and they are there."""

import re
from functools import reduce

import pytest

from prism.client.client import Client
from tests.project.tree import ROOT

FRONT = (ROOT / "README.md").read_text()


def section(link):
    """The text of a page from the heading that a link leads to, to the next one."""
    page, _, anchor = link.partition("#")
    parts = re.split(r"^#+ (.*)$", (ROOT / page).read_text(), flags=re.MULTILINE)
    by_anchor = {_anchor(parts[at]): parts[at + 1] for at in range(1, len(parts), 2)}
    return by_anchor[anchor]


def _anchor(heading):
    """As GitHub makes it."""
    letters = re.sub(r"[^\w -]", "", heading.lower())
    return letters.replace(" ", "-")


def linked(words):
    """Where the front page leads with these words."""
    [target] = re.findall(rf"\[{re.escape(words)}\]\(([^)]+)\)", FRONT)
    return target


def test_the_readable_docs_are_named_and_served(http):
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
def test_what_programs_use_is_linked_to_where_it_is_explained(words, names):
    linked_section = section(linked(words))
    assert [name for name in names if name not in linked_section] == []


def test_the_python_on_the_front_page_calls_what_there_is():
    [example] = re.findall(r"```python\n(.*?)```", FRONT, re.DOTALL)
    client = Client(url="http://127.0.0.1:1")
    calls = re.findall(r"\bprism\.(\w+\.\w+)\(", example)
    assert len(calls) >= 2
    for call in calls:
        assert callable(reduce(getattr, call.split("."), client)), call
