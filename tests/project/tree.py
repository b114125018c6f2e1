"""The files, packages and pages of the project, for the tests in this folder."""

import ast
import gc
import importlib
import pkgutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import prism

PACKAGE = Path(prism.__file__).parent
ROOT = PACKAGE.parent.parent
FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(file.parent.name for file in PACKAGE.glob("*/model.py"))
ALONE = ("prism.agent", "prism.daemon.migrations.env", "prism.daemon.migrations.versions")


def short(path: Path) -> str:
    """A file's name in the output of tests."""
    return str(path.relative_to(ROOT))


def refuse(problems: Iterable[object], way_out: str) -> None:
    """Fails with a line for each problem, which begins with its file, and with what to do."""
    if lines := [f"  {problem}" for problem in problems]:
        pytest.fail("\n".join([f"{way_out}:", *lines]), pytrace=False)


def tracked() -> list[Path]:
    """All files that are in the repository, or will be with the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = (ROOT / name for name in listed.stdout.split("\0") if name)
    return sorted(file for file in files if file.is_file())


def pages() -> list[Path]:
    """The pages of the documentation."""
    return [file for file in tracked() if file.suffix == ".md"]


@cache
def parsed(file: Path) -> ast.Module:
    """The syntax tree of a file, cached because several rules read it."""
    with uncollected():
        return ast.parse(file.read_text())


@cache
def nodes(file: Path) -> list[ast.AST]:
    """All nodes of a file's syntax tree, cached because most rules look at them."""
    with uncollected():
        return [*ast.walk(parsed(file))]


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps the garbage collector away from objects that stay: it takes three times as long."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions in a module, at any depth."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def public(tree: ast.Module | Named) -> Iterator[ast.Module | Named]:
    """A module, and the public classes, functions and methods in it; no closures."""
    yield tree
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from public(node)
            else:
                yield node


def everything() -> list[ModuleType]:
    """Imports each module that can be imported without side effects."""
    modules = pkgutil.walk_packages([str(PACKAGE)], "prism.")
    return [importlib.import_module(m.name) for m in modules if not m.name.startswith(ALONE)]
