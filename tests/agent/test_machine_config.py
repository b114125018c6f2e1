"""What was ordered, with its blanks filled in."""

import os

import pytest

from prism.agent.folder import Folder
from prism.agent.machine_config import MachineConfig
from prism.agent.protocol import OrderedMachine, OrderedService
from prism.kit.programs import PLACES

SERVICE: OrderedService = {
    "command": "run --at {port} --name '{name} {parameters.title}' {other} '{}'"
}


@pytest.fixture
def config(tmp_path):
    order: OrderedMachine = {
        "key": "k",
        "name": "mine",
        "services": {"x": SERVICE},
        "parameters": {"title": 'a "b"; c', "flag": True, "n": 3},
        "environment": {"SHARED": "{home}/data", "PATH": "/evil", "HOME": "/evil"},
    }
    return MachineConfig(order, Folder(tmp_path))


def test_a_command_is_split_before_it_is_filled_so_a_value_stays_one_word(config):
    words = config.command("x", 80, "secret")
    assert words == ["run", "--at", "80", "--name", 'mine a "b"; c', "{other}", "{}"]


def test_values_are_written_as_people_write_them(config):
    assert config.fill("{parameters.flag} {parameters.n} {parameters.none}") == "true 3 "


def test_a_shells_own_braces_are_no_blanks(config):
    assert config.fill("${name} ${home:-x} $ {name} {name}") == "${name} ${home:-x} $ mine mine"


def test_where_programs_are_looked_for_is_what_the_daemon_promises_by(config):
    assert config.path.endswith(f":{PLACES}")


def test_surroundings_are_clean_and_the_machines_own(config, tmp_path, monkeypatch):
    monkeypatch.setenv("PRISM_DATABASE_URL", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("https_proxy", "http://proxy")
    variables = config.surroundings({"TOKEN": "{token}"}, 80, "t0ken")
    assert "secret" not in variables.values()
    assert variables["HOME"] == str(tmp_path / "home")
    assert variables["PATH"].startswith(str(tmp_path / "venv" / "bin"))
    assert variables["SHARED"] == f"{tmp_path}/home/data"
    assert (variables["TOKEN"], variables["https_proxy"]) == ("t0ken", "http://proxy")
    assert variables["PRISM_MACHINE"] == str(tmp_path)


def test_our_tools_have_what_the_person_has_but_nothing_of_the_daemon(config, monkeypatch):
    monkeypatch.setenv("PRISM_DATABASE_URL", "secret")
    monkeypatch.setenv("UV_INDEX_URL", "http://mirror")
    config.order = {**config.order, "cache": "/cache"}
    variables = config.tool_surroundings()
    assert variables["UV_INDEX_URL"] == "http://mirror"
    assert "/evil" not in variables.values(), "no variable of a template reaches a tool of ours"
    assert "PRISM_DATABASE_URL" not in variables
    assert os.environ["PRISM_DATABASE_URL"] == "secret"


@pytest.mark.parametrize(("own", "tells"), [({}, False), ({"X": "a{token}b"}, True)])
def test_whether_a_service_is_told_the_secret(config, own, tells):
    config.services["x"] = SERVICE | {"environment": own}
    assert config.tells_token("x") is tells
