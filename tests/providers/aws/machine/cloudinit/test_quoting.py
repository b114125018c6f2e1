"""Hostile values of templates and launches have no effect in shell, systemd or YAML."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from prism.agent.machine.folder import Folder
from prism.agent.machine.machine_config import MachineConfig
from prism.providers.aws.machine.cloudinit.words import (
    PlaceholderFiller,
    environment_line,
    export_line,
    one_line,
    unit_word,
)
from prism.templates.model import Service, TemplateInvalid, TemplateParameter
from tests.optional import not_none
from tests.providers.aws.machine.cloudinit.ordered import rendered, template

HOSTILE = [
    "it's",
    'say "x"',
    "$HOME ${HOME} $(id) `id`",
    "100% %h %% %i",
    "a\\",
    "\\n\\t\\x41\\u0041",
    "; rm -rf / #",
    "a b\tc",
    "*?[a]~{x,y}",
    "- x: &a *a !!python/object @`",
    "&& || | > < !",
    "",
    " ",
    "naïve 🧬",
    "@bin +bin -bin !bin :bin",
    "prism-boot: ready",
]
BREAKING = ["a\nb", "a\r", "nul\0", "esc\x1b[2J", "\x7f", "half\ud800"]


class DemoFolder(Folder):
    def __init__(self):
        self.path, self.home = Path("/x"), Path("/home/me")


def systemd_words(line):
    """What systemd makes of a command line, by its manual (systemd.service, COMMAND LINES)."""
    words, at = [], 0
    while at < len(line):
        if line[at] == " ":
            at += 1
            continue
        word, quoted = "", line[at] == '"'
        at += quoted
        while at < len(line) and line[at] != ('"' if quoted else " "):
            if line[at] == "\\":
                assert line[at + 1] in '\\"', line
                at += 1
            elif line[at] in "$%":
                assert line[at + 1] == line[at], line
                at += 1
            word += line[at]
            at += 1
        at += quoted
        words.append(word)
    return words


@pytest.mark.parametrize("word", HOSTILE)
def test_unit_word_is_quoted_for_systemd(word):
    assert systemd_words(f"{unit_word('env')} {unit_word(word)} {unit_word('x')}") == [
        "env",
        word,
        "x",
    ]


@pytest.mark.parametrize("value", HOSTILE)
def test_export_line_is_quoted_for_the_shell(value):
    script = f'{export_line("A", value)}\nprintf %s. "$A"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{value}."


@pytest.mark.parametrize("value", HOSTILE)
def test_environment_line_is_quoted(value):
    line = environment_line("A", value)
    [inside] = not_none(re.fullmatch(r'A="((?:[^"\\`$]|\\["\\`$])*)"', line)).groups()
    assert re.sub(r'\\(["\\`$])', r"\1", inside) == value


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_parameter_reaches_only_its_service(value):
    data = rendered(odd(), {"odd": value})
    files = {file["path"]: file["content"] for file in yaml.safe_load(data.text)["write_files"]}
    unit = files["/etc/systemd/system/prism-service-odd.service"]
    [start] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    line = start.removeprefix("ExecStart=/usr/bin/env -- ")
    assert systemd_words(line) == ["run", "/home/admin", f"--odd={value}", "8000", "demo"]
    assert len(unit.splitlines()) == len(clean_unit().splitlines())
    assert environment_line("ODD", value) in files["/etc/prism/odd.env"].splitlines()
    assert f"  {export_line('ALL', value)}" in files["/etc/profile.d/prism.sh"].splitlines()
    # the script that root runs does not contain it
    assert files["/usr/local/lib/prism/boot"] == clean_files()["/usr/local/lib/prism/boot"]


def odd():
    service = Service(
        command="run {home} --odd={parameters.odd} {port} {name}",
        port=8000,
        environment={"ODD": "{parameters.odd}"},
    )
    return template(
        services={"odd": service},
        parameters={"odd": TemplateParameter(type="string", default="x")},
        environment={"ALL": "{parameters.odd}"},
    )


def clean_files():
    config = yaml.safe_load(rendered(odd(), {"odd": "fine"}).text)
    return {file["path"]: file["content"] for file in config["write_files"]}


def clean_unit():
    return clean_files()["/etc/systemd/system/prism-service-odd.service"]


@pytest.mark.parametrize("value", BREAKING)
@pytest.mark.parametrize("where", ["command", "environment", "service environment"])
def test_parameter_with_a_control_character_is_refused(value, where):
    orders: dict[str, dict[str, Any]] = {
        "command": {"services": {"odd": Service(command="run {parameters.odd}", port=8000)}},
        "environment": {"environment": {"ALL": "{parameters.odd}"}},
        "service environment": {
            "services": {
                "odd": Service(command="run", port=8000, environment={"A": "{parameters.odd}"})
            }
        },
    }
    tested_template = template(
        parameters={"odd": TemplateParameter(type="string")}, **orders[where]
    )
    with pytest.raises(TemplateInvalid, match="line break or another control character"):
        rendered(tested_template, {"odd": value})


@pytest.mark.parametrize("value", [*BREAKING, *HOSTILE])
def test_parameter_in_a_shell_command_is_refused_unless_harmless(value):
    tested_template = template(
        parameters={"odd": TemplateParameter(type="string")},
        post_install=("touch {parameters.odd}",),
    )
    harmless = re.fullmatch(r"[\w@%+=:,./ -]*", value)
    if harmless:
        assert f"touch {value}" in rendered(tested_template, {"odd": value}).text
        return
    with pytest.raises(TemplateInvalid, match="cannot be used in a shell command") as refused:
        rendered(tested_template, {"odd": value})
    assert "post_install[0]" in refused.value.details


@pytest.mark.parametrize("package", HOSTILE)
def test_package_name_is_one_word_of_the_boot_script(package):
    tested_template = template(
        package_manager="pip", packages={"apt": (package,), "pip": (package,)}
    )
    files = {
        file["path"]: file["content"]
        for file in yaml.safe_load(rendered(tested_template).text)["write_files"]
    }
    own = files["/usr/local/lib/prism/boot"].partition("\nWORKER=")[2]
    words = [shlex.split(line) for line in own.splitlines()]
    for name in ("packages", "python"):
        [step] = [line for line in words if line[:2] == ["step", name]]
        assert package in step


def test_package_name_with_a_line_break_is_refused():
    for manager in ("apt", "pip", "conda"):
        tested_template = template(package_manager="pip", packages={manager: ("a\nb",)})
        with pytest.raises(TemplateInvalid):
            rendered(tested_template)


@pytest.mark.parametrize("key", ["a b\nssh-rsa AAAA evil", "x\0"])
def test_public_key_with_a_line_break_or_nul_is_refused(key):
    with pytest.raises(TemplateInvalid):
        one_line(key, "the public key")


@pytest.mark.parametrize("name", ["A=1 B", "A\nB", "1A", "LD PRELOAD", ""])
def test_invalid_name_of_an_environment_variable_is_refused(name):
    with pytest.raises(TemplateInvalid, match="cannot be used on a cloud machine"):
        rendered(template(environment={name: "x"}))


@pytest.mark.parametrize("name", ["a/../b", "A", "x y", "a.service", ""])
def test_service_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(TemplateInvalid):
        rendered(template(services={name: Service(command="run", port=8000)}))


@pytest.mark.parametrize(
    "text",
    [
        "{port} {token} {home} {name}",
        "{parameters.a} {parameters.b} {parameters.missing} {parameters.c}",
        "${name} {{home}} {Home} {other} {parameters.} {} { name }",
    ],
)
def test_placeholders_are_filled_in_as_by_the_local_provider(text):
    parameters = {"a": "x y", "b": True, "c": 1.5}
    local = MachineConfig({"key": "k", "name": "demo", "parameters": parameters}, DemoFolder())
    ours = PlaceholderFiller("demo", "/home/me", parameters)
    assert ours.fill(text, 8000, "s3cret") == local.fill(text, 8000, "s3cret")
