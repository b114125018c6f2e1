"""A daemon with its database and its machines, and the faults that tests cause."""

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import psycopg
from psycopg import sql as words
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from tests.conftest import free_port
from tests.daemons import DAEMON, started
from tests.optional import not_none
from tests.project.home import Home
from tests.waiting import eventually

ENTERED = (sys.executable, "-m", "tests.faults.daemon")
REGION = "us-west-2"
TIMES = {"boot": 1, "unseen": 1, "volume": 0.5, "attaching": 0.5, "snapshot": 1}
PATIENCE = "2"  # seconds that a daemon waits for its database
BUSY = 300  # seconds that every wait may take, also on a very busy computer
BOUNDED = "-c lock_timeout=60s -c statement_timeout=120s"  # connections of tests never hang
REMOVED = "moved_events"


def digest(folder):
    """A hash of all names and contents below a folder."""
    hash = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hash.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return hash.hexdigest()


class Database:
    """A database and its faults; each fault ends with its block."""

    def __init__(self, url, **how):
        self.url = make_url(url)
        self.engine = create_engine(url, connect_args=how)

    def events(self):
        """Every event, by its number."""
        with self.engine.connect() as sql:
            return {
                row.id: (row.event, row.subject)
                for row in sql.execute(text("SELECT id, event, subject FROM events ORDER BY id"))
            }

    @contextlib.contextmanager
    def emptied(self):
        """A table is missing, as on an empty server."""
        self._alter("events", REMOVED)
        try:
            yield
        finally:
            self._alter(REMOVED, "events")

    def _alter(self, old, new):
        with self.engine.begin() as sql:
            sql.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))

    def close(self):
        self.engine.dispose()


class SqliteFile(Database):
    """A database file, on its own disk if one can be mounted."""

    kind = "SQLite"

    def __init__(self, folder):
        self.disk = folder / "disk"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(self.disk)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0
        super().__init__(f"sqlite:///{self.disk / 'state.db'}")

    def disturbances(self):
        """The names of what can happen to it."""
        return ["locked", "emptied", *(["full"] if self.mounted else [])]

    @contextlib.contextmanager
    def locked(self):
        """Another program holds the write lock."""
        lock = sqlite3.connect(not_none(self.url.database), isolation_level=None, timeout=120)
        with contextlib.closing(lock):
            lock.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def full(self):
        """The disk is full."""
        filler = self.disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        try:
            yield
        finally:
            filler.unlink()

    def close(self):
        super().close()
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.disk], check=True)


class PostgresDatabase(Database):
    """A database of a server that other tests use too."""

    kind = "PostgreSQL"

    def __init__(self, url):
        super().__init__(url, options=BOUNDED)

    def disturbances(self):
        """The names of what can happen to it."""
        return ["locked", "emptied", "full", "away", "restarted"]

    @contextlib.contextmanager
    def locked(self):
        """Another daemon holds the advisory lock of the writer."""
        with self._admin(self.url.database) as lock:
            lock.execute("SELECT pg_advisory_lock(8947)")
            yield

    @contextlib.contextmanager
    def full(self):
        """The server reports a full disk for each new event."""
        with self.engine.begin() as sql:
            sql.execute(
                text(
                    "CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN RAISE EXCEPTION 'No space left' USING ERRCODE = '53100'; END $$"
                )
            )
            sql.execute(
                text(
                    "CREATE TRIGGER disk_full BEFORE INSERT ON events EXECUTE FUNCTION disk_full()"
                )
            )
        try:
            yield
        finally:
            with self.engine.begin() as sql:
                sql.execute(text("DROP FUNCTION disk_full() CASCADE"))

    @contextlib.contextmanager
    def away(self):
        """Connections end, and new ones are refused."""
        self._allow(False)
        self._disconnect_all()
        try:
            yield
        finally:
            self._allow(True)

    @contextlib.contextmanager
    def restarted(self):
        """All connections end, as in a restart of the server."""
        self._disconnect_all()
        yield

    def _allow(self, yes):
        name = words.Identifier(not_none(self.url.database))
        order = words.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with self._admin("template1") as sql:
            sql.execute(order.format(name, words.Literal(yes)))

    def _disconnect_all(self):
        self.engine.dispose()
        with self._admin("template1") as sql:
            sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [self.url.database],
            )

    def _admin(self, database):
        where = self.url.set(drivername="postgresql", database=database)
        address = where.render_as_string(hide_password=False)
        return psycopg.connect(address, autocommit=True, connect_timeout=60, options=BOUNDED)


class DaemonHome:
    """A home with a real daemon; `program` is its command."""

    program: tuple[str | Path, ...] = DAEMON

    def __init__(self, folder, database, name="home"):
        self.home, self.database = Home(folder / name), database
        self.more = {
            "PRISM_DATABASE_URL": database.url.render_as_string(hide_password=False),
            "PRISM_DATABASE_TIMEOUT": PATIENCE,
            "PRISM_TERMINATED_RETENTION": "3600",
        }
        self.process = None

    def start(self):
        """Start a daemon and wait until it answers."""
        log, environ = self.home.folder / "log", self.home.environ | self.more
        process = self.process = started(self.program, environ, log, ROOT)
        eventually(lambda: self.home.answers() or process.poll() is not None, BUSY)
        assert process.poll() is None, (self.home.folder / "log").read_text()

    def end(self, number=signal.SIGTERM):
        """End the daemon with a signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(BUSY)

    def prepare(self):
        """Create what the provider needs before the first launch."""

    def prism(self, *arguments):
        """Run the real command; return its output."""
        done = self.home.cli(*arguments, **self.more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self):
        self.end(signal.SIGKILL)
        self.home.clear()


class LocalSite(DaemonHome):
    """A site whose machines are processes of this computer."""

    kind = "this machine"
    hibernates = True
    shares_disk = False  # whether the database is on the disk of the volumes
    detaches_at_once = os.geteuid() == 0

    def prepare(self):
        """Do nothing: the first profile launches workspaces on this computer."""

    def machines(self):
        """The number of supervisors of each machine that has a folder, by its id."""
        folders = (self.home.folder / "workspaces").glob("local-*")
        supervisors = {
            folder.name: 0
            for folder in folders
            if folder.is_dir() and (folder / "order.json").exists()
        }
        for supervisor in self.home.machines():
            with contextlib.suppress(psutil.Error):
                text = " ".join(supervisor.cmdline())
                for id in supervisors:
                    supervisors[id] += id in text
        return supervisors

    def data(self, volume):
        """The data folder of a volume."""
        return self.home.folder / "storage" / "volumes" / volume / "data"

    def torn_files(self):
        """Small files that a crash may leave torn: files with two copies, and caches."""
        for pattern in ("storage/*/*/about.json", "workspaces/*.mounts.json"):
            yield from self.home.folder.glob(pattern)
        yield self.home.folder / "workspaces" / "generation.json"


class AwsSite(DaemonHome):
    """A site whose machines are in the double of AWS, which is a separate process."""

    kind = "AWS"
    hibernates = False
    shares_disk = False
    detaches_at_once = True
    program = ENTERED

    def __init__(self, folder, database, name="home"):
        super().__init__(folder, database, name)
        port, rules = free_port(), folder / "rules.json"
        rules.write_text(json.dumps({"times": TIMES}))
        command = (sys.executable, "-m", "aws_double", "--port", str(port), "--rules", rules)
        self.url = f"http://127.0.0.1:{port}"
        self.double = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.more |= {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "123456789012",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "PRISM_CALLER_CIDR": "192.0.2.7/32",
        }
        eventually(lambda: self.control_answer("calls"), BUSY, (OSError,))

    def prepare(self):
        """Switch to a profile that launches on AWS."""
        self.home.client.profiles.create("lab", "aws", region=REGION)
        self.home.client.profiles.switch("lab")

    def machines(self):
        """How many instances were created for the key of each living instance, by its id."""
        every = self.control_answer("machines")["machines"]
        keys = [entry["tags"].get("prism:id") for entry in every]
        living = [
            entry for entry in every if entry["state"] not in {"terminated", "shutting-down"}
        ]
        return {
            workspace["id"]: keys.count(workspace["tags"].get("prism:id")) for workspace in living
        }

    def data(self, volume):
        """Return nothing: the instances of the double have no content."""

    def torn_files(self):
        """The generation, the only local file about AWS."""
        yield self.home.folder / "workspaces" / "generation.json"

    def fault(self, **fields):
        """Add a fault to the double."""
        body = json.dumps(fields).encode()
        request = urllib.request.Request(f"{self.url}/_double/faults", body, method="POST")
        urllib.request.urlopen(request, timeout=120).close()

    def calm(self):
        """Remove all faults from the double."""
        body = json.dumps({"times": TIMES}).encode()
        request = urllib.request.Request(f"{self.url}/_double/rules", body, method="PUT")
        urllib.request.urlopen(request, timeout=120).close()

    def control_answer(self, word):
        """The answer of the double's control API."""
        with urllib.request.urlopen(f"{self.url}/_double/{word}", timeout=120) as answer:
            return json.load(answer)

    def close(self):
        try:
            super().close()
        finally:
            self.double.kill()  # it stores nothing
            self.double.wait(BUSY)


ROOT = Path(__file__).parents[2]
SITES = {"local": LocalSite, "aws": AwsSite}
