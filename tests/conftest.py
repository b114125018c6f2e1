"""Fixtures of all tests: daemons with a stopped clock and a simulated provider, databases, AWS."""

from __future__ import annotations

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import botocore.session
import httpx
import pytest
from hypothesis import HealthCheck, settings
from msgspec.structs import replace
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from aws_double.double import AwsDouble
from prism.daemon import app as daemon_app
from prism.daemon.app import App, build
from prism.daemon.wiring import providers as daemon_providers
from prism.kit.clock import Clock, StoppedClock
from prism.kit.db import Database
from prism.kit.gate import AsgiApp
from prism.kit.tables import metadata
from prism.providers.aws import locations as aws_locations
from prism.providers.aws.account import identity
from prism.providers.aws.ssh import link
from prism.providers.local.location import location_of
from prism.settings import Settings
from prism.storage.ports import Volumes
from prism.templates import document, registry
from prism.workspaces.ports import Compute
from tests.attacks.surfaces import pytest_runtest_logreport, pytest_sessionfinish  # noqa: F401
from tests.aws_policies import under_policies
from tests.doubles.memory import MemoryCompute
from tests.doubles.volumes import MemoryVolumes
from tests.needs import pytest_runtest_setup, pytest_terminal_summary, require  # noqa: F401
from tests.shared_api import SharedApi
from tests.signals import receive_signals
from tests.statements import STATEMENTS, WholeRunError, runs_only_in_test_all
from tests.waiting import eventually

READ = cache(document.read)  # a template's file
ML = "Python Machine Learning (Simplified)"
receive_signals()
# A busy computer must not make an example fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
# The service descriptions of botocore, read once in a test process, not in each session.
botocore.session.create_loader = cache(botocore.session.create_loader)
IDENTITY_TIMEOUTS = (
    (identity, "FIRST_ANSWER_TIMEOUT"),
    (identity, "RETRY_TIMEOUT"),
    (aws_locations, "IDENTITY_TIMEOUT"),
    (daemon_app, "IDENTITY_TIMEOUT"),
    (daemon_providers, "PATIENT"),
)
BUSY = 240.0  # seconds that the daemons of tests wait for their database
DAEMONS = {"empty_home", "served_daemon", "token_daemon"}  # fixtures of a session
MEMORY = "/dev/shm"
HOME = Path(tempfile.mkdtemp(prefix="prism-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
LOCATION = location_of(HOME)
TEMPLATES: dict[str, Any] = {}  # the templates of the last daemon of a home, for the next one


class CopyDatabase(Protocol):
    """Makes a database that is a copy of another, replaces an older copy, and returns its URL."""

    def __call__(self, of: str, to: str = "copy") -> str: ...


class MakeDaemon(Protocol):
    """Builds daemons that share one database and one provider."""

    def __call__(
        self,
        computes: Mapping[str, Compute] | None = None,
        time: Clock | None = None,
        disks_by_location: Mapping[str, Volumes] | None = None,
        **settings: Any,
    ) -> App: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "run each test with one of its parameters, which the seed chooses"
    parser.addoption("--each-test-once", action="store_true", help=help)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(STATEMENTS)
    STATEMENTS.listen()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Runs before slow tests are deselected, and after the others were shuffled."""
    for item in items:
        if runs_only_in_test_all(item):
            item.add_marker("slow")
        file = item.nodeid.partition("::")[0]
        if DAEMONS.intersection(vars(item)["fixturenames"]):  # made once, by one worker
            item.add_marker(pytest.mark.xdist_group(file.rpartition("/")[0]))
        elif uses_module_fixture(item):
            item.add_marker(pytest.mark.xdist_group(file))
    yield
    if config.getoption("each_test_once"):
        chosen = one_case_of_each(items)
        chosen_set = {*chosen}
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen_set])
        items[:] = chosen
    for item in items:  # xdist 3.8 sets the group where pytest 9.2 no longer reads it
        if name := vars(item).get("_nodeid"):
            item._id = type(item._id).parse(name)
    # Long tests start first; otherwise one worker would run them alone at the end.
    items.sort(
        key=lambda item: not (item.get_closest_marker("timeout") or uses_module_fixture(item))
    )


def one_case_of_each(items: list[pytest.Item]) -> list[pytest.Item]:
    """The first case of each test; its cases were shuffled."""
    first: dict[str, pytest.Item] = {}
    for item in items:
        first.setdefault(item.nodeid.partition("[")[0], item)
    return [*first.values()]


def pytest_unconfigure() -> None:
    """Cleans up here too, because a worker of xdist may end without `atexit`."""
    shutil.rmtree(HOME, ignore_errors=True)
    RUNNER.close()


@pytest.fixture(autouse=True)
def patient_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets databases wait longer, because other tests may keep the computer busy."""
    monkeypatch.setattr(OPEN, "__defaults__", (BUSY,))


@pytest.fixture(autouse=True)
def common_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the daemons of tests share the parts that are the same."""
    monkeypatch.setattr(daemon_app, "Api", SharedApi)
    monkeypatch.setattr(registry, "read", READ)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def cloud(clock: StoppedClock) -> MemoryCompute:
    return MemoryCompute(clock)


@pytest.fixture
def disks(clock: StoppedClock) -> MemoryVolumes:
    return MemoryVolumes(clock)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL for the tests; as root, it runs as another user, because it refuses root."""
    require("initdb")
    folder = memory_folder("pg")
    data, port = folder / "data", free_port()
    user: list[str] = []
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    # It ends with this process, even if that is killed.
    begin = ["setpriv", "--pdeathsig=QUIT", *user]
    options = ["listen_addresses=", "fsync=off", "max_wal_size=64MB"]
    arguments = [word for option in options for word in ("-c", option)]
    subprocess.run(
        [*begin, "initdb", "-D", f"{data}", "-U", "prism", "-A", "trust"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    with (folder / "log").open("w") as log:
        command = [
            *begin,
            "postgres",
            "-D",
            f"{data}",
            "-p",
            f"{port}",
            "-k",
            f"{folder}",
            *arguments,
        ]
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    ready = ["pg_isready", "-q", "-h", f"{folder}", "-p", f"{port}", "-d", "postgres"]
    eventually(lambda: subprocess.run(ready, check=False).returncode == 0)
    url = f"postgresql+psycopg://prism@/postgres?host={folder}&port={port}"
    yield url
    refused = STATEMENTS.refused(url)
    server.send_signal(signal.SIGQUIT)
    server.wait(120)
    shutil.rmtree(folder)
    if refused:
        raise WholeRunError("PostgreSQL refuses what SQLite ran:\n" + "\n".join(refused))


@pytest.fixture(scope="session")
def copy_database(postgres: str) -> CopyDatabase:
    """Makes a database that is a copy of another, replaces an older copy, and returns its URL."""
    server = create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def copy(of: str, to: str = "copy") -> str:
        with server.connect() as sql:
            sql.execute(text(f"DROP DATABASE IF EXISTS {to} WITH (FORCE)"))
            # To copy files costs two thirds of logging their pages; before 15 it is the only way.
            how = "STRATEGY file_copy" if (sql.dialect.server_version_info or ()) >= (15,) else ""
            sql.execute(text(f"CREATE DATABASE {to} TEMPLATE {of} {how}"))
        return postgres.replace("/postgres?", f"/{to}?")

    return copy


@pytest.fixture(scope="session")
def database_with_tables(copy_database: CopyDatabase) -> str:
    """The name of a database with all tables; to copy them is faster than to create them."""
    metadata.create_all(create_engine(copy_database("template1", to="filled"), poolclass=NullPool))
    return "filled"


@pytest.fixture(scope="session")
def sqlite_file_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables."""
    file = tmp_path_factory.mktemp("filled") / "state.db"
    metadata.create_all(create_engine(f"sqlite:///{file}", poolclass=NullPool))
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new database with all tables."""
    if request.param == "sqlite":
        folder = memory_folder("sqlite")
        file = shutil.copy(request.getfixturevalue("sqlite_file_with_tables"), folder / "state.db")
        yield f"sqlite:///{file}"
        shutil.rmtree(folder)
        return
    copied: CopyDatabase = request.getfixturevalue("copy_database")
    yield copied(request.getfixturevalue("database_with_tables"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    copied: CopyDatabase = request.getfixturevalue("copy_database")
    return copied("template1")


@pytest.fixture
def make_daemon(
    url: str, cloud: MemoryCompute, disks: MemoryVolumes, clock: StoppedClock
) -> Iterator[MakeDaemon]:
    """Builds daemons that share one database and one provider."""
    daemons: list[App] = []

    def make(
        computes: Mapping[str, Compute] | None = None,
        time: Clock | None = None,
        disks_by_location: Mapping[str, Volumes] | None = None,
        **settings: Any,
    ) -> App:
        usual = Settings(home=str(HOME), database_url=url, user="ada", database_timeout=int(BUSY))
        complete = replace(usual, **settings)
        volumes = disks_by_location or {LOCATION: disks}
        daemon = build(complete, computes or {LOCATION: cloud}, time or clock, volumes=volumes)
        if not has_tables(complete.database_url):
            metadata.create_all(daemon.db.writer)
        daemon.profiles.first_start({})
        daemon.templates._read = TEMPLATES.get(complete.home)
        daemons.append(daemon)
        return daemon

    yield make
    for daemon in daemons:
        TEMPLATES[daemon.settings.home] = daemon.templates._read
        daemon.close()


@pytest.fixture
def daemon(make_daemon: MakeDaemon) -> App:
    return make_daemon()


@pytest.fixture
def http(daemon: App) -> Http:
    return Http(daemon.app)


@pytest.fixture
def http_of() -> Callable[[App], Http]:
    """Makes an HTTP client of one of several daemons."""
    return lambda daemon: Http(daemon.app)


@pytest.fixture(scope="session")
def running_double() -> Iterator[AwsDouble]:
    """A double of AWS that all tests of a session share."""
    with AwsDouble(seed=7) as double:
        yield double


@pytest.fixture
def aws(running_double: AwsDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsDouble]:
    """The double, reset, and in the environment instead of AWS."""
    running_double.reset()
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in running_double.environ().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    for module, name in IDENTITY_TIMEOUTS:  # a busy computer answers late
        monkeypatch.setattr(module, name, 60.0)
    with under_policies(running_double):
        yield running_double


@pytest.fixture
def stopped_aws(aws: AwsDouble) -> AwsDouble:
    """The double with a stopped clock."""
    aws.clock.stop()
    return aws


@pytest.fixture
def aws_with_short_dial(stopped_aws: AwsDouble, monkeypatch: pytest.MonkeyPatch) -> AwsDouble:
    """The double, with a short timeout for SSH connections, because its machines do not exist."""
    monkeypatch.setattr(link, "CONNECT_TIMEOUT", 0.01)
    return stopped_aws


def uses_module_fixture(item: pytest.Item) -> bool:
    """Whether it uses a fixture with the scope `module`."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()  # type: ignore[attr-defined]
    return any(
        definition.scope == "module" for definitions in fixtures for definition in definitions
    )


def memory_folder(prefix: str) -> Path:
    """A folder in memory, because a commit to a busy disk can take up to a second."""
    is_room = os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > 2 * 1024**3
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if is_room else None))


def has_tables(url: str) -> bool:
    """Whether it is a database of the fixture `url`."""
    return "/copy?" in url or Path(url.removeprefix("sqlite:///")).exists()


COMPILED: dict[type, dict[Any, Any]] = {}  # by the class of the dialect


def of_one_class(self: object, other: object) -> bool:
    return type(self) is type(other)


def by_class(self: object) -> int:
    return hash(type(self))


for dialect in (SQLiteDialect, PGDialect):  # a part of each key; equal if of one class
    dialect.__eq__, dialect.__hash__ = of_one_class, by_class  # type: ignore[method-assign]


OPEN = Database.__init__


def open_with_compiled(db: Database, *args: Any, **more: Any) -> None:
    """Compiles each statement once in a test process, because it takes longer than to run it."""
    OPEN(db, *args, **more)
    for engine in (db.writer, db._readers):
        cache = COMPILED.setdefault(type(engine.dialect), {})
        engine.update_execution_options(compiled_cache=cache)


Database.__init__ = open_with_compiled  # type: ignore[assignment, method-assign]


RUNNER = asyncio.Runner()


def run(request: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
    """Does what `asyncio.run` does, in one loop, because a new loop for each request is slow."""
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(request)
    answer = RUNNER.run(request)
    loop = RUNNER.get_loop()
    if left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    return answer


class Http:
    """An HTTP client that calls the application without a socket."""

    def __init__(self, app: AsgiApp) -> None:
        self.app = app

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        return run(self._ask(method, path, headers, body))

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None, body: dict[str, Any]
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8947") as to:
            return await to.request(method, path, headers=headers, **body)

    def launch(self, name: str = "mine", **more: object) -> httpx.Response:
        order = {"name": name, "template": ML, **more}
        return self("POST", "/api/v1/instances/launch", json=order)

    def post(self, name: str, verb: str, **body: Any) -> httpx.Response:
        return self("POST", f"/api/v1/instances/{name}/{verb}", **body)

    def state(self, name: str = "mine") -> Any:
        return self("GET", f"/api/v1/instances/{name}").json()["state"]


def free_port() -> int:
    with socket.socket() as tcp_socket:
        tcp_socket.bind(("127.0.0.1", 0))
        port: int = tcp_socket.getsockname()[1]
        return port
