"""A wheel has the web GUI, or its build says that it has not."""

import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.project.tree import ROOT

BUILDS = """\
import pathlib
pathlib.Path("src/prism/web").mkdir(exist_ok=True)
pathlib.Path("src/prism/web/site.json").write_text("{}")
"""
FAILS = "import sys\nsys.exit('error: the web GUI was not built')\n"


@pytest.fixture
def folder(tmp_path):
    """The source folder, with an imitated build of the GUI."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "scripts/wheel.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for package in ("prism", "aws_double"):
        (tmp_path / "src" / package).mkdir(parents=True)
        (tmp_path / "src" / package / "__init__.py").touch()
    return tmp_path


def build(folder, script, function="build_wheel"):
    (folder / "scripts" / "gui.py").write_text(script)
    code = f"import hatchling.build; print(hatchling.build.{function}('dist'))"
    (folder / "dist").mkdir()
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / "dist" / done.stdout.split()[-1]) as wheel:
        return done.stdout + done.stderr, "prism/web/site.json" in wheel.namelist()


def test_wheel_has_the_web_gui(folder):
    output, has_gui = build(folder, BUILDS)
    assert (has_gui, "no web GUI" in output) == (True, False)


def test_build_of_a_wheel_without_the_web_gui_says_so(folder):
    output, has_gui = build(folder, FAILS)
    assert not has_gui
    assert "error: the web GUI was not built" in output
    assert "This wheel has no web GUI" in output


def test_editable_installation_builds_no_web_gui(folder):
    output, has_gui = build(folder, BUILDS, "build_editable")
    assert (has_gui, "no web GUI" in output) == (False, False)
    assert not (folder / "src/prism/web").exists()
