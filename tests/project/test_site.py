"""The site of the documentation: each page is in it once, and its tools are locked."""

import inspect
import json
import re
import subprocess

import pytest
from playwright.sync_api import sync_playwright

from prism.client import Client
from scripts import reference
from tests.connections.test_browser import CHROMIUM, FLAGS
from tests.project.tree import ROOT, pages, short

MKDOCS = (ROOT / "mkdocs.yml").read_text()
NAVIGATION = re.findall(r"^ +- (?:[^:\n]+: )?(\S+\.md)$", MKDOCS, re.MULTILINE)
ITEM = re.compile(r" *(?:[-*]|\d+\.) ")


def blocks(page):
    """The lines of a page outside of its fenced examples, with number and previous line."""
    before, fenced = "", False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, before, line
        before = line


def test_every_page_is_in_the_navigation_once():
    written = [short(page) for page in pages()]
    assert sorted(NAVIGATION) == sorted([*written, *reference.PAGES])


def test_reference_has_every_route_and_every_method_of_the_client():
    api, client = (generate() for generate in reference.PAGES.values())
    paths = json.loads(reference.OPENAPI.read_text())["paths"]
    for path, operations in paths.items():
        for method in operations:
            assert f"### `{method.upper()} {path}`\n" in api
    nouns = {noun: value for noun, value in vars(Client()).items() if not noun.startswith("_")}
    methods = [
        f"client.{noun}.{name}("
        for noun, value in nouns.items()
        for name, method in vars(type(value)).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]
    assert len(methods) > 100
    assert [method for method in methods if f"\n{method}" not in client] == []


def test_links_of_the_reference_lead_to_types():
    api = reference.PAGES["docs/api.md"]()
    targets = set(re.findall(r"\]\(#(\w+)\)", api))
    assert len(targets) > 100
    assert targets <= {name.lower() for name in re.findall(r"^### (\w+)$", api, re.MULTILINE)}


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^\| \[\d+\]\((\S+)\)", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize("page", pages(), ids=short)
def test_lists_and_tables_begin_after_a_blank_line(page):
    """Without it, GitHub shows a list, but MkDocs shows a paragraph."""
    problems = []
    for number, before, line in blocks(page):
        kind = next(
            (pattern for pattern in (ITEM, re.compile(r"\|")) if pattern.match(line)), None
        )
        if kind and before.strip() and not kind.match(before) and not before.startswith(" "):
            problems.append(f"{short(page)}:{number}: {line}")
        if re.search(r"[a-z`][.)] - [A-Z]", line) and not line.startswith("|"):
            problems.append(f"{short(page)}:{number}: an item begins within a line: {line}")
    assert problems == []


def test_documentation_tools_are_locked_by_hashes_and_without_urls():
    text = (ROOT / "docs.lock").read_text()
    locked = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
    assert {"mkdocs", "mkdocs-material"} <= {*locked}
    assert text.count("--hash=sha256:") >= len(locked)
    assert "://" not in text


@pytest.mark.slow
def test_site_is_built_without_a_warning():
    """It installs MkDocs; a broken link, anchor or missing page is an error, and so is a font
    or a script of another site."""
    build = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stdout + build.stderr
    assert (ROOT / "dist" / "docs" / "index.html").is_file()
    _search_finds_the_page_of_states()


def _search_finds_the_page_of_states():
    """A reader opens the site from files and presses `s`; pages come before decisions."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto((ROOT / "dist" / "docs" / "index.html").as_uri())
        page.keyboard.press("s")
        page.keyboard.type("hibernate")
        titles = page.locator(".md-search-result__item h1")
        titles.first.wait_for(timeout=60_000)
        assert titles.first.inner_text() == "States and verbs"
        browser.close()
