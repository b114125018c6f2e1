"""The program `python -m aws_double`."""

import contextlib
import signal
import subprocess
import sys

from tests.aws_double.boto import _client, launch_instance
from tests.optional import not_none

COMMAND = [sys.executable, "-m", "aws_double"]


@contextlib.contextmanager
def program(*words):
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
        not_none(process.stdout).close()


def environment(process):
    """The environment variables that the program prints."""
    lines = [process.stdout.readline() for _ in range(5)]
    assert all(line.startswith("export AWS_") for line in lines)
    return dict(line.removeprefix("export ").rstrip("\n").split("=", 1) for line in lines)


def machine(process):
    url = environment(process)["AWS_ENDPOINT_URL"]
    return launch_instance(_client(url, "ec2", "us-east-1", "123456789012", 20))


def test_program_creates_the_same_ids_with_the_same_seed():
    ids = []
    for seed in ("1", "1", "2"):
        with program("--port", "0", "--seed", seed) as process:
            ids.append(machine(process))
    assert ids[0] == ids[1] != ids[2]


def test_program_rejects_an_invalid_or_missing_rules_file(tmp_path):
    file = tmp_path / "rules.yml"
    file.write_text("denied: ['*']\nlike: mars\n")
    run = subprocess.run(
        [*COMMAND, "--port", "0", "--rules", file], capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"error: {file}:2: Invalid enum value 'mars'")
    run = subprocess.run(
        [*COMMAND, "--port", "0", "--rules", tmp_path / "none"], capture_output=True, text=True
    )
    assert run.returncode == 2
