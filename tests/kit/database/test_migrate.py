"""Migrations run completely or not at all, once, and never backwards."""

import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.kit.database.migrate import DatabaseNewer, revisions, upgrade
from prism.kit.tables import metadata

pytestmark = pytest.mark.postgres

STEP = '''"""A step."""
from alembic import op
revision = {revision!r}
down_revision = {before!r}

def upgrade():
    """Go there."""
    for statement in {statements!r}:
        op.execute(statement)
'''


@pytest.fixture
def url(empty_database_url):
    return empty_database_url


@pytest.fixture
def steps(tmp_path):
    """Adds migrations to a history of the test."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(MIGRATIONS_FOLDER / "env.py", folder)
    shutil.copy(MIGRATIONS_FOLDER / "script.py.mako", folder)

    def add(*statements):
        known = revisions(folder)
        revision = f"{len(known) + 1:04}"
        before = known[-1] if known else None
        step = STEP.format(revision=revision, before=before, statements=statements)
        (folder / "versions" / f"{revision}_step.py").write_text(step)
        return folder

    add("CREATE TABLE things (name VARCHAR)", "INSERT INTO things VALUES ('old')")
    return add


def ask(url, statement):
    engine = create_engine(url)
    with engine.connect() as sql:
        rows = [row[0] for row in sql.execute(text(statement))]
    engine.dispose()
    return rows


def tables(url):
    engine = create_engine(url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def test_migrated_schema_equals_the_declared_tables(url):
    upgrade(url, MIGRATIONS_FOLDER)
    engine = create_engine(url)
    with engine.connect() as sql:
        # Other tests create tables of their own.
        ours = {"include_object": lambda _, name, *__: not str(name).startswith("test_")}
        differences = compare_metadata(MigrationContext.configure(sql, opts=ours), metadata)
        versions = sql.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    engine.dispose()
    assert differences == []
    assert versions == revisions(MIGRATIONS_FOLDER)[-1:]


def server_defaults(url):
    """By column, the value that the database writes if a statement names none."""
    engine = create_engine(url)
    seen = inspect(engine)
    defaults = {
        f"{table}.{column['name']}": str(column["default"]).split("::")[0].strip("'")
        for table in {*seen.get_table_names()} & {*metadata.tables}
        for column in seen.get_columns(table)
        if column["default"] is not None and not column["default"].startswith("nextval")
    }
    engine.dispose()
    return defaults


def test_migrated_columns_have_the_defaults_of_the_declared_tables(url):
    """Else a forgotten value is an error in new databases only, or in old ones only."""
    upgrade(url, MIGRATIONS_FOLDER)
    migrated = server_defaults(url)
    engine = create_engine(url)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    engine.dispose()
    assert migrated == server_defaults(url)


def rows_of_each_table(url):
    """How many rows each table has."""
    return {
        table: ask(url, f'SELECT count(*) FROM "{table}"')[0]
        for table in tables(url) - {"alembic_version"}
    }


def test_filled_row_of_each_table_is_upgraded(tmp_path):
    """A column without a default, or a table that is made anew, must not refuse or lose rows."""
    url, folder = f"sqlite:///{tmp_path / 'filled.db'}", tmp_path / "steps"
    shutil.copytree(MIGRATIONS_FOLDER, folder, ignore=shutil.ignore_patterns("[0-9]*", "*.pyc"))
    counts = dict[str, int]()
    for step in sorted((MIGRATIONS_FOLDER / "versions").glob("[0-9]*.py")):
        shutil.copy(step, folder / "versions")
        upgrade(url, folder)
        after = rows_of_each_table(url)
        assert {table: count for table, count in counts.items() if table in after} == {
            table: after[table] for table in counts if table in after
        }, step.stem
        engine = create_engine(url)
        with engine.begin() as sql:
            for number, table in enumerate(sorted(after), start=1):  # no two rows have one id
                if after[table] == 0:
                    key = inspect(sql).get_columns(table)[0]["name"]
                    insert_row(sql, table, {key: number})
        engine.dispose()
        counts = rows_of_each_table(url)
    assert len(counts) > 20
    assert min(counts.values()) > 0


def test_migrated_sqlite_has_the_declared_indexes_and_autoincrement(tmp_path):
    """Alembic does not compare partial indexes and AUTOINCREMENT."""
    new_url = f"sqlite:///{tmp_path / 'made.db'}"
    engine = create_engine(new_url)
    metadata.create_all(engine)
    engine.dispose()
    migrated = f"sqlite:///{tmp_path / 'migrated.db'}"
    upgrade(migrated, MIGRATIONS_FOLDER)
    words = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    assert sorted(ask(migrated, words)) == sorted(ask(new_url, words))
    counted = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
    assert sorted(ask(migrated, counted)) == sorted(ask(new_url, counted)) != []


def test_new_sqlite_file_has_small_pages_and_an_old_file_is_unchanged(tmp_path, steps):
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as sql:
        sql.execute("CREATE TABLE somebodys (id INTEGER)")
    upgrade(f"sqlite:///{tmp_path}/new.db", steps())
    upgrade(f"sqlite:///{old}", steps())
    assert ask(f"sqlite:///{tmp_path}/new.db", "PRAGMA page_size") == [1024]
    assert ask(f"sqlite:///{old}", "PRAGMA page_size") == [4096]


def test_old_database_is_upgraded_and_keeps_its_rows(url, steps):
    upgrade(url, steps())
    steps("ALTER TABLE things ADD COLUMN size INTEGER")
    upgrade(url, steps("UPDATE things SET size = 7"))
    assert ask(url, "SELECT name || size FROM things") == ["old7"]
    assert ask(url, "SELECT version_num FROM alembic_version") == ["0004"]


def test_failed_migration_leaves_the_database_unchanged(url, steps):
    upgrade(url, steps())
    before = tables(url)
    steps("CREATE TABLE more (name VARCHAR)", "DELETE FROM things")
    folder = steps("INSERT INTO nowhere VALUES (1)")
    for _ in range(2):  # it can be repeated
        with pytest.raises(Exception, match="nowhere"):
            upgrade(url, folder)
    assert tables(url) == before
    assert ask(url, "SELECT name FROM things") == ["old"]
    assert ask(url, "SELECT version_num FROM alembic_version") == ["0002"]


def test_sqlite_file_is_restored_even_after_a_migration_that_committed(tmp_path, steps):
    file = tmp_path / "state.db"
    folder = steps()
    upgrade(f"sqlite:///{file}", folder)
    steps("DELETE FROM things", "COMMIT", "BEGIN", "INSERT INTO nowhere VALUES (1)")
    with pytest.raises(Exception, match="nowhere"):
        upgrade(f"sqlite:///{file}", folder)
    assert ask(f"sqlite:///{file}", "SELECT name FROM things") == ["old"]
    assert sorted(tmp_path.glob("state.db*")) == [file]


def test_sqlite_file_is_copied_before_a_migration(tmp_path, steps):
    file = tmp_path / "state.db"
    url = f"sqlite:///{file}"
    upgrade(url, steps())
    assert sorted(tmp_path.glob("state.db*")) == [file], "a new file needs no copy"
    with closing(sqlite3.connect(file)) as sql:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("INSERT INTO things VALUES ('only in the log')")
        sql.commit()
        upgrade(url, steps("DELETE FROM things"))
    copy = tmp_path / "state.db.before-0003"
    assert ask(f"sqlite:///{copy}", "SELECT name FROM things") == ["old", "only in the log"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert ask(url, "SELECT name FROM things") == []


def test_newer_database_is_refused_and_unchanged(url, steps):
    folder = steps()
    upgrade(url, steps("CREATE TABLE newer (name VARCHAR)"))
    Path(folder, "versions", "0003_step.py").unlink()
    with pytest.raises(DatabaseNewer) as raised:
        upgrade(url, folder)
    assert raised.value.details == "it is at revision 0003, and this Prism knows 0002 at most"
    assert "newer" in tables(url)


# A home has one daemon, so two of them on one SQLite file are rare.
@pytest.mark.parametrize(
    "empty_database_url",
    ["postgres", pytest.param("sqlite", marks=pytest.mark.slow)],
    indirect=True,
)
def test_concurrent_upgrades_run_each_migration_once(url, steps):
    upgrade(url, steps())
    # Long enough for both to have begun.
    slow = ["SELECT pg_sleep(1)"] if url.startswith("postgresql") else []
    folder = steps("INSERT INTO things VALUES ('new')", *slow)
    failed = []
    program = (
        "from pathlib import Path; from prism.kit.database.migrate import upgrade; "
        f"upgrade({url!r}, Path({str(folder)!r}))"
    )

    def start():
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        if run.returncode:
            failed.append(run.stderr)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(ask(url, "SELECT name FROM things")) == ["new", "old"]


def test_start_without_a_pending_migration_does_not_import_alembic(tmp_path):
    url = f"sqlite:///{tmp_path / 'state.db'}"
    upgrade(url, MIGRATIONS_FOLDER)
    program = (
        "import sys; from prism.daemon.migrations import MIGRATIONS_FOLDER; "
        "from prism.kit.database.migrate import upgrade; "
        f"upgrade({url!r}, MIGRATIONS_FOLDER); print('alembic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr


def test_segments_of_earlier_versions_know_which_are_the_rest_of_a_minimum(url, tmp_path):
    """Until 0029 only the end of a text said so."""
    older = tmp_path / "older"
    shutil.copytree(MIGRATIONS_FOLDER, older)
    for step in (older / "versions").glob("*.py"):
        if step.stem[:4] > "0029":
            step.unlink()
    upgrade(url, older)
    columns = (
        "no, resource, name, owner, profile, kind, hours, source, began, reconstructed, detail"
    )
    values = "1, 'w', 'w', 'ada', 'aws', 'compute', 1, 'list', 1, false"
    engine = create_engine(url)
    with engine.begin() as sql:
        for detail in ("m7i.large", "m7i.large, to 60 s for a start"):
            sql.execute(text(f"INSERT INTO segments ({columns}) VALUES ({values}, '{detail}')"))
    engine.dispose()
    upgrade(url, MIGRATIONS_FOLDER)
    filled = "SELECT detail FROM segments WHERE is_minimum"
    assert ask(url, filled) == ["m7i.large, to 60 s for a start"]


def older_than(revision, tmp_path):
    """The migrations before a revision."""
    older = tmp_path / "older"
    shutil.copytree(MIGRATIONS_FOLDER, older)
    for step in (older / "versions").glob("*.py"):
        if step.stem[:4] >= revision:
            step.unlink()
    return older


def insert_row(sql, table, row):
    """Insert a row, with an empty value in each other column that needs one."""
    columns = inspect(sql).get_columns(table)
    for column in columns:
        if not column["nullable"] and column["default"] is None and column["name"] not in row:
            kind = str(column["type"]).upper()
            text_like = "CHAR" in kind or "TEXT" in kind
            moment = "2026-01-01 00:00:00" if "DATE" in kind or "TIME" in kind else None
            row[column["name"]] = moment or ("{}" if "JSON" in kind else "" if text_like else 0)
            if kind == "BOOLEAN":
                row[column["name"]] = False
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    sql.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


def test_names_of_earlier_versions_stay_and_their_owners_get_handles(url, tmp_path):
    """Until 0032 a name was unique in the whole database."""
    upgrade(url, older_than("0033", tmp_path))
    engine = create_engine(url)
    with engine.begin() as sql:
        insert_row(sql, "workspaces", {"id": "ws_1", "name": "mine", "owner": "Ada@X.org"})
        insert_row(sql, "workspaces", {"id": "ws_2", "name": "other", "owner": "ada@y.org"})
        insert_row(sql, "volumes", {"id": "volume_1", "name": "data", "owner": "ada@x.org"})
        link = {"volume": "volume_1", "workspace": "ws_1", "name": "mine", "wanted": True}
        insert_row(sql, "attachments", link)
        insert_row(sql, "snapshots", {"id": "snapshot_1", "name": "s", "owner": "eve@x.org"})
        with pytest.raises(Exception, match=r"(?i)unique"), sql.begin_nested():
            insert_row(sql, "volumes", {"id": "volume_2", "name": "data", "owner": "eve@x.org"})
    upgrade(url, MIGRATIONS_FOLDER)
    handles = "SELECT person || ' ' || handle FROM handles ORDER BY person"
    assert ask(url, handles) == ["ada@x.org ada", "ada@y.org ada2", "eve@x.org eve"]
    for table, id, name in (
        ("workspaces", "ws_9", "mine"),
        ("volumes", "volume_9", "data"),
        ("snapshots", "snapshot_9", "s"),
    ):
        with engine.begin() as sql:
            insert_row(sql, table, {"id": id, "name": name, "owner": "new@x.org"})
            again = {"id": f"{id}1", "name": name, "owner": "new@x.org"}
            with pytest.raises(Exception, match=r"(?i)unique"), sql.begin_nested():
                insert_row(sql, table, again)
    assert ask(url, "SELECT name FROM attachments") == ["mine"]
    [key] = inspect(engine).get_foreign_keys("attachments")
    assert (key["referred_table"], key["constrained_columns"]) == ("volumes", ["volume"])
    engine.dispose()


def test_reserved_disks_of_earlier_versions_get_the_times_of_their_months(url, tmp_path):
    """Half of February is half a month, as half of March is."""
    upgrade(url, older_than("0036", tmp_path))
    days = datetime(2026, 2, 15, tzinfo=UTC), datetime(2026, 3, 16, 12, tzinfo=UTC)
    middle = [int(day.timestamp()) for day in days]
    engine = create_engine(url)
    with engine.begin() as sql:
        for at in middle:
            times = {"disk_since": at, "disk_until": at + 86400}
            insert_row(sql, "reservations", {"id": f"ws_{at}", **times})
    engine.dispose()
    upgrade(url, MIGRATIONS_FOLDER)
    since = ask(url, "SELECT disk_since_month FROM reservations ORDER BY disk_since")
    assert [at % (30 * 86400) for at in since] == [15 * 86400] * 2
    until = ask(url, "SELECT disk_until_month FROM reservations ORDER BY disk_since")
    assert [end - begin for begin, end in zip(since, until, strict=True)] == [
        86400 * 30 // 28,
        86400 * 30 // 31,
    ]
    assert ask(url, "SELECT DISTINCT part_until_month FROM reservations") == [0]
