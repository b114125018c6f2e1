"""Each template that runs on this computer is launched, requested and terminated."""

import contextlib
import os
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

import prism.templates
from tests.project.home import Home
from tests.proofs import record

LIBRARY = Path(prism.templates.__file__).with_name("library")
NAMES = sorted(yaml.safe_load(path.read_text())["name"] for path in LIBRARY.glob("*.yml"))
TITLE = "Templates launched on this computer"
REPORT = """\
{count} templates of the library run on this computer. Each was launched by the command line, \
answered at every address of `prism workspace connect`, and was terminated. They ran one after \
the other in one home, whose cache of packages was empty at first, on a computer with {cores} \
cores and a load of {load:.1f} in the last quarter of an hour.

| template | answer | from the command until it ran |
|---|---|---|
{rows}"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("templates")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("templates") / "home")
    with home.run_daemon():
        yield home
    home.clear()


@pytest.fixture(scope="module")
def listed_templates(home):
    """The output of `prism template list`, by name."""
    return {line["name"]: line for line in home.cli_json("template", "list")}


@pytest.fixture(scope="module")
def result_rows(listed_templates):
    """A line for each template that was launched; recorded when all were."""
    rows: list[str] = []
    yield rows
    if len(rows) == sum(template["runs_locally"] for template in listed_templates.values()):
        load = os.getloadavg()[2]
        table = "\n".join(rows)
        record(TITLE, REPORT.format(count=len(rows), cores=os.cpu_count(), load=load, rows=table))


def test_command_line_lists_the_templates_of_the_library(listed_templates):
    assert sorted(listed_templates) == NAMES
    assert sum(template["runs_locally"] for template in listed_templates.values()) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_template_is_launched_answers_and_is_terminated_or_is_refused(
    home, listed_templates, result_rows, name
):
    template = listed_templates[name]
    if not template["runs_locally"]:
        return check_refusal(home, template)
    began = time.monotonic()
    assert home.cli_json("launch", template["slug"], "mine")["state"] == "running"
    took = time.monotonic() - began
    try:
        services = home.cli_json("workspace", "connect", "mine")["services"]
        assert sorted(services) == sorted(template["services"])
        answered = [f"{service}: {status(**services[service])}" for service in services]
        assert all(line.endswith(": 200") for line in answered), answered
        answered = answered or [run_program(home)]
    finally:
        assert home.cli_json("terminate", "mine", "--yes")["state"] == "terminated"
    assert home.processes() == []
    result_rows.append(f"| {name} | {', '.join(answered)} | {took:.0f} s |")


def check_refusal(home, template):
    """A template that does not run on this computer is refused with its reasons."""
    done = home.cli("launch", template["slug"], "mine", "--json")
    assert done.returncode == 1
    assert template["local_reasons"], "the list has a reason"
    assert all(reason in done.stderr for reason in template["local_reasons"]), done.stderr
    assert {line["state"] for line in home.cli_json("list")} <= {"terminated"}, (
        "the refused launch left no workspace"
    )


def status(url, token=None, **_):
    """The status that a service answers at its address, after redirects."""
    with contextlib.closing(
        urllib.request.urlopen(f"{url}/?token={token}", timeout=120)
    ) as answer:
        assert answer.read(), "the page is not empty"
        return answer.status


def run_program(home):
    """Runs a program in a workspace without a service."""
    done = home.cli("exec", "mine", "--", "python", "-c", "print(6 * 7)")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    return "`python -c 'print(6 * 7)'`: 42"
