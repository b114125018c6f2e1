"""Backups of a PostgreSQL that other programs also use: only Prism's tables are restored."""

import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import Table, create_engine, text
from sqlalchemy.pool import NullPool

from prism.daemon import app, backups, migrations
from prism.daemon.backups import BackupInvalid
from prism.errors import Unavailable
from prism.kit.tables import metadata
from prism.settings import Settings
from tests.optional import not_none

assert app.__name__, "this import registers every table"
THEIRS = """
CREATE TABLE theirs (id SERIAL PRIMARY KEY, word VARCHAR UNIQUE);
INSERT INTO theirs (word) VALUES ('early');
CREATE SCHEMA other;
CREATE TABLE other.projects (id SERIAL PRIMARY KEY, word VARCHAR);
INSERT INTO other.projects (word) VALUES ('early');
"""
LATER = """
INSERT INTO theirs (word) VALUES ('late');
INSERT INTO other.projects (word) VALUES ('late');
"""
WORDS = "SELECT word FROM {} ORDER BY id"


class SharedPostgres:
    """A database on the real PostgreSQL, with the tables of Prism and of another program."""

    def __init__(self, url, folder):
        self.settings = Settings(home=str(folder / "home"), database_url=url)
        self.settings.folder.mkdir()
        self.engine = create_engine(url, poolclass=NullPool)
        at, socket, port = not_none(re.fullmatch(r".+/(\w+)\?host=(.+)&port=(\d+)", url)).groups()
        self.place = ["-h", socket, "-p", port, "-U", "prism", "-d", at]

    def run(self, statements):
        with self.engine.begin() as sql:
            sql.execute(text(statements))

    def ask(self, statement):
        with self.engine.connect() as sql:
            return list(sql.execute(text(statement)).scalars())

    def dump(self, *words):
        command = ["pg_dump", *self.place, *words]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def schema(self):
        """The schema of the database, without comments and session keys."""
        lines = self.dump("--schema-only").decode().splitlines()
        return sorted(line for line in lines if not line.startswith(("--", "\\")))

    def old_backup(self, file):
        """Write a backup of format 1, which contained the whole database."""
        content = self.dump("--format=custom", "--no-owner", "--no-privileges")
        manifest = {"format": 1, "kind": "postgresql", "made_at": "2026-11-01T00:00:00+00:00"}
        manifest["sha256"] = hashlib.sha256(content).hexdigest()
        pack(file, manifest, content)


def pack(file, manifest, content, name="state.dump"):
    parts = {"manifest.json": json.dumps(manifest).encode(), name: content}
    with tarfile.open(file, "w") as tar:
        for part, value in parts.items():
            head = tarfile.TarInfo(part)
            head.size = len(value)
            tar.addfile(head, io.BytesIO(value))


@pytest.fixture
def server(copy_database, database_with_tables, tmp_path):
    new_server = SharedPostgres(copy_database(database_with_tables), tmp_path)
    new_server.run("INSERT INTO database_identity (id, created_at) VALUES ('before', now())")
    return new_server


IDENTITY = "SELECT id FROM database_identity"
CHANGED = "UPDATE database_identity SET id = 'after'"


def test_format_1_backup_restores_only_the_tables_of_prism(server, tmp_path):
    server.run(THEIRS)
    server.old_backup(tmp_path / "old.backup")
    server.run(LATER + CHANGED)
    schema = server.schema()
    backup_file = backups.restore(server.settings, tmp_path / "old.backup")["kept"]
    assert server.ask(IDENTITY) == ["before"]
    for table in ("theirs", "other.projects"):
        assert server.ask(WORDS.format(table)) == ["early", "late"]
    assert server.schema() == schema, "indexes, sequences and constraints are restored"
    tables = f"DROP TABLE {', '.join(metadata.tables)}"
    server.run(tables)
    subprocess.run(["pg_restore", *server.place, "--no-owner", backup_file], check=True)
    assert server.ask(IDENTITY) == ["after"]
    assert server.schema() == schema


def test_restore_fails_without_changes_if_a_foreign_key_prevents_it(server, tmp_path):
    server.run(THEIRS + "ALTER TABLE theirs ADD of VARCHAR REFERENCES database_identity (id)")
    server.old_backup(tmp_path / "old.backup")
    server.run(LATER)
    schema = server.schema()
    with pytest.raises(Unavailable, match="nothing was changed"):
        backups.restore(server.settings, tmp_path / "old.backup")
    assert server.ask(WORDS.format("theirs")) == ["early", "late"]
    assert server.schema() == schema


def test_restore_backs_up_a_newer_table_before_replacing_it(server, tmp_path):
    """The backup contains a table that this version does not know."""
    server.run("CREATE TABLE newer (id SERIAL PRIMARY KEY, word VARCHAR)")
    server.run("INSERT INTO newer (word) VALUES ('early')")
    known_there = Table("newer", metadata)
    try:
        backups.create(server.settings, tmp_path / "new.backup")
    finally:
        metadata.remove(known_there)
    server.run("INSERT INTO newer (word) VALUES ('late')")
    backup_file = backups.restore(server.settings, tmp_path / "new.backup")["kept"]
    assert server.ask(WORDS.format("newer")) == ["early"]
    server.run("DROP TABLE newer")
    subprocess.run(
        ["pg_restore", *server.place, "--no-owner", "--table=newer", backup_file], check=True
    )
    assert server.ask(WORDS.format("newer")) == ["early", "late"]


def test_backup_without_tables_of_prism_is_rejected(server, tmp_path):
    server.run("CREATE SCHEMA other; CREATE TABLE other.projects (id SERIAL PRIMARY KEY)")
    content = server.dump("--format=custom", "--schema=other")
    sha256 = hashlib.sha256(content).hexdigest()
    for number in (1, 2):
        manifest = {"format": number, "kind": "postgresql", "made_at": "x", "sha256": sha256}
        pack(tmp_path / "old.backup", manifest, content)
        with pytest.raises(BackupInvalid):
            backups.restore(server.settings, tmp_path / "old.backup")
    assert server.ask(IDENTITY) == ["before"]


@pytest.mark.parametrize("number", [0, 3, None, "1"])
def test_backup_of_an_unknown_format_is_rejected(server, tmp_path, number):
    manifest = {"format": number, "kind": "postgresql", "sha256": ""}
    pack(tmp_path / "odd.backup", manifest, b"")
    with pytest.raises(BackupInvalid) as refused:
        backups.restore(server.settings, tmp_path / "odd.backup")
    assert "format" in refused.value.details
    assert server.ask(IDENTITY) == ["before"]


def test_every_table_of_a_migration_is_in_the_metadata():
    """Otherwise a restore would not treat a table of an older backup as Prism's."""
    files = Path(migrations.__file__).parent.glob("versions/*.py")
    steps = "\n".join(file.read_text() for file in files)
    tables = set(re.findall(r'create_table\(\s*"(\w+)"', steps))
    assert tables
    assert tables <= {*metadata.tables}
    assert not re.search("rename_table|RENAME TO", steps)


def test_sqlite_backup_without_a_database_inside_is_rejected(tmp_path):
    """The hash in the manifest is correct."""
    settings = Settings(home=str(tmp_path / "home"))
    content = b"not a database" * 1000
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = {"format": 1, "kind": "sqlite", "sha256": sha256}
    pack(tmp_path / "one.backup", manifest, content, "state.db")
    with pytest.raises(BackupInvalid) as refused:
        backups.restore(settings, tmp_path / "one.backup")
    assert "not a database" in refused.value.details
    assert not (settings.folder / "state.db").exists()
