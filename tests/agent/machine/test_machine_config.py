"""The configuration of a machine: its order with the placeholders filled in."""

import os

import pytest

from prism.agent.machine.folder import Folder
from prism.agent.machine.machine_config import MachineConfig, index_variables
from prism.agent.protocol import LocalMachineSpec, LocalServiceSpec
from prism.kit.programs import PLACES

SERVICE: LocalServiceSpec = {
    "command": "run --at {port} --name '{name} {parameters.title}' {other} '{}'"
}


@pytest.fixture
def config(tmp_path):
    order: LocalMachineSpec = {
        "key": "k",
        "name": "mine",
        "services": {"x": SERVICE},
        "parameters": {"title": 'a "b"; c', "flag": True, "n": 3},
        "environment": {"SHARED": "{home}/data", "PATH": "/evil", "HOME": "/evil"},
    }
    return MachineConfig(order, Folder(tmp_path))


def test_command_keeps_a_value_with_spaces_as_one_argument(config):
    words = config.command("x", 80, "secret")
    assert words == ["run", "--at", "80", "--name", 'mine a "b"; c', "{other}", "{}"]


def test_placeholders_format_booleans_in_lower_case_and_unknown_values_as_empty(config):
    assert config.fill("{parameters.flag} {parameters.n} {parameters.none}") == "true 3 "


def test_shell_variables_are_no_placeholders(config):
    assert config.fill("${name} ${home:-x} $ {name} {name}") == "${name} ${home:-x} $ mine mine"


def test_path_ends_with_the_folders_that_the_daemon_checks(config):
    assert config.path.endswith(f":{PLACES}")


def test_service_environment_contains_machine_paths_and_no_daemon_secret(
    config, tmp_path, monkeypatch
):
    monkeypatch.setenv("PRISM_DATABASE_URL", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("https_proxy", "http://proxy")
    variables = config.program_environment({"TOKEN": "{token}"}, 80, "t0ken")
    assert "secret" not in variables.values()
    assert variables["HOME"] == str(tmp_path / "home")
    assert variables["PATH"].startswith(str(tmp_path / "venv" / "bin"))
    assert variables["SHARED"] == f"{tmp_path}/home/data"
    assert (variables["TOKEN"], variables["https_proxy"]) == ("t0ken", "http://proxy")
    assert variables["PRISM_MACHINE"] == str(tmp_path)


@pytest.mark.parametrize(
    ("environ", "passed"),
    [
        (
            {"UV_DEFAULT_INDEX": "https://a"},
            {"UV_DEFAULT_INDEX": "https://a", "PIP_INDEX_URL": "https://a"},
        ),
        (
            {"UV_INDEX_URL": "https://a", "PIP_INDEX_URL": "https://b"},
            {"UV_INDEX_URL": "https://a", "PIP_INDEX_URL": "https://b"},
        ),
        ({"UV_DEFAULT_INDEX": "https://user:password@a", "PIP_INDEX_URL": "https://u@a"}, {}),
        ({"UV_DEFAULT_INDEX": "http://127.0.0.1:3141", "UV_INDEX": "x=http://localhost/x"}, {}),
        ({"UV_FIND_LINKS": "/wheels", "UV_OFFLINE": "1"}, {}),
    ],
)
def test_workspace_gets_the_package_indexes_that_it_can_use(environ, passed):
    assert index_variables(environ) == passed


def test_tool_environment_contains_no_variable_of_the_daemon_or_template(config, monkeypatch):
    monkeypatch.setenv("PRISM_DATABASE_URL", "secret")
    monkeypatch.setenv("UV_INDEX_URL", "http://mirror")
    config.spec = {**config.spec, "cache": "/cache"}
    variables = config.tool_environment()
    assert variables["UV_INDEX_URL"] == "http://mirror"
    assert "/evil" not in variables.values(), "the tools of Prism get no variable of a template"
    assert "PRISM_DATABASE_URL" not in variables
    assert os.environ["PRISM_DATABASE_URL"] == "secret"


@pytest.mark.parametrize(("own", "is_passed"), [({}, False), ({"X": "a{token}b"}, True)])
def test_service_that_uses_the_token_placeholder_gets_the_token(config, own, is_passed):
    config.services["x"] = SERVICE | {"environment": own}
    assert config.tells_token("x") is is_passed
