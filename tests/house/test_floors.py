"""What the page about the house says of its floors is what `lint-imports` holds them to."""

import re
import tomllib
from pathlib import Path

from prism.daemon.rooms import Rooms
from tests.house.tree import PACKAGE, ROOT

PAGE = (ROOT / "docs" / "house.md").read_text().partition("## Floors")[2].partition("\n## ")[0]
NAME = re.compile(r"`([^`]+)`")


def test_the_page_has_the_floors_in_their_order():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = next(it for it in contracts["contracts"] if it["name"].startswith("Floors"))
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert [NAME.findall(row) for row in rows] == [it.split(" | ") for it in floors["layers"]]


def test_the_page_names_the_files_in_which_the_parts_are_put_together():
    named = {Path(name).name for name in NAME.findall(PAGE) if name.endswith(".py")}
    makers = (it.__module__ for it in Rooms.__mro__ if it.__module__.startswith("prism.daemon"))
    files = {PACKAGE.parent.joinpath(*it.split(".")).with_suffix(".py").name for it in makers}
    assert named == {"house.py", *files}
