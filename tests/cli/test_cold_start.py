"""Frequent commands do not import modules that are slow to import."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp",
    "asyncio",
    "boto3",
    "dataclasses",
    "http.client",
    "httpx",
    "inspect",
    "litestar",
    "logging",
    "msgspec",
    "rich",
    "shutil",
    "sqlalchemy",
    "ssl",
    "subprocess",
    "textual",
    "urllib.parse",
    "yaml",
}
# `argparse` of Python 3.14 imports them for its colours.
UNAVOIDABLE = {"dataclasses", "inspect"} if sys.version_info >= (3, 14) else set[str]()


@pytest.mark.parametrize(
    ("words", "never"),
    [
        (["--help"], {"argparse", "json", "prism.errors", "re", "socket", "typing"}),
        (["--version"], {"argparse", "importlib.metadata", "json", "re", "socket"}),
        (
            ["workspace", "list"],
            {"datetime", "prism.cli.output.progress", "prism.cli.installation.daemon_start"},
        ),
        (["workspace", "--help"], {"prism.cli.workspace.workspaces"}),
        (
            ["stop", "mine", "--no-wait"],
            {"prism.cli.output.progress", "prism.cli.installation.daemon_start"},
        ),
    ],
    ids=lambda it: " ".join(sorted(it)),
)
def test_command_does_not_import_slow_modules(words, never, server, environ):
    changed = {"name": "mine", "previous_state": "running", "new_state": "stopping"}
    server.on("GET /instances", []).on("POST /instances/mine/stop", changed)
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        "from prism.cli.main import main\n"
        f"assert main({words!r}) == 0\n"
        "loaded = sorted(set(sys.modules) - before)\n"
        "import json\n"
        "print(json.dumps(loaded), file=sys.stderr)\n"
    ).replace("import json, sys\n", "import sys\n", 1)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True
    )
    assert not (HEAVY - UNAVOIDABLE | never) & set(json.loads(done.stderr.splitlines()[-1]))
