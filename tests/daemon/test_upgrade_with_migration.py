"""Two daemons on one PostgreSQL, of which the newer one migrates the database."""

import shutil
import sys
import threading
from collections import Counter
from contextlib import ExitStack

import httpx
import pytest

import prism
from prism.daemon.migrations import MIGRATIONS_FOLDER
from prism.kit.database.migrate import revisions
from tests.conftest import free_port
from tests.daemon.test_upgrade import Replica
from tests.daemons import started
from tests.proofs import record
from tests.shapes import failed
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs("initdb"), pytest.mark.timeout(600)]
LATER = '''"""A table of the version after this one."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    """Make it."""
    op.create_table("later", sa.Column("id", sa.String(), primary_key=True))
'''
# Not forked from a process that has already imported the present version.
PROGRAM = ("/usr/bin/env", sys.executable, "-c")
MAIN = "from prism.daemon.main import main; raise SystemExit(main())"
WRITERS = 4


class NewerReplica(Replica):
    """A daemon of the version after this one: a copy with one migration more."""

    def start(self):
        before = revisions(MIGRATIONS_FOLDER)[-1]
        revision = f"{int(before) + 1:04}"
        folder = self.home.folder / "newer"
        shutil.copytree(prism.__path__[0], folder / "prism")
        versions = folder / "prism" / "daemon" / "migrations" / "versions"
        text = LATER.format(revision=revision, before=before)
        (versions / f"{revision}_later.py").write_text(text)
        environ = self.home.environ | self.environ | {"PYTHONPATH": str(folder)}
        self.process = started([*PROGRAM, MAIN], environ, self.home.folder / "log")
        eventually(lambda: self.is_ready() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.home.folder / "log").read_text()


class Writer(threading.Thread):
    """Makes projects at one daemon all the time, and writes down what it was answered."""

    def __init__(self, replica, headers, number):
        super().__init__()
        self.replica, self.headers, self.number = replica, headers, number
        self.answers: Counter[int] = Counter()
        self.written, self.ends = [], threading.Event()

    def run(self):
        base = f"http://127.0.0.1:{self.replica.port}/api/v1/"
        with httpx.Client(base_url=base, headers=self.headers, timeout=120) as client:
            for count in range(10**6):
                if self.ends.is_set():
                    return
                name = f"p{self.number}-{count}"
                answer = client.post("projects", json={"name": name})
                self.answers[answer.status_code] += 1
                if answer.status_code == 201:
                    self.written.append(name)


def test_older_daemon_writes_nothing_after_the_newer_one_has_migrated(tmp_path, copy_database):
    host = f"prism.localhost:{free_port()}"
    database = copy_database("template1", "migrated")
    with ExitStack() as stack:
        older = Replica(tmp_path / "older", database, f"http://{host}")
        stack.callback(older.kill)
        token = older.home.cli_json("token", "create", "flow", "--scope", "admin")["token"]
        headers = {"Host": host, "Authorization": f"Bearer {token}"}
        writers = [Writer(older, headers, number) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        try:
            newer = NewerReplica(tmp_path / "newer", database, f"http://{host}")
            stack.callback(newer.kill)
            eventually(lambda: all(writer.answers[503] for writer in writers))
        finally:
            for writer in writers:
                writer.ends.set()
                writer.join()
        answers = sum((writer.answers for writer in writers), Counter())
        assert {*answers} == {201, 503}, answers
        assert older.ask("/readyz").status_code == 503
        assert older.ask("/healthz").status_code == 200, "a restart would not help"
        at = "http://127.0.0.1:{}/api/v1/projects"
        refused = httpx.post(at.format(older.port), headers=headers, json={"name": "late"})
        assert failed(refused, 503, "DATABASE_MIGRATED")["details"].startswith("it is at revision")
        assert httpx.get(at.format(older.port), headers=headers).status_code == 200, "it reads"
        answer = httpx.post(at.format(newer.port), headers=headers, json={"name": "new"})
        assert answer.status_code == 201, answer.text
        names = {row["name"] for row in httpx.get(at.format(newer.port), headers=headers).json()}
        written = {name for writer in writers for name in writer.written}
        assert names == {*written, "new"}, "each answered write is there, and nothing else"
        require_refused_start(older)
    record(
        "An upgrade with a migration",
        f"A newer daemon migrated the database while {WRITERS} clients wrote at the older one: "
        f"{answers[201]} writes were answered and are there, and all {answers[503]} after the "
        "migration were refused. The older daemon went on reading, and did not start again.",
    )


def require_refused_start(older):
    """The older version does not start on the newer database, and says why."""
    older.kill()
    with pytest.raises(AssertionError, match="newer version of Prism"):
        older.start()
