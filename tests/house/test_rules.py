"""The rules of the house that can be read off its files."""

import ast
import re
import tomllib

import pytest

from tests.house.tree import FILES, PACKAGE, ROOMS, ROOT, functions, public, short, tracked

PURE = [f for f in FILES if f.name in {"plan.py", "model.py", "ports.py", "events.py"}]
PURE = [f for f in PURE if f.parent.name in ROOMS] + [PACKAGE / "errors.py"]
CLOCK = {"now", "utcnow", "today", "monotonic", "time", "perf_counter"}
DRAWERS = {"utils", "util", "common", "helper", "helpers", "manager", "base", "misc", "stuff"}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in CONTRACTS["contracts"]}
# The clock itself; what lives outside the daemon; what compares with the times of files.
TIMELESS = {"clock.py", "agent", "cli", "client", "making.py"}
EVERYTHING = {"", "Exception", "BaseException"}
DEFERRED = re.compile(r"# noqa: PLC0415\W+\w{3}")  # and why
# Written in halves, so that this file does not find itself.
REVISION = re.compile(r'^(?:down_)?revision = "(\d+)"', re.MULTILINE)
MACHINE = re.compile("/" + r"(work|farm|root)/")
REGISTRY = re.compile(r"(pypi|pythonhosted|npmjs|yarnpkg)" + r"\.(org|com)")


@pytest.mark.parametrize("file", FILES, ids=short)
def test_a_file_is_short_and_says_what_it_is(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 600
    tree = ast.parse(text)
    for node in functions(tree):
        assert node.end_lineno - node.lineno < 40, node.name
    for node in public(tree):
        assert ast.get_docstring(node), getattr(node, "name", "the module")


@pytest.mark.parametrize("file", PURE, ids=short)
def test_the_pure_part_never_asks_the_time(file):
    called = [
        node.func for node in ast.walk(ast.parse(file.read_text())) if type(node) is ast.Call
    ]
    assert not CLOCK & {getattr(f, "attr", getattr(f, "id", "")) for f in called}


@pytest.mark.parametrize("file", FILES, ids=short)
def test_the_clock_alone_asks_what_day_it_is(file):
    if {*file.relative_to(PACKAGE).parts} & TIMELESS:
        return
    asks = re.findall(
        r"\b(datetime\.(?:now|utcnow|today)|date\.today|time\.time)\(", file.read_text()
    )
    assert asks == []


def test_no_drawer_for_everything():
    assert not [short(f) for f in FILES if DRAWERS & {f.stem, f.parent.name}]


@pytest.mark.parametrize("file", FILES, ids=short)
def test_an_import_inside_a_function_is_a_cold_start_deferred(file):
    lines = file.read_text().splitlines()
    for function in functions(ast.parse(file.read_text())):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert DEFERRED.search(lines[node.lineno - 1]), f"line {node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=short)
def test_only_the_one_loop_catches_everything(file):
    handlers = [n for n in ast.walk(ast.parse(file.read_text())) if type(n) is ast.ExceptHandler]
    broad = [h.lineno for h in handlers if EVERYTHING & names(h.type) and not passes_on(h)]
    assert broad == [] or file == PACKAGE / "kit" / "reconcile.py"


def names(node):
    """The names in an expression; the empty one, if there is none."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} if node else {""}


def passes_on(handler):
    """Whether it raises again what it has caught."""
    return any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(handler))


@pytest.mark.parametrize("file", FILES, ids=short)
def test_every_package_says_what_it_is_for_and_nothing_else(file):
    if file.name == "__init__.py" and file.parent.name in ROOMS:
        assert len(ast.parse(file.read_text()).body) == 1, "a room's own file is its docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_under_contract(room):
    [inside] = [c for name, c in CONTRACTS.items() if name.startswith("Inside a room")]
    assert f"prism.{room}" in inside["containers"]
    pure = CONTRACTS["The pure part is pure"]["source_modules"]
    files = [f"prism.{room}.{f.stem}" for f in PURE if f.parent.name == room]
    assert not set(files) - set(pure)


@pytest.mark.parametrize("file", tracked(), ids=short)
def test_nothing_knows_the_machine_it_was_written_on(file):
    text = file.read_bytes().decode("utf-8", "replace")
    assert not MACHINE.search(text)
    assert not REGISTRY.search(text), "locks and docs name packages, not where they come from"


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=short)
def test_a_test_waits_for_a_fact(file):
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if type(node) is ast.Call]
    slept = [call.lineno for call in calls if sleeps(call)]
    # The one that waits for all, and a program that plays a daemon which is slow to end.
    assert slept == [] or file.name in {"waiting.py", "fake_prismd.py"}


def sleeps(call):
    """Whether this is `time.sleep`, or more than a moment of `asyncio.sleep`."""
    name = ast.unparse(call.func)
    return name == "time.sleep" or (name == "asyncio.sleep" and not moment(call.args))


def moment(args):
    return bool(args) and isinstance(args[0], ast.Constant) and args[0].value < 1


def test_migrations_are_one_chain():
    """Two that were written side by side have to be put one after the other."""
    folder = PACKAGE / "daemon" / "migrations" / "versions"
    said = [REVISION.findall(it.read_text()) for it in sorted(folder.glob("[0-9]*.py"))]
    numbers = [f"{number:04}" for number in range(1, len(said) + 1)]
    assert [revision for (revision, *_) in said] == numbers
    assert [it.name[:4] for it in sorted(folder.glob("[0-9]*.py"))] == numbers
    assert [before for (_, before, *_) in said[1:]] == numbers[:-1]
