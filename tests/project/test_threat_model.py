"""Each claim of SECURITY.md has tests, which `docs/threat-model.md` names."""

import ast
import re
from functools import cache

from tests.project.tree import ROOT

CLAIMED = ("What is protected", "Workspaces on this computer", "Workspaces on AWS")
LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
SENTENCE = re.compile(r"(?<=[.)])\s+(?=[A-Z`])")
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def plain(text):
    """The text without marks of Markdown, with single blanks."""
    return " ".join(re.sub(r"[*`]", "", LINK.sub(r"\1", text)).split())


def claims():
    """What SECURITY.md says of protection: each row of its table, and each sentence."""
    sections = re.split(r"^## ", (ROOT / "SECURITY.md").read_text(), flags=re.MULTILINE)
    for section in sections:
        title, _, text = section.partition("\n")
        for block in re.split(r"\n\n|\n(?=- )", text) if title in CLAIMED else ():
            if block.lstrip().startswith("|"):
                for line in block.strip().splitlines()[2:]:
                    attacker, protection, _ = line.strip("| ").split(" | ")
                    yield plain(f"{attacker}: {protection}")
            else:
                sentences = SENTENCE.split(plain(block).removeprefix("- "))
                # An item begins with what it is about, in bold.
                yield from filter(None, sentences[block.startswith("- **") :])


def rows():
    """The beginning of each claim, and what the table says of its tests."""
    text = (ROOT / "docs" / "threat-model.md").read_text()
    table = text.partition("## What SECURITY.md says, and its tests\n")[2].partition("\n## ")[0]
    for line in table.splitlines():
        if line.startswith("| ") and not line.startswith("| says"):
            says, tests = line.strip("| ").split(" | ")
            yield plain(says).removesuffix(" …"), tests


@cache
def functions_of(file):
    tree = ast.parse((ROOT / "tests" / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, functions)}


def test_every_claim_of_security_md_has_one_row_in_the_threat_model():
    starts = [start for start, _ in rows()]
    counts = {
        claim: count
        for claim in claims()
        if (count := sum(claim.startswith(start) for start in starts)) != 1
    }
    assert not counts, f"add or correct their rows in docs/threat-model.md: {counts}"


def test_every_row_of_the_threat_model_is_a_claim_of_security_md():
    known = [*claims()]
    stale = [start for start, _ in rows() if not any(claim.startswith(start) for claim in known)]
    assert not stale, f"SECURITY.md does not say: {stale}"


def test_every_row_of_the_threat_model_names_tests_that_exist():
    missing = {}
    for start, cell in rows():
        named = TEST.findall(cell)
        wrong = [f"{file}::{name}" for file, name in named if name not in functions_of(file)]
        if wrong or not named:
            missing[start] = wrong or "names no test"
    assert not missing, f"name tests that exist: {missing}"
