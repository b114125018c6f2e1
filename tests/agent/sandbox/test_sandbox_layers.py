"""The folders that a sandbox shows and hides, as a plan and in bubblewrap."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from prism.agent.sandbox import sandbox_layers as module
from prism.agent.sandbox.bubblewrap import (
    SYSTEM_FOLDERS,
    bubblewrap,
    bubblewrap_command,
    refresh_etc,
)
from prism.agent.sandbox.sandbox_layers import Layer, faces, layers

MINOR = f"python{sys.version_info.major}.{sys.version_info.minor}"
real = pytest.mark.needs("bwrap")


def create_files(folder, *files):
    """The folder, with these files in it."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return str(folder)


def test_layers_hide_nothing_when_the_system_folders_contain_no_home(tmp_path):
    home = create_files(tmp_path / "ada", ".prism/env")
    python = create_files(tmp_path / "ada/python", "bin/python3")
    assert layers(["/usr"], [python], [home]) == [Layer(python, shown=True)]
    assert layers(["/usr"], ["/usr/lib/python3", python, python], []) == [
        Layer(python, shown=True)
    ], "a part of a system folder is not shown again"


def test_layers_hide_a_home_in_a_system_folder_and_show_its_needed_parts(tmp_path):
    opt = create_files(tmp_path / "opt", "tool/bin/tool")
    home = create_files(tmp_path / "opt/ada", ".prism/ssh/id_ed25519")
    python = create_files(tmp_path / "opt/ada/.local/share/uv/python/3.13", "bin/python3")
    assert layers([opt], [python, f"{opt}/tool"], [f"{home}/.prism", home]) == [
        Layer(home, shown=False),
        Layer(python, shown=True),
    ], "the home of Prism is hidden with the other"


def test_layers_show_only_parts_of_a_python_prefix_that_contains_the_home(tmp_path):
    prefix = create_files(
        tmp_path, "bin/python3", "bin/other", f"lib/{MINOR}/os.py", "lib/libpython3.so.1"
    )
    create_files(tmp_path / "ada", ".ssh/id_ed25519")
    parts = [f"{prefix}/{path}" for path in ("bin/python3", "lib/libpython3.so.1", f"lib/{MINOR}")]
    expected = [Layer(part, shown=True) for part in parts]
    for home in (f"{prefix}/ada", prefix):
        assert layers(["/usr"], [prefix], [home]) == expected
    (tmp_path / "link").symlink_to(tmp_path)
    paths = {layer.path for layer in layers(["/usr"], [f"{prefix}/link"], [f"{prefix}/ada"])}
    assert paths == {part.replace(prefix, f"{prefix}/link") for part in parts}
    assert Layer("/", shown=True) not in layers(["/usr"], ["/"], [prefix])


def test_layers_hide_a_home_inside_the_library_of_a_python(tmp_path):
    prefix = create_files(tmp_path, f"lib/{MINOR}/prism/prism.sock")
    home = f"{prefix}/lib/{MINOR}/prism"
    assert layers([], [prefix], [home]) == [
        Layer(f"{prefix}/lib/{MINOR}", shown=True),
        Layer(home, shown=False),
    ]


def test_layers_hide_a_home_under_every_path_that_leads_to_it(tmp_path):
    home = create_files(tmp_path / "usr/lib/prism", "prism.sock")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "home").symlink_to("usr/lib/prism")
    trees = [f"{tmp_path}/usr", f"{tmp_path}/lib"]
    seen = [f"{tmp_path}/lib/prism", home]
    assert sorted(faces(home, trees)) == seen
    hidden = layers(trees, [], [f"{tmp_path}/home"])
    assert hidden == [Layer(event, shown=False) for event in seen]


def test_layers_hide_a_system_folder_that_is_a_link_into_a_home(tmp_path):
    home = create_files(tmp_path / "ada", "opt/python/bin/python3", "opt/diary")
    (tmp_path / "opt").symlink_to("ada/opt")
    opt = f"{tmp_path}/opt"
    for reachable in ([], [Layer(f"{opt}/python", shown=True)]):
        hidden = layers(["/usr", opt], [layer.path for layer in reachable], [home])
        assert hidden == [Layer(opt, shown=False), *reachable]


def test_layers_never_hide_system_folders_except_opt():
    assert (
        layers(SYSTEM_FOLDERS, ["/usr"], ["/", "/usr", "/usr/bin", "/etc", "/nonexistent"]) == []
    )
    if Path("/opt").is_dir():
        assert layers(SYSTEM_FOLDERS, [], ["/opt"]) == [Layer("/opt", shown=False)]


def test_homes_contain_the_home_variable_and_the_entry_of_the_user_database(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    folders = module.homes()
    assert folders[0] == str(tmp_path)
    assert len(folders) == 2
    monkeypatch.setattr("os.getuid", lambda: 2**31)
    assert module.homes() == [str(tmp_path)]


def command_of_machine(tmp_path, monkeypatch, python):
    """The bubblewrap command of a machine, for a Python whose prefix is the user's home."""
    home = tmp_path / "ada"
    monkeypatch.setenv("HOME", str(home))
    folder = home / ".prism" / "workspaces" / "local-1"
    for name in ("home", "venv"):
        (folder / name).mkdir(parents=True)
    refresh_etc(home / ".prism")
    argv = [str(home / "bin" / MINOR), "-I", "-S", "-c", python]
    return bubblewrap_command(bubblewrap() or "bwrap", argv, folder, [str(home)], [])


def test_bubblewrap_command_mounts_the_machines_folders_after_hidden_folders(
    tmp_path, monkeypatch
):
    create_files(tmp_path / "ada", f"bin/{MINOR}", ".prism/prism.sock")
    monkeypatch.setattr("prism.agent.sandbox.bubblewrap.SYSTEM_FOLDERS", (str(tmp_path),))
    command = " ".join(command_of_machine(tmp_path, monkeypatch, ""))
    home = tmp_path / "ada"
    own = f"{home}/.prism/workspaces/local-1/home"
    steps = [
        f"--ro-bind-try {tmp_path} {tmp_path}",
        f"--tmpfs {home} ",
        f"--ro-bind-try {home}/bin/{MINOR} ",
        f"--bind {own} {own}",
        f"--remount-ro {home} ",
        "--remount-ro / -- ",
    ]
    places = [command.index(step) for step in steps]
    assert places == sorted(places)
    assert f"--ro-bind-try {home} " not in command


LIST_HOME = """
import os, json, ssl
home = os.environ["HOME"]
print(*sorted([*os.listdir(home), *os.listdir(f"{home}/.prism"), *os.listdir(f"{home}/bin")]))
"""


@real
def test_sandbox_runs_a_python_in_the_home_and_hides_the_rest(tmp_path, monkeypatch):
    home = tmp_path / "ada"
    create_files(home, ".ssh/id_ed25519", ".prism/prism.sock", "bin/other", "lib/other.txt")
    spared = shutil.ignore_patterns("test", "idlelib", "__pycache__", "site-packages")
    shutil.copytree(sysconfig.get_path("stdlib"), home / "lib" / MINOR, ignore=spared)
    shutil.copy(os.path.realpath(sys.executable), home / "bin" / MINOR)
    for library in Path(sys.base_prefix, "lib").glob("libpython*.so*"):
        shutil.copy(library, home / "lib")
    # A Python that was built elsewhere looks for its library there.
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{home}/lib")
    done = subprocess.run(
        command_of_machine(tmp_path, monkeypatch, LIST_HOME), capture_output=True, text=True
    )
    assert {*done.stdout.split()} == {".prism", "bin", "lib", MINOR, "workspaces"}, done.stderr
