"""An installation from the wheel serves the GUI."""

import json
import os
import re
import subprocess
import sys
import urllib.request
import zipfile
from contextlib import contextmanager
from typing import Any

import pytest

from prism.daemon.website import BUILT
from tests.conftest import free_port
from tests.optional import not_none
from tests.project.tree import ROOT
from tests.waiting import eventually


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_wheel_contains_the_built_gui(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {
            text.removeprefix("prism/web/") for text in archive.namelist() if "prism/web/" in text
        }
    built = {str(path.relative_to(BUILT)) for path in BUILT.rglob("*") if path.is_file()}
    assert "index.html" in built
    assert inside == built


@pytest.mark.slow  # `make test` runs the same files from `src`
def test_daemon_from_the_wheel_serves_the_gui(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "lib")
    code = "import sys; from prism.daemon.main import main; sys.exit(main())"
    path = {"PYTHONPATH": str(tmp_path / "lib")}
    where = "import prism; print(prism.__file__)"
    process = subprocess.run(
        [sys.executable, "-c", where], env=os.environ | path, capture_output=True
    )
    assert process.stdout.decode().startswith(str(tmp_path))  # not from this repository
    with running_daemon([sys.executable, "-c", code], tmp_path / "home", path) as address:
        check_gui(address)


@pytest.mark.slow
def test_uv_tool_install_gives_a_daemon_that_serves_the_gui(wheel, tmp_path):
    uv = ROOT / ".tools" / "bin" / "uv"
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    words = [str(uv), "tool", "install", "--python", sys.executable, wheel]
    subprocess.run(words, env=os.environ | places, check=True, capture_output=True, timeout=280)
    with running_daemon([tmp_path / "bin" / "prismd"], tmp_path / "home", {}) as address:
        check_gui(address)


@pytest.mark.slow
def test_aws_double_is_an_extra_of_the_wheel(wheel, tmp_path):
    uv = ROOT / ".tools" / "bin" / "uv"
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    words = [str(uv), "tool", "install", "--python", sys.executable, f"{wheel}[double]"]
    subprocess.run(words, env=os.environ | places, check=True, capture_output=True, timeout=280)
    double = [tmp_path / "bin" / "prism-aws-double", "--port", "0"]
    with subprocess.Popen(double, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert not_none(process.stdout).readline().startswith("export AWS_")
        finally:
            process.terminate()


@pytest.mark.slow
def test_pipx_installs_and_removes_the_wheel(wheel, tmp_path):
    uvx = ROOT / ".tools" / "bin" / "uvx"
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    quiet: dict[str, Any] = {
        "env": os.environ | places,
        "check": True,
        "capture_output": True,
        "timeout": 280,
    }
    subprocess.run([uvx, "pipx", "install", "--python", sys.executable, wheel], **quiet)
    command = tmp_path / "bin" / "prism"
    assert subprocess.run([command, "--version"], **quiet).stdout.startswith(b"prism ")
    home = {"PRISM_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}
    left = subprocess.run(
        [command, "uninstall", "--yes"], **quiet | {"env": os.environ | places | home}
    )
    assert b"`pipx uninstall prism`" in left.stderr
    subprocess.run([uvx, "pipx", "uninstall", "prism"], **quiet)
    assert not command.exists()


@contextmanager
def running_daemon(words, home, more):
    """A daemon of its own, until the block ends."""
    port = free_port()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
    environ |= {"PRISM_HOME": str(home), "PRISM_PORT": str(port)} | more
    process = subprocess.Popen(words, env=environ)
    try:
        address = f"http://localhost:{port}"
        eventually(lambda: status(f"{address}/api/v1/daemon/status"), seconds=120)
        yield address
    finally:
        process.terminate()
        process.wait(120)


def status(address):
    try:
        with urllib.request.urlopen(address, timeout=120) as answer:
            return json.load(answer)["status"]
    except OSError:
        return None


def check_gui(address):
    with urllib.request.urlopen(f"{address}/workspaces", timeout=120) as answer:
        page = answer.read().decode()
    assert "<title>Prism</title>" in page
    scripts = re.findall(r'src="(/assets/[^"]+\.js)"', page)
    assert scripts
    for script in scripts:
        with urllib.request.urlopen(f"{address}{script}", timeout=120) as answer:
            assert answer.status == 200
            assert "immutable" in answer.headers["Cache-Control"]
