"""Which SQL each database ran: PostgreSQL runs in `make test` what SQLite runs there.

What a test proves of the program it proves once; what differs between the databases is how they
take a statement. So most tests run on SQLite, and on PostgreSQL in `make test-all` only. Those
that are marked `postgres` run on both in `make test`: all about several daemons, locks, migrations
and faults of a database, and enough of the others that together they run each statement. If they
leave one out, `make test` says so, and `make test-all` fails.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.exc import CompileError
from sqlalchemy.sql.compiler import SQLCompiler

from prism.kit.tables import metadata

SOURCE = str(Path(__file__).parents[1] / "src" / "prism")
ONE = PGDialect(paramstyle="named")
TABLES = frozenset(metadata.tables)  # not those that tests declare
PARAMETER = re.compile(r":\w+(?:::\w+)?|POSTCOMPILE_\w+")
TABLE = re.compile(r"\b(?:FROM|INTO|JOIN|UPDATE) (\w+)")
NUMBER = re.compile(r"_\d+\b")  # of an alias or a savepoint
ROWS = re.compile(r"(\((?::p, )*:p\))(?:, \1)+")
UPDATE = re.compile(r"UPDATE (\w+) SET (\w+=:p(?:, \w+=:p)*)( WHERE .*|)")
# A daemon that is the only one of its database takes over what the last one held.
ALONE = re.compile(r"UPDATE \w+ SET lease_until=:p WHERE \w+\.lease IS NOT NULL")
SQLITE, POSTGRES = "sqlite", "postgresql"


class Statements:
    """A plugin of pytest, in each process of a run."""

    def __init__(self) -> None:
        self.first: dict[str, dict[str, str]] = {SQLITE: {}, POSTGRES: {}}
        """By database, each statement and a test that ran it."""
        self._test: str | None = None
        event.listen(Engine, "before_cursor_execute", self.note)

    def note(self, _c: Any, _u: Any, _s: str, _p: Any, context: Any, _m: bool) -> None:
        """Called before each statement of any engine."""
        compiled = getattr(context, "compiled", None)
        if self._test is None or not isinstance(compiled, SQLCompiler):
            return
        if (found := vars(compiled).get("shapes")) is None:
            found = vars(compiled)["shapes"] = tuple(shapes(compiled))
        for shape in found:
            self.first[context.dialect.name].setdefault(shape, self._test)

    def missing(self) -> dict[str, str]:
        """What PostgreSQL did not run, and a test of SQLite that did."""
        ran = self.first[POSTGRES]
        return {it: test for it, test in self.first[SQLITE].items() if it not in ran}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """What runs in `make test-all` only is not looked at."""
        self._test = None if item.get_closest_marker("slow") else item.nodeid
        try:
            return (yield)
        finally:
            self._test = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended."""
        for database, ran in getattr(node, "workeroutput", {}).get("statements", {}).items():
            self.first[database] = ran | self.first[database]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over, or judge a run of `make test-all`."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["statements"] = self.first
        elif is_whole(session.config) and not session.config.option.markexpr and self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what is left out."""
        if not is_whole(terminalreporter.config) or not (missing := self.missing()):
            return
        terminalreporter.section("statements that PostgreSQL did not run", red=True)
        terminalreporter.line("Mark a test that runs them: @pytest.mark.postgres")
        for statement, test in missing.items():
            terminalreporter.line(f"{test}: {statement[:500]}")


def is_whole(config: pytest.Config) -> bool:
    """Whether all tests that `make test` runs were asked for."""
    testpaths = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    options = config.option
    return testpaths and not (options.keyword or options.collectonly or options.deselect)


def postponed(item: pytest.Item) -> bool:
    """Whether it is the half of a test on PostgreSQL that only `make test-all` runs."""
    params = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
    on_it = params and "postgres" in {params.get("url"), params.get("empty_database_url")}
    return bool(on_it) and item.get_closest_marker("postgres") is None


def shapes(compiled: SQLCompiler) -> Iterator[str]:
    """What a statement of the program is on any database; nothing for one of the tests.

    How many rows it is given does not count, and setting columns is setting one of each type.
    """
    if compiled.statement is None or not asked_by(sys._getframe()).startswith(SOURCE):
        return
    try:
        words = str(compiled.statement.compile(dialect=ONE, column_keys=compiled.column_keys))
    except CompileError:
        words = str(compiled)
    words = NUMBER.sub("", PARAMETER.sub(":p", " ".join(words.split())))
    words = ROWS.sub(r"\1", words)
    named = set(TABLE.findall(words))
    if ALONE.match(words) or (named and not named & TABLES):
        return
    if (update := UPDATE.fullmatch(words)) is None:
        yield words
        return
    for column in update[2].split(", "):
        kind = metadata.tables[update[1]].c[column.removesuffix("=:p")].type
        yield f"UPDATE {update[1]} SET a column of {kind!r}{update[3]}"


def asked_by(frame: FrameType | None) -> str:
    """The file that asks SQLAlchemy."""
    while frame is not None:
        file = frame.f_code.co_filename
        if "/sqlalchemy/" not in file and file != __file__:
            return file
        frame = frame.f_back
    return ""
