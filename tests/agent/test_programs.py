"""Programs that supervisors and files of an older version start stay where they were."""

import subprocess
import sys
from pathlib import Path

import pytest

import prism
from prism.agent.packages.installer import INIT_PROGRAM as INIT_OF_INSTALLER
from prism.agent.packages.setup import MOVED_SCRIPTS
from prism.agent.sandbox.sandbox_process import INIT_PROGRAM
from prism.kit.network.workspace_peers import SUPERVISOR
from prism.providers.local.restic.repository import ARCHIVE_CHECK
from prism.providers.local.storage.tree_snapshots import TREE_COPY_PROGRAM
from prism.providers.local.supervisor_server import SERVER_PROGRAM, SUPERVISOR_PROGRAM

AGENT = Path(prism.__file__).parent / "agent"


def test_programs_of_older_supervisors_are_at_the_same_paths():
    assert INIT_PROGRAM == INIT_OF_INSTALLER == AGENT / "init.py"
    assert MOVED_SCRIPTS == AGENT / "moved_scripts.py"
    assert SUPERVISOR_PROGRAM == AGENT / "supervisor.py"
    assert SERVER_PROGRAM == AGENT / "supervisor_server.py"
    assert str(SUPERVISOR_PROGRAM).endswith(SUPERVISOR.decode())


@pytest.mark.parametrize(
    "program",
    [INIT_PROGRAM, MOVED_SCRIPTS, SUPERVISOR_PROGRAM, SERVER_PROGRAM],
    ids=lambda program: program.name,
)
def test_program_finds_its_modules_from_anywhere(program, tmp_path):
    """It is started with `-I -S`, so nothing but its own path leads to Prism."""
    code = f"import runpy; runpy.run_path({str(program)!r}, run_name='imported')"
    argv = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "program", [TREE_COPY_PROGRAM, ARCHIVE_CHECK], ids=lambda program: program.name
)
def test_program_without_its_task_says_more_than_that_a_module_is_missing(program, tmp_path):
    argv = [sys.executable, "-I", "-S", str(program)]
    done = subprocess.run(
        argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode
    assert "No such file" not in done.stderr
    assert "ModuleNotFoundError" not in done.stderr


@pytest.mark.parametrize("name", ["stream_client", "ssh_client", "sftp_client"])
def test_programs_that_ssh_configurations_name_have_the_same_modules(name):
    assert (AGENT.parent / "cli" / f"{name}.py").is_file()
