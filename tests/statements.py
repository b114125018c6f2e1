"""PostgreSQL plans in `make test` each statement that SQLite runs there.

Most tests run on SQLite in `make test`, and on PostgreSQL too in `make test-all`, because only the
statements differ between the databases. Tests with the mark `postgres` run on both in `make test`.
When the PostgreSQL of a test process ends, it plans each statement that SQLite ran in that
process.
"""

import re
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlalchemy import Engine, Executable, NullPool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.compiler import SQLCompiler

from prism.kit.tables import metadata

SOURCE = Path(__file__).parents[1] / "src" / "prism"
MIGRATIONS = f"{SOURCE / 'daemon' / 'migrations'}/"  # of tables that have changed since
TABLE = re.compile(r"\b(?:FROM|INTO|JOIN|UPDATE) (\w+)")


class WholeRunError(AssertionError):
    """A fault of many tests, which no repeated test can show: see `scripts/flaky.py`."""


class Planned(Exception):
    """PostgreSQL has planned a statement, which need not run."""


class Statements:
    """The statements of the program that SQLite ran in this process."""

    def __init__(self) -> None:
        self.ran: dict[str, tuple[Executable, Any, str]] = {}
        """By its text, each statement, parameters of it, and a test that ran it."""
        self._test: str | None = None
        self._last = threading.local()

    def listen(self) -> None:
        """Listens to the statements of all engines."""
        event.listen(Engine, "before_execute", self.keep_statement)
        event.listen(Engine, "before_cursor_execute", self.record)

    def keep_statement(
        self, _c: Any, statement: Any, many: Any, single: Any, _options: Any
    ) -> None:
        """Stores a statement and its parameters as the program has them."""
        self._last.executed = statement, many or single

    def record(self, _c: Any, _u: Any, words: str, _p: Any, context: Any, _m: bool) -> None:
        """Records the statement as the database gets it; called after `keep_statement`."""
        compiled = getattr(context, "compiled", None)
        if self._test is None or context.dialect.name != "sqlite" or words in self.ran:
            return
        if not isinstance(compiled, SQLCompiler) or not is_of_program(words):
            return
        statement, parameters = self._last.executed
        if statement.is_select or statement.is_dml:
            self.ran[words] = statement, parameters, self._test

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._test = item.nodeid
        try:
            return (yield)
        finally:
            self._test = None

    def refused(self, url: str) -> list[str]:
        """The statements that an empty PostgreSQL refuses, each with a test that ran it."""
        engine, refused = create_engine(url, poolclass=NullPool), []
        metadata.create_all(engine)
        event.listen(engine, "before_cursor_execute", plan)
        with engine.connect() as sql:
            for statement, parameters, test in self.ran.values():
                try:
                    sql.execute(statement, parameters)
                except Planned:
                    continue
                except SQLAlchemyError as error:
                    refused.append(f"{test}: {error}")
                sql.rollback()
        return refused


STATEMENTS = Statements()


def plan(_c: Any, cursor: DBAPICursor, words: str, parameters: Any, _o: Any, many: bool) -> None:
    """Lets the database plan a statement instead of running it."""
    cursor.execute(f"EXPLAIN {words}", parameters[0] if many else parameters)
    raise Planned


def is_of_program(words: str) -> bool:
    """Whether the program sends it, to tables of the program; migrations do not count."""
    file, named = calling_file(sys._getframe()), set(TABLE.findall(words))
    return (
        file.startswith(f"{SOURCE}/")
        and not file.startswith(MIGRATIONS)
        and named <= metadata.tables.keys()
    )


def runs_only_in_test_all(item: pytest.Item) -> bool:
    """Whether it is the PostgreSQL variant of a test that only `make test-all` runs there."""
    params = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
    on_it = params and "postgres" in {params.get("url"), params.get("empty_database_url")}
    return bool(on_it) and item.get_closest_marker("postgres") is None


def calling_file(frame: FrameType | None) -> str:
    """The file that calls SQLAlchemy."""
    while frame is not None:
        file = frame.f_code.co_filename
        if "/sqlalchemy/" not in file and file != __file__:
            return file
        frame = frame.f_back
    return ""
