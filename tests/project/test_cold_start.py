"""What each command imports, in a new interpreter."""

import json
import subprocess
import sys

import pytest

from prism.cli.registry import ALONE, COMMANDS

HEAVY = {
    "aiohttp", "alembic", "asyncio", "asyncssh", "boto3", "http.client", "httpx", "litestar",
    "msgspec", "psutil", "rich", "sqlalchemy", "textual", "uvicorn", "yaml",
}  # fmt: skip
PARSE = "from prism.cli.parser import parser; parser({!r})"


def modules_after(statement):
    tell = "found = list(sys.modules); import json; print(); print(json.dumps(found))"
    program = f"{statement}\nimport sys; {tell}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_and_version_import_no_heavy_modules(words):
    loaded = modules_after(f"import prism.cli.main as m; m.main({words!r})")
    assert not loaded & (HEAVY | {"argparse", "json.decoder", "socket", "typing", "dataclasses"})


def test_commands_import_no_libraries_of_the_daemon():
    commands = [*COMMANDS, *((word,) for word in ALONE)]
    every = "import prism.cli.run; from prism.cli.parser import build_parser; "
    loaded = modules_after(every + f"[build_parser(command) for command in {commands!r}]")
    assert not loaded & HEAVY


@pytest.mark.parametrize("package", ["workspaces", "templates", "profiles", "catalog"])
def test_model_and_plan_import_no_io_modules(package):
    loaded = modules_after(f"import prism.{package}.model, prism.{package}.plan")
    assert not loaded & (HEAVY - {"msgspec"} | {"socket", "sqlite3", "prism.kit.clock"})


def test_settings_and_home_import_no_heavy_modules():
    assert not modules_after("import prism.settings") & (HEAVY - {"msgspec"})
    assert not modules_after("import prism.home") & (HEAVY | {"hashlib", "pathlib"})


def test_doctor_reads_the_database_and_tries_the_sandbox_before_other_imports(
    tmp_path, monkeypatch
):
    (tmp_path / "state.db").touch()
    tell = """
import json, sys, prism.cli.checks.trials as trials, prism.cli.installation.doctor as doctor
def begin(main, *_):
    print(json.dumps([main.__module__, *sys.modules]))
trials.ForkedTrial = begin
doctor.here()
print(json.dumps([*sys.modules]))
from typing_extensions import TypedDict
"""
    monkeypatch.setenv("PRISM_HOME", str(tmp_path))
    monkeypatch.delenv("PRISM_URL", raising=False)
    monkeypatch.delenv("PRISM_DATABASE_URL", raising=False)
    argv = [sys.executable, "-c", tell]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    *begun, after = map(json.loads, run.stdout.splitlines())
    database, *sandbox = begun
    assert database[0] == "prism.cli.checks.trials"
    unneeded = HEAVY | {"hashlib", "logging", "prism.cli.checks.rounds"}
    assert not {*database} & (unneeded | {"pathlib", "shutil", "socket"})
    assert not {module for trial in sandbox for module in trial} & unneeded
    assert not {*after} & {"inspect", "typing_extensions"}


def test_doctor_checks_import_rare_modules_on_demand():
    rare = {"concurrent.futures", "configparser", "email", "hashlib", "logging"}
    loaded = modules_after("import prism.cli.checks.rounds")
    assert not loaded & (HEAVY - {"msgspec"} | rare | {"ssl", "zoneinfo"})


ANSWERING = """
import asyncio, sys
from prism.daemon.app import build
from prism.settings import Settings

async def answered(app, path):
    said, asked = [], asyncio.Queue()
    headers = [(b"host", b"localhost:8947")]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
             "query_string": b"", "headers": headers, "client": None, "server": ("localhost", 1),
             "scheme": "http", "root_path": "", "http_version": "1.1"}
    async def send(message):
        said.append(message)
    await asked.put({"type": "http.request", "body": b"", "more_body": False})
    await app(scope, asked.get, send)
    return said[0]["status"]

async def lived(app, paths):
    begun, told, started = asyncio.Queue(), asyncio.Queue(), {"type": "lifespan.startup"}
    life = asyncio.create_task(app({"type": "lifespan"}, begun.get, told.put))
    await begun.put(started)
    assert (await told.get())["type"] == "lifespan.startup.complete"
    assert [await answered(app, path) for path in paths] == [200] * len(paths)
    await begun.put({"type": "lifespan.shutdown"})
    await life

daemon = build(Settings(home=sys.argv[1]))
daemon.prepare()
asyncio.run(lived(daemon.app, ["/api/v1/daemon/status", "/api/v1/instances"]))
daemon.close()
print("anyio._backends._asyncio" in sys.modules)
"""


def test_daemon_answers_without_importing_the_anyio_backend(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", ANSWERING, tmp_path], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("False\n", "")


def test_daemon_starts_without_importing_rare_libraries(tmp_path):
    never = {"aiohttp", "alembic", "asyncssh", "attr", "boto3", "email_validator"}
    never |= {"argparse", "psutil", "smtplib", "statistics", "urllib.request", "websockets"}
    build = (
        "import prism.daemon.main; from prism.daemon.app import build; "
        f"from prism.settings import Settings; build(Settings(home={str(tmp_path)!r})).close()"
    )
    assert not modules_after(build) & (never | {"psycopg", "pydantic"})
