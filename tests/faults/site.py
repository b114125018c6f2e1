"""A daemon with its database and its machines, and every way in which they can be disturbed."""

import contextlib
import hashlib
import json
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
from tests.project.living import Home
from tests.waiting import eventually

ENTERED = (sys.executable, "-m", "tests.faults.daemon")
REGION = "us-west-2"
TIMES = {"boot": 1, "unseen": 1, "volume": 0.5, "attaching": 0.5, "snapshot": 1}
PATIENCE = "2"  # seconds that a daemon waits for its database
BUSY = 300  # seconds until anything has happened, also on a computer that is very busy
BOUNDED = "-c lock_timeout=60s -c statement_timeout=120s"  # nothing of ours waits for ever
REMOVED = "moved_events"


def digest(folder):
    """Every name and byte below a folder."""
    hash = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hash.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return hash.hexdigest()


class Database:
    """What may happen to it while a daemon uses it; each ends with its block."""

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
        """A table is not there, as on an empty server."""
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
    """A file, on a disk of its own where one can be mounted."""

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
        """Another program is in the middle of a change."""
        lock = sqlite3.connect(not_none(self.url.database), isolation_level=None, timeout=120)
        with contextlib.closing(lock):
            lock.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def full(self):
        """Nothing more fits on its disk."""
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
    """One of a server that others use as well."""

    kind = "PostgreSQL"

    def __init__(self, url):
        super().__init__(url, options=BOUNDED)

    def disturbances(self):
        """The names of what can happen to it."""
        return ["locked", "emptied", "full", "away", "restarted"]

    @contextlib.contextmanager
    def locked(self):
        """Another daemon is in the middle of a change."""
        with self._admin(self.url.database) as lock:
            lock.execute("SELECT pg_advisory_lock(8947)")
            yield

    @contextlib.contextmanager
    def full(self):
        """The server says that its disk is full, whenever something is written."""
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
        """Nobody may connect, and who was connected is thrown out."""
        self._allow(False)
        self._throw_out()
        try:
            yield
        finally:
            self._allow(True)

    @contextlib.contextmanager
    def restarted(self):
        """All connections end, as when a server restarts."""
        self._throw_out()
        yield

    def _allow(self, yes):
        name = words.Identifier(not_none(self.url.database))
        order = words.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with self._admin("template1") as sql:
            sql.execute(order.format(name, words.Literal(yes)))

    def _throw_out(self):
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
    """One home with a real daemon; `program` is what runs there."""

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
        """A daemon that answers."""
        log, environ = self.home.folder / "log", self.home.environ | self.more
        process = self.process = started(self.program, environ, log, ROOT)
        eventually(lambda: self.home.answers() or process.poll() is not None, BUSY)
        assert process.poll() is None, (self.home.folder / "log").read_text()

    def end(self, number=signal.SIGTERM):
        """No daemon any more."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(BUSY)

    def prepare(self):
        """Make what its provider needs before anything is launched."""

    def prism(self, *arguments):
        """What the real command says."""
        done = self.home.cli(*arguments, **self.more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self):
        self.end(signal.SIGKILL)
        self.home.clear()


class LocalSite(DaemonHome):
    """Its machines are processes of this computer."""

    kind = "this machine"
    hibernates = True

    def prepare(self):
        """Nothing: workspaces are launched here from the start."""

    def machines(self):
        """The ids of all that run or have a folder, with how many supervisors each has."""
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
        """Where a volume keeps what it holds."""
        return self.home.folder / "storage" / "volumes" / volume / "data"

    def torn_files(self):
        """Small files of which a crash may have left anything; two-copy files and caches."""
        for pattern in ("storage/*/*/about.json", "workspaces/*.mounts.json"):
            yield from self.home.folder.glob(pattern)
        yield self.home.folder / "workspaces" / "generation.json"


class AwsSite(DaemonHome):
    """Its machines are those of AWS's double, a process of its own."""

    kind = "AWS"
    hibernates = False
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
        eventually(lambda: self.told("calls"), BUSY, (OSError,))

    def prepare(self):
        """Launch there."""
        self.home.client.profiles.create("lab", "aws", region=REGION)
        self.home.client.profiles.switch("lab")

    def machines(self):
        """The ids of all that are not terminated, with how many were made for their key."""
        every = self.told("machines")["machines"]
        keys = [entry["tags"].get("prism:id") for entry in every]
        living = [
            entry for entry in every if entry["state"] not in {"terminated", "shutting-down"}
        ]
        return {
            workspace["id"]: keys.count(workspace["tags"].get("prism:id")) for workspace in living
        }

    def data(self, volume):
        """Nobody can enter the machines of the double."""

    def torn_files(self):
        """Nothing of AWS is kept here but the generation."""
        yield self.home.folder / "workspaces" / "generation.json"

    def fault(self, **fields):
        """One more thing that goes wrong."""
        body = json.dumps(fields).encode()
        request = urllib.request.Request(f"{self.url}/_double/faults", body, method="POST")
        urllib.request.urlopen(request, timeout=120).close()

    def calm(self):
        """Nothing goes wrong any more."""
        body = json.dumps({"times": TIMES}).encode()
        request = urllib.request.Request(f"{self.url}/_double/rules", body, method="PUT")
        urllib.request.urlopen(request, timeout=120).close()

    def told(self, word):
        """What the double says of itself."""
        with urllib.request.urlopen(f"{self.url}/_double/{word}", timeout=120) as answer:
            return json.load(answer)

    def close(self):
        try:
            super().close()
        finally:
            self.double.kill()  # it keeps nothing
            self.double.wait(BUSY)


ROOT = Path(__file__).parents[2]
SITES = {"local": LocalSite, "aws": AwsSite}
