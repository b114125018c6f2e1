"""The layers of docs/architecture.md are those that `lint-imports` checks."""

import re
import tomllib
from pathlib import Path

import pytest

from prism.daemon.wiring.core import Wiring
from tests.project.tree import PACKAGE, ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
PAGE = TEXT.partition("## Layers")[2].partition("\n## ")[0]
AWS = TEXT.partition("## The AWS provider")[2].partition("\n## ")[0]
NAME = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize(("section", "container"), [(PAGE, "prism"), (AWS, "prism.providers.aws")])
def test_architecture_page_lists_the_layers_in_order(section, container):
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [
        contract
        for contract in contracts["contracts"]
        if contract.get("exhaustive") and container in contract["containers"]
    ]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [NAME.findall(row) for row in rows] == [
        layer.split(" | ") for layer in layers["layers"]
    ]


def test_architecture_page_names_the_wiring_files():
    named = {Path(name).name for name in NAME.findall(PAGE) if name.endswith(".py")}
    makers = (
        base.__module__ for base in Wiring.__mro__ if base.__module__.startswith("prism.daemon")
    )
    files = {
        PACKAGE.parent.joinpath(*maker.split(".")).with_suffix(".py").name for maker in makers
    }
    assert named == {"app.py", *files}
