"""Makes mistakes in the code, one at a time, and reports those that no test notices.

    mutants.py [--each N] [--seed N] [--seconds N] [--minutes N] [--jobs N] [FILE[:LINE] ...]

From each file the seed chooses the same N mutants, as long as the file does not change. First all
tests run once, to learn which of them run which lines, and for how long. Then a mutant gets the
quickest tests of its lines, those of its own package first, until they have used their seconds.

No library does this well here. mutmut 3 changes only functions without a decorator; but rights
and states are tables outside of functions, and much else is a property or a route. cosmic-ray
changes the files of the working tree, has no seed, and runs all tests for each mutant. Around
either, the copies and the choice of tests would be needed too, and those are most of this file.
"""

import argparse
import ast
import collections
import copy
import ctypes
import difflib
import gc
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "prism"
ALONE = (
    *("workspaces/plan.py", "storage/plan.py", "recovery/plan.py"),
    *("kit/reconcile.py", "kit/gate.py"),
    *("agent/copies/copy_check.py", "agent/idle/verdict.py", "agent/idle/idle_watch.py"),
    *("agent/network/reachable_addresses.py", "agent/sandbox/sandbox_layers.py"),
    "agent/system/safe_paths.py",
)
WHOLE = ("budgets", "access", "connections")
ELSEWHERE = {"access": ("tests/attacks/test_roles.py", "tests/attacks/test_proxies.py")}
OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}  # fmt: skip
TYPES = {"annotation", "returns", "decorator_list", "bases", "keywords", "type_params"}
MEMORY = Path("/dev/shm")
SUBREAPER = 36  # prctl: a process that outlives its parent becomes our child
SHORT = ("no:cacheprovider", "no:randomly", "no:schemathesis", "mutants")
FATE = {0: "survived", 5: "survived"}  # of pytest's exit codes; 5: no test


@dataclass(frozen=True)
class Mutant:
    """One mistake: the file, the lines that it changes, and the text with it."""

    file: Path
    lines: range
    text: str

    @property
    def name(self) -> str:
        """Where it is."""
        return f"{self.file.relative_to(ROOT)}:{self.lines.start}"

    def diff(self) -> str:
        """What it changes."""
        texts = self.file.read_text().splitlines(), self.text.splitlines()
        return "\n".join(list(difflib.unified_diff(*texts, lineterm="", n=1))[2:])


def mutants(file: Path) -> list[Mutant]:
    """Every mutant of a file."""
    text = file.read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    valid = []
    for node, new in changes(ast.parse(text)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        replacement = ast.unparse(ast.fix_missing_locations(new))
        if not isinstance(new, ast.stmt | ast.Constant | ast.Name | ast.Call):
            replacement = f"({replacement})"
        mutated = (text[:begin] + replacement.encode() + text[end:]).decode()
        if compiles(mutated):
            valid.append(Mutant(file, range(node.lineno, node.end_lineno + 1), mutated))
    return valid


def compiles(text: str) -> bool:
    """Whether it is valid Python: not every expression is allowed in a formatted string."""
    try:
        compile(text, "", "exec")
    except SyntaxError:
        return False
    return True


def changes(tree: ast.AST, inside: bool = False) -> Iterator[tuple[Any, ast.AST]]:
    """Each node that can be replaced, and its replacement; `inside` of a function."""
    inside = inside or isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    skipped = TYPES if isinstance(tree, ast.ClassDef) else TYPES - {"keywords"}
    for name, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if name not in skipped and isinstance(node, ast.AST):
                yield from ((node, new) for new in replacements(node, inside))
                yield from changes(node, inside)
    if isinstance(tree, ast.Dict):
        yield from swapped_values(tree)
    test = getattr(tree, "test", None)
    if isinstance(test, ast.Name | ast.Call | ast.Attribute):
        yield test, ast.UnaryOp(ast.Not(), test)


def replacements(node: ast.AST, inside: bool) -> Iterator[ast.AST]:
    """The replacements of a node."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in OTHER:
            yield with_fields(node, ops=[OTHER[type(op)]()])
        case ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op) in OTHER:
            yield with_fields(node, op=OTHER[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.Set(elts=[_, _, *_]):
            for at in range(len(node.elts)):
                yield with_fields(node, elts=node.elts[:at] + node.elts[at + 1 :])
        case ast.stmt() if inside:
            yield from statement_replacements(node)


def statement_replacements(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The replacements of a statement."""
    match statement:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def swapped_values(table: ast.Dict) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each value of a table, and the value of its neighbour."""
    values = [value for key, value in zip(table.keys, table.values, strict=True) if key]
    for value, after in zip(values, values[1:] + values[:1], strict=True):
        if ast.dump(after) != ast.dump(value):
            yield value, after


def with_fields(node: ast.AST, **fields: Any) -> ast.AST:
    """A copy of a node with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


# ------------------------------------------------------------------ inside of pytest
def pytest_configure(config: Any) -> None:
    """As a plugin of pytest: record the lines that each test runs."""
    folder = os.environ.get("MUTANTS_LEARN")
    if folder and "PYTEST_XDIST_WORKER" in os.environ:
        config.pluginmanager.register(Lines(Path(folder)))


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Keep the tests of a mutant, in their order."""
    if chosen := os.environ.get("MUTANTS_TESTS"):
        place = {name: at for at, name in enumerate(Path(chosen).read_text().splitlines())}
        items[:] = sorted(
            (item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid]
        )


class Lines:
    """Records which test runs which lines of the files, and its processor time."""

    def __init__(self, folder: Path) -> None:
        """`folder` has the list of files, and receives the records of each worker."""
        self.folder, self.source = folder, f"{folder.parent}/0/"
        self.files = {self.source + name for name in (folder / "files").read_text().splitlines()}
        self.tests: dict[str, Any] = {}
        self.lines: dict[str, set[int]] = collections.defaultdict(set)
        self.watch: Any = vars(sys)["monitoring"]  # Python 3.12
        self.watch.use_tool_id(4, "mutants")
        self.watch.register_callback(4, self.watch.events.LINE, self.record_line)

    def record_line(self, code: types.CodeType, line: int) -> None:
        """A line runs."""
        self.lines[code.co_filename].add(line)

    def pytest_collection_finish(self) -> None:
        """Watch only the functions that exist now: watching everything would take too long."""
        codes = [obj.__code__ for obj in gc.get_objects() if isinstance(obj, types.FunctionType)]
        while codes:
            if (code := codes.pop()).co_filename in self.files:
                self.watch.set_local_events(4, code, self.watch.events.LINE)
                codes += [const for const in code.co_consts if isinstance(const, types.CodeType)]

    def pytest_runtest_logstart(self) -> None:
        """A test begins."""
        self.lines.clear()
        self.began = sum(os.times()[:4])

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A part of a test has ended; tests that fail without a mutant are not used."""
        name = report.nodeid.partition("@tests/")[0]  # without xdist it has no group
        known = self.tests.setdefault(name, {"seconds": 0.0, "passed": True})
        known["seconds"] = max(0.05, sum(os.times()[:4]) - self.began)  # of computing
        known["passed"] &= report.passed
        known["lines"] = {
            file.removeprefix(self.source): sorted(lines) for file, lines in self.lines.items()
        }

    def pytest_sessionfinish(self) -> None:
        """Write the records."""
        (self.folder / f"{os.getpid()}.json").write_text(json.dumps(self.tests))


# ------------------------------------------------------------------ the run
class Run:
    """Copies of the source, in which mutants are tried."""

    def __init__(self, folder: Path, jobs: int, seconds: float) -> None:
        """`seconds` of tests for each mutant."""
        self.folder, self.jobs, self.seconds = folder, jobs, seconds
        self.free: queue.Queue[int] = queue.Queue()
        (folder / "plugin").mkdir()
        shutil.copy(__file__, folder / "plugin" / "mutants.py")
        for job in range(jobs):
            shutil.copytree(ROOT / "src", folder / str(job) / "src")
            for other in ROOT.iterdir():  # tests find the documentation beside the package
                if not other.name.startswith(".") and other.name != "src":
                    (folder / str(job) / other.name).symlink_to(other)
            self.free.put(job)
        self.tests: dict[str, Any] = {}

    def learn(self, files: set[str], tests: list[str]) -> None:
        """Run some test files or folders once, to learn which lines of `files` each test runs."""
        (learned := self.folder / "learned").mkdir()
        (learned / "files").write_text("\n".join(files))
        # PostgreSQL's tests are the same ones once more.
        more = ["-n", str(self.jobs), "--dist", "loadgroup", "-k", "not postgres", *tests]
        self.pytest(0, 3600, more, MUTANTS_LEARN=str(learned))
        for file in learned.glob("*.json"):
            self.tests |= json.loads(file.read_text())
        if not any(test["passed"] for test in self.tests.values()):
            raise SystemExit((self.folder / "0.out").read_text())

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests that may notice a mutant, the most likely first, within the seconds."""
        file = str(mutant.file.relative_to(ROOT))
        package = package_of(mutant.file)
        good = {name: test for name, test in self.tests.items() if test["passed"]}
        own = {name for name in good if name.startswith(f"tests/{package}/")}
        lines = set(mutant.lines)
        covering = {
            name for name, test in good.items() if lines.intersection(test["lines"].get(file, ()))
        } or own  # lines that run only on import belong to no test
        mirror = f"tests/{package}/test_{mutant.file.stem}.py"
        ranked = sorted(
            covering,
            key=lambda it: (not it.startswith(mirror), it not in own, good[it]["seconds"], it),
        )
        left, picked = self.seconds, []
        for name in ranked:
            left -= good[name]["seconds"]
            picked.append(name)
            if left <= 0:
                break
        return picked

    def fate(self, mutant: Mutant) -> str:
        """Whether the tests notice a mutant."""
        job, tests = self.free.get(), self.chosen(mutant)
        file = self.folder / str(job) / mutant.file.relative_to(ROOT)
        try:
            file.write_text(mutant.text)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
                compiled.unlink()
            (names := self.folder / f"{job}.tests").write_text("\n".join(tests))
            patience = 10 * sum(self.tests[test]["seconds"] for test in tests) + 180
            files = sorted({test.partition("::")[0] for test in tests})
            code = self.pytest(job, patience, ["-x", *files], MUTANTS_TESTS=str(names))
            return "timed out" if code is None else FATE.get(code, "killed")
        finally:
            shutil.copy2(mutant.file, file)
            self.free.put(job)

    def pytest(self, job: int, patience: float, more: list[str], **env: str) -> int | None:
        """Run pytest with the copy of a job; its exit code, or None if it took too long."""
        plugins = [f"-p{plugin}" for plugin in SHORT]
        base = f"--basetemp={self.folder / str(job) / 'base'}"
        path = f"{self.folder / str(job) / 'src'}:{self.folder / 'plugin'}"
        new = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **env}
        new["PYTEST_DEBUG_TEMPROOT"] = str(self.folder)
        new["PYTHONHASHSEED"] = "0"  # the same tests in the same order in each process
        new["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
        command = [sys.executable, "-m", "pytest", "-q", "--timeout=120", base, *plugins, *more]
        with (self.folder / f"{job}.out").open("w") as out:
            running = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **new}, stdout=out, stderr=out
            )
            for number in (signal.SIGINT, signal.SIGKILL):
                try:
                    code = running.wait(patience)
                    return code if number is signal.SIGINT else None
                except subprocess.TimeoutExpired:
                    running.send_signal(number)
                    patience = 30  # so that fixtures can clean up
            running.wait()
            return None


@dataclass
class Options:
    """The options of the command line."""

    each: int
    seed: int
    seconds: float
    minutes: float
    jobs: int
    files: list[str]


def main() -> int:
    """Try the mutants, and report."""
    options, began = read_options(), time.monotonic()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    tried = sampled(options)
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 1024**3
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=MEMORY if roomy else None) as folder:
        os.chmod(folder, 0o711)  # PostgreSQL has a user of its own
        try:
            run = Run(Path(folder), options.jobs, options.seconds)
            fates = try_all(run, tried, began + options.minutes * 60)
        finally:
            end_orphans()
    minutes = (time.monotonic() - began) / 60
    report(fates, options, minutes)
    return 0


def read_options() -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=5, help="mutants of a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30, help="of tests for a mutant")
    parser.add_argument("--minutes", type=float, default=60, help="until no other is begun")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*", help="with a line, all mutants of that line")
    return Options(**vars(parser.parse_args()))


def sampled(options: Options) -> list[Mutant]:
    """The mutants that were asked for: one of each file, then another of each."""
    usual = [
        *(PACKAGE / name for name in ALONE),
        *(f for folder in WHOLE for f in (PACKAGE / folder).glob("*.py")),
    ]
    by_round: list[tuple[int, Mutant]] = []
    for name in options.files or sorted(str(file) for file in usual):
        path, _, line = name.partition(":")
        everything = mutants(ROOT / path)
        chance = random.Random(f"{options.seed} {Path(path).name}")
        if line:
            some = [mutant for mutant in everything if mutant.lines.start == int(line)]
        else:
            some = chance.sample(everything, min(options.each, len(everything)))
        by_round += enumerate(some)
    return [mutant for _, mutant in sorted(by_round, key=lambda numbered: numbered[0])]


def try_all(run: Run, tried: list[Mutant], end: float) -> list[tuple[Mutant, str]]:
    """Each mutant and its fate; those that are left at the end of the time are not tried."""
    files = {mutant.file for mutant in tried}
    run.learn(
        {str(file.relative_to(ROOT)) for file in files},
        sorted({test for file in files for test in tests_of(file)}),
    )
    passed = sum(test["passed"] for test in run.tests.values())
    sys.stdout.write(f"{passed} of {len(run.tests)} tests pass; {len(tried)} mutants\n")
    sys.stdout.flush()

    def fate(mutant: Mutant) -> tuple[Mutant, str]:
        done = run.fate(mutant) if time.monotonic() < end else "not tried"
        more = f"\n{mutant.diff()}" if done == "survived" else ""
        sys.stdout.write(f"{done}: {mutant.name}{more}\n")
        sys.stdout.flush()
        return mutant, done

    with ThreadPoolExecutor(run.jobs) as pool:
        return list(pool.map(fate, tried))


def package_of(file: Path) -> str:
    """The folder of a file in Prism, which its tests have, too: `agent/idle`."""
    return str(file.resolve().relative_to(PACKAGE).parent)


def tests_of(file: Path) -> list[str]:
    """The tests of its package, or its own where its package is not tried as a whole."""
    package = package_of(file)
    if package not in WHOLE:
        return [f"tests/{package}/test_{file.stem}.py"]
    return [f"tests/{package}", *ELSEWHERE.get(package, ())]


def end_orphans() -> None:
    """End the processes that tests left; they are children of this process now."""
    import psutil  # noqa: PLC0415  not needed inside of pytest

    for process in psutil.Process().children(recursive=True):
        process.kill()
        process.wait()


def report(fates: list[tuple[Mutant, str]], options: Options, minutes: float) -> None:
    """Print the number of mutants by file and fate, and record it after a whole run."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for mutant, fate in fates:
        counts[str(mutant.file.relative_to(ROOT))][fate] += 1
    kinds = ("killed", "timed out", "survived", "not tried")
    rows = [f"| file | {' | '.join(kinds)} |", f"|{'---|' * 5}"]
    for file, count in counts.items():
        rows.append(f"| `{file}` | {' | '.join(str(count[kind]) for kind in kinds)} |")
    total = sum(counts.values(), collections.Counter())
    text = (
        "A mutant is the code with one mistake; a test that fails kills it. "
        f"{len(fates)} mutants (seed {options.seed}, at most {options.each} of each file, "
        f"{options.seconds:.0f} seconds of tests for each), in {minutes:.0f} minutes: "
        + ", ".join(f"{total[kind]} {kind}" for kind in kinds)
        + ".\n\n"
        + "\n".join(rows)
    )
    sys.stdout.write(f"\n{text}\n")
    if not options.files:
        sys.path.insert(0, str(ROOT))
        from tests.proofs import record  # noqa: PLC0415  pytest has this file as a plugin too

        record("Mutants", text)


if __name__ == "__main__":
    sys.exit(main())
