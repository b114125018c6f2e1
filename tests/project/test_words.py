"""Texts and code match: settings, commands, links and problems."""

import ast
import json
import re
import shlex
import tomllib
from datetime import UTC, datetime
from functools import reduce
from itertools import pairwise

import pytest

import prism
from prism.agent.machine.slots import CPUS_VARIABLE, MEMORY_VARIABLE
from prism.cli.parser import Help, UsageError, build_parser, find
from prism.cli.run import EXIT
from prism.client.client import Client
from prism.errors import PROBLEMS
from prism.kit.envelope import status_of, to_wire
from prism.settings import Settings, variable
from tests.project.tree import FILES, PACKAGE, ROOT, everything, pages, short

SETTINGS = ROOT / "docs" / "settings.md"
MENTION = re.compile(r"`prism ([^`\n]+)`")
TYPED = re.compile(r"^(?:    |\$ )?(?:\.venv/bin/)?prism ([^#|>&\n]+)", re.MULTILINE)
BLOCK = re.compile(r"(?ms)^```(?:sh|console|)\n(.*?)^```|((?:^    [^\n]*\n)+)")
OPEN = {"…", "COMMAND", "NOUN", "VERB"}  # in sentences about many commands
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")

everything()


def setting_docs():
    """The docstring below each field of the settings."""
    body = next(
        node.body
        for node in ast.parse((PACKAGE / "settings.py").read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    fields = {}
    for field, doc in pairwise(body):
        if isinstance(field, ast.AnnAssign):
            name = ast.unparse(field.target)
            assert isinstance(doc, ast.Expr), f"{name} is not documented"
            fields[name] = " ".join(ast.literal_eval(doc.value).split())
    return fields


def test_settings_page_has_the_docstring_of_each_setting():
    docs = setting_docs()
    assert tuple(docs) == Settings.__struct_fields__
    rows = [line for line in SETTINGS.read_text().splitlines() if line.startswith("| `PRISM_")]
    assert rows == [row(name, doc) for name, doc in docs.items()]


def row(name, doc):
    default = getattr(Settings(), name)
    return f"| `{variable(name)}` | {f'`{default}`' if default != '' else ''} | {doc} |"


EQUIVALENTS = "".join(
    file.read_text() for file in sorted((ROOT / "web/src/lib").glob("equivalents*.ts"))
)


def shell_words_of_the_gui():
    """The commands that the GUI shows; a value of the page stands for one word."""
    for words in re.findall(r"cli: ['`]prism ([^'`]+)['`]", EQUIVALENTS):
        if words.count("${") == words.count("}"):  # otherwise it continues in a nested template
            plain = words.replace("${verb}", "stop")
            yield pytest.param(re.sub(r"\$\{[^}]*\}", "daily", plain), id=words)


@pytest.mark.parametrize("words", [*shell_words_of_the_gui()])
def test_command_that_the_gui_shows_parses(words):
    command, rest = find(shlex.split(words))
    build_parser(command).parse_all(rest)


@pytest.mark.parametrize("call", sorted(set(re.findall(r"python\(['`]([\w.]+)\(", EQUIVALENTS))))
def test_client_call_that_the_gui_shows_exists(call):
    client = Client(url="http://127.0.0.1:1")
    assert callable(reduce(getattr, call.split("."), client)), call


def test_mentioned_environment_variables_are_settings():
    known = {variable(name) for name in Settings.__struct_fields__} | {"PRISM_WRITE_PROOFS"}
    known |= {CPUS_VARIABLE, MEMORY_VARIABLE}  # of logins on a lab server
    for page in pages():
        variables = set(re.findall(r"\bPRISM_[A-Z_]+\b", page.read_text()))
        assert variables <= known, short(page)


def mentioned_commands():
    """Each command in our texts, and whether it must be complete, because people type it so."""
    for file in [*FILES, *pages()]:
        text = file.read_text()
        commands = {(words, False) for words in MENTION.findall(text)}
        blocks = "".join(a or b for a, b in BLOCK.findall(text)) if file.suffix == ".md" else ""
        commands |= {(words, True) for words in TYPED.findall(blocks)}
        for words, complete in sorted(commands):
            words = re.sub(r"\{[^}]*\}", "1", words.partition("|")[0]).strip()
            yield pytest.param(words, complete, id=f"{short(file)}: {words}")


@pytest.mark.parametrize(("words", "complete"), [*mentioned_commands()])
def test_mentioned_command_parses(words, complete):
    words = [w for w in shlex.split(words) if w not in OPEN | {"--help", "--version"}]
    if not words:
        return
    try:
        command, rest = find(words)
    except Help:
        return  # a noun alone shows its verbs
    try:
        build_parser(command).parse_all(rest)
    except UsageError as wrong:
        # A sentence may omit arguments; it may not add any.
        assert not complete and "arguments are required" in wrong.message, wrong.message


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=lambda kind: kind.code)
def test_problem_is_encoded_with_its_code_and_fields(kind):
    problem = kind("m", details="d", remediation="r", data={"a": 1})
    at = datetime(2026, 1, 1, tzinfo=UTC)
    error = json.loads(to_wire(problem, at))["error"]
    assert (error["code"], error["message"], error["details"]) == (kind.code, "m", "d")
    assert (error["remediation"], error["data"]) == ("r", {"a": 1})
    assert 400 <= status_of(problem) <= 599
    assert kind().message, "the default message is the docstring"
    assert any(ancestor in EXIT for ancestor in kind.__mro__)


@pytest.mark.parametrize("page", pages(), ids=short)
def test_links_in_documents_lead_to_files(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_version_is_the_same_in_all_files():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert prism.__version__ == project["version"]
    assert f"## {prism.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_mentioned_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in pages():
        mentioned = set(re.findall(r"`make ([a-z-]+)", page.read_text()))
        mentioned |= set(re.findall(r"^    make ([a-z-]+)", page.read_text(), re.MULTILINE))
        assert mentioned <= targets, short(page)
