"""Migrations that are killed midway are rolled back and completed at the next start."""

import signal
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, text

from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.kit.database.migrate import upgrade
from prism.kit.tables import metadata

pytestmark = pytest.mark.postgres

# Migrates a database to the present schema; kills itself before the statement of that number.
PROGRAM = """
import os, signal, sys
from sqlalchemy import Engine, event
from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.kit.database.migrate import upgrade
number, at = 0, int(sys.argv[2])
def count(*_):
    global number
    if number == at:
        os.kill(os.getpid(), signal.SIGKILL)
    number += 1
event.listen(Engine, "before_cursor_execute", count)
upgrade(sys.argv[1], MIGRATIONS_FOLDER)
"""


def killed_before(url, number):
    argv = [sys.executable, "-c", PROGRAM, url, str(number)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


def statements_of_upgrade(url):
    """The number of statements of a whole migration."""
    numbers: list[int] = []

    def count(*_):
        numbers.append(len(numbers))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        upgrade(url, MIGRATIONS_FOLDER)
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    return len(numbers)


def differs(url):
    """The differences between the database and the present schema."""
    engine = create_engine(url)
    with engine.connect() as sql:
        differences = compare_metadata(MigrationContext.configure(sql), metadata)
    engine.dispose()
    # Tests that ran before in this process may have tables of their own.
    return [
        difference
        for difference in differences
        if not getattr(difference[1], "name", "").startswith("test_")
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("parts", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_migrations_killed_midway_are_completed_at_the_next_start(
    empty_database_url, tmp_path, request, parts
):
    copied = (
        None
        if empty_database_url.startswith("sqlite")
        else request.getfixturevalue("copy_database")
    )
    many = statements_of_upgrade(empty_database_url)
    for part in range(1, parts + 1):
        at = many * part // (parts + 1)
        url = copied("template1") if copied else f"sqlite:///{tmp_path / f'{at}.db'}"
        killed = killed_before(url, at)
        assert killed.returncode == -signal.SIGKILL, (at, killed.stderr)
        upgrade(url, MIGRATIONS_FOLDER)
        assert differs(url) == [], f"killed before statement {at} of {many}"
        engine = create_engine(url)
        with engine.begin() as sql:
            assert sql.execute(text("SELECT count(*) FROM events")).scalar() == 0
        engine.dispose()
