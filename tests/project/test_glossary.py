"""The glossary names existing classes, and each word once."""

import importlib
import re

import pytest

from tests.project.tree import ROOT, refuse

ROW = re.compile(r"^\| ([a-z ]+) \| .+ \| `([\w.]+)\.(\w+)` \|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)")
NAMED = re.compile(r"`\w+")
ROWS = ROW.findall((ROOT / "docs" / "glossary.md").read_text())


@pytest.mark.parametrize(("word", "module", "name"), ROWS, ids=[word for word, *_ in ROWS])
def test_class_of_a_glossary_word_exists(word, module, name):
    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_glossary_lists_each_word_once():
    words = [word for word, *_ in ROWS]
    assert len(words) == len(set(words)) > 30


def test_where_page_links_to_existing_files():
    page = ROOT / "docs" / "where.md"
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    links = [[*LINK.findall(row)] for row in rows]
    assert len(rows) >= 20
    missing = (
        target for targets in links for target in targets if not (page.parent / target).is_file()
    )
    refuse(missing, "docs/where.md links to files that do not exist; correct it")
    unlinked = (row for row, targets in zip(rows, links, strict=True) if not targets)
    nameless = (row for row in unlinked if not NAMED.search(row))
    refuse(nameless, "docs/where.md has rows that name no file; link one")
