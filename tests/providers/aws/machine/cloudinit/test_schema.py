"""Debian's cloud-init accepts the user data of every template, base and architecture.

`cloud-init schema` takes a second to start, so all documents are judged by what it calls, in
one process of its own Python; a few go through the program itself.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import require
from tests.providers.aws.machine.cloudinit.ordered import LIBRARY, matrix, rendered

JUDGE = """\
import sys
from cloudinit.config.schema import get_schema, validate_cloudconfig_schema
import yaml

schema = get_schema()
for path in sys.argv[1:]:
    text = open(path, encoding="utf-8").read()
    assert text.startswith("#cloud-config\\n"), path
    try:
        ok = validate_cloudconfig_schema(
            yaml.safe_load(text), schema, strict=True, log_deprecations=True
        )
        print("valid" if ok else "not judged", path)
    except Exception as error:
        print("wrong", path, error)
"""


@pytest.fixture(scope="module")
def cloud_init():
    require("cloud-init")
    return shutil.which("cloud-init")


@pytest.fixture
def check_documents(cloud_init, tmp_path):
    """Return the verdict of cloud-init on each of these documents."""
    python = Path(cloud_init).read_text().partition("\n")[0].removeprefix("#!").split()

    def judged(documents):
        for name, text in documents.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        command = [*python, "-c", JUDGE, *documents]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(), done.stderr

    return judged


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_user_data_of_templates_is_valid_and_not_deprecated(check_documents, stride):
    documents = {name: data.text for name, data in matrix(stride)}
    judgements, aside = check_documents(documents)
    assert judgements == [f"valid {name}" for name in documents]
    assert aside == ""


def test_user_data_of_a_repeated_setup_is_valid(check_documents):
    again = rendered(LIBRARY["jupyterlab"], again=True)
    assert check_documents({"again": again.text}) == (["valid again"], "")
    assert again.text.index("bootcmd:") < again.text.index("write_files:")


def test_schema_check_detects_invalid_and_deprecated_user_data(check_documents):
    text = rendered(LIBRARY["plain-shell"]).text
    wrong = text.replace("write_files:\n- path:", "write_files:\n- place:")
    old = text.replace("sudo: ALL=(ALL) NOPASSWD:ALL", "sudo: false")
    judgements, _ = check_documents({"bad": wrong, "old": old, "unknown": f"{text}oddity: 1\n"})
    assert [line.split()[:2] for line in judgements] == [
        ["wrong", "bad"],
        ["wrong", "old"],
        ["wrong", "unknown"],
    ]


@pytest.mark.parametrize("slug", ["r-shiny", "al2023-base"])
def test_cloud_init_schema_command_accepts_user_data(cloud_init, tmp_path, slug):
    (tmp_path / "it").write_text(rendered(LIBRARY[slug], hibernation=True).text, encoding="utf-8")
    command = [cloud_init, "schema", "--config-file", tmp_path / "it"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid schema" in done.stdout + done.stderr
