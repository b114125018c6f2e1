"""The glossary names classes that exist, each word once."""

import importlib
import re

import pytest

from tests.project.tree import ROOT

ROW = re.compile(r"^\| ([a-z ]+) \| .+ \| `([\w.]+)\.(\w+)` \|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)")
NAMED = re.compile(r"`\w+")
ROWS = ROW.findall((ROOT / "docs" / "glossary.md").read_text())


@pytest.mark.parametrize(("word", "module", "name"), ROWS, ids=[word for word, *_ in ROWS])
def test_a_word_has_the_class_that_carries_it(word, module, name):
    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_words_are_in_the_glossary_once():
    words = [word for word, *_ in ROWS]
    assert len(words) == len(set(words)) > 30


def test_where_things_are_leads_to_files():
    page = ROOT / "docs" / "where.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    links = [[*LINK.findall(row)] for row in rows]
    assert len(rows) >= 20
    missing = [
        target for targets in links for target in targets if not (page.parent / target).is_file()
    ]
    assert missing == []
    named = [row for row, targets in zip(rows, links, strict=True) if not targets]
    assert [row for row in named if not NAMED.search(row)] == []
