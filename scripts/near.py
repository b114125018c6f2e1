"""Runs the tests near what changed since a commit, and the rules of the project.

    near.py [--base main] [--list] [ARGUMENT OF PYTEST]...

Changed is what differs from the point at which the branch left the base: commits, and files that
are not committed. Near are

- a changed test, and the tests of the folder of a changed `conftest.py`;
- tests that import a changed module, by themselves or through what tests share, and those with its
  place in `tests`; without any, all tests of that folder;
- tests with the place of a module that imports it, unless these are many.

`make test` runs the tests that are further away.
"""

import argparse
import ast
import gc
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import grimp

ROOT = Path(__file__).resolve().parents[1]
RULES = "tests/project/test_rules.py"
DOCUMENTS = ("tests/project/test_words.py", "tests/project/test_site.py")
MAX_IMPORTERS = 8
"""A module that more modules import is used everywhere; their tests are most of all tests."""


def main(arguments: list[str]) -> int:
    """Run them; the exit code of pytest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", default="main", help="default: main")
    parser.add_argument("--list", action="store_true", help="print the files, run nothing")
    options, words = parser.parse_known_args(arguments)
    gc.disable()  # with so many nodes, parsing takes three times as long
    changed = changed_files(options.base)
    tests = near(changed)
    sys.stdout.write("".join(f"{test}\n" for test in tests))
    if any(name.startswith("web/") for name in changed):
        sys.stdout.write("The web GUI has changed, too: `make check` checks it.\n")
    sys.stdout.flush()
    if options.list:
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"]
    return subprocess.run([*command, *words, *tests], cwd=ROOT, check=False).returncode


def changed_files(base: str) -> list[str]:
    """What differs from where the branch left the base, or from the last commit without a base."""
    known = git("rev-parse", "--verify", "--quiet", base)
    start = git("merge-base", base, "HEAD") if known else ["HEAD"]
    differing = git("diff", "--name-only", "--no-renames", *start)
    return sorted({*differing, *git("ls-files", "--others", "--exclude-standard")})


def git(*words: str) -> list[str]:
    """The lines that a command of git prints; none if it fails."""
    command = ["git", "-c", "core.quotePath=false", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def near(changed: Iterable[str]) -> list[str]:
    """The test files to run for these changed files, by their paths in the repository."""
    imports = {file: imported_by(file) for file in (ROOT / "tests").rglob("*.py")}
    chosen = {RULES}
    for name in changed:
        path = PurePosixPath(name)
        if path.suffix != ".py":
            chosen |= {*DOCUMENTS} if path.suffix == ".md" else set()
        elif path.name == "conftest.py":
            chosen |= tests_in(path.parent)
        elif path.parts[0] == "tests":
            chosen |= tests_that_import(module_of(path), imports) | {name}
        else:
            inside = path.relative_to("src") if path.parts[0] == "src" else path
            chosen |= tests_of(module_of(inside), imports)
    return sorted(name for name in chosen if is_test(ROOT / name))


def module_of(path: PurePosixPath) -> str:
    """The dotted name of a file."""
    parts = path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts
    return ".".join(parts)


def importers(module: str) -> list[str]:
    """The modules of `src` that import it, unless they are many."""
    graph = grimp.build_graph("prism", "aws_double", cache_dir=None)
    if module not in graph.modules:
        return []
    direct = graph.find_modules_that_directly_import(module)
    return sorted(direct) if len(direct) <= MAX_IMPORTERS else []


def tests_of(module: str, imports: Mapping[Path, set[str]]) -> set[str]:
    """The tests of a module, or of its folder if there are none; those of its importers, too."""
    own = {test_at(module)} | tests_that_import(module, imports)
    if not any(is_test(ROOT / name) for name in own):
        own = tests_in(PurePosixPath(test_at(module)).parent)
    return own | {test_at(importer) for importer in importers(module)}


def test_at(module: str) -> str:
    """The place of its tests: `prism.kit.db` has `tests/kit/test_db.py`."""
    *folders, stem = module.removeprefix("prism.").split(".")
    return str(PurePosixPath("tests", *folders, f"test_{stem}.py"))


def tests_in(folder: PurePosixPath) -> set[str]:
    """The tests of a folder."""
    return {str(folder / file.name) for file in (ROOT / folder).glob("test_*.py")}


def tests_that_import(module: str, imports: Mapping[Path, set[str]]) -> set[str]:
    """The test files that import a module, by themselves or through other files of tests."""
    reached, waiting = set[str](), [module]
    while waiting:
        imported = waiting.pop()
        for file in (file for file, names in imports.items() if imported in names):
            name = str(file.relative_to(ROOT))
            if name in reached or file.name == "conftest.py":
                continue
            reached.add(name)
            waiting.append(module_of(PurePosixPath(name)))
    return reached


def imported_by(file: Path) -> set[str]:
    """The modules that a file imports; `from a import b` may mean `a` or `a.b`."""
    return {name for node in ast.walk(ast.parse(file.read_bytes())) for name in names(node)}


def names(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_test(file: Path) -> bool:
    """Whether it is a file of tests that is still there."""
    return file.name.startswith("test_") and file.is_file()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
