"""The files of `deploy/`; `test_container.py` builds the image and runs it."""

import json
import os
import re
import subprocess

import pytest

from prism.settings import Settings
from tests.project.tree import ROOT

DEPLOY = ROOT / "deploy"
ANSWERS = {
    "PRISM_ADDRESS": "prism.example.org",
    "PRISM_USER": "ada@example.org",
    "DATABASE_PASSWORD": "secret",
}


def composed(**environ):
    """What Docker Compose makes of the file."""
    command = ["docker-compose", "-f", str(DEPLOY / "compose.yml"), "config", "--format", "json"]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PRISM_")}
    return subprocess.run(command, env=bare | environ, capture_output=True, text=True)


@pytest.mark.needs("docker-compose")
def test_compose_accepts_the_file_and_the_daemon_its_settings():
    result = composed(**ANSWERS)
    assert result.returncode == 0, result.stderr
    services = json.loads(result.stdout)["services"]
    assert services.keys() == {"database", "prism-1", "prism-2", "caddy"}
    for name in ("prism-1", "prism-2"):
        assert services[name]["hostname"] == name
        settings = Settings.read(services[name]["environment"] | {"PRISM_HOME": "/var/lib/prism"})
        assert settings.public_url == "https://prism.example.org"
        assert settings.proxy_networks
        stopping = services[name]["stop_grace_period"]
        assert stopping == "1m0s"
        assert settings.drain + 30 < 60
    daemons = services["caddy"]["environment"]["PRISM_DAEMONS"]
    assert daemons == f"prism-1:{settings.port} prism-2:{settings.port}"


@pytest.mark.needs("docker-compose")
@pytest.mark.parametrize("missing", ANSWERS)
def test_compose_names_an_answer_that_is_missing(missing):
    result = composed(**{name: value for name, value in ANSWERS.items() if name != missing})
    assert result.returncode != 0
    assert missing in result.stderr


@pytest.mark.needs("caddy")
def test_caddy_accepts_its_file():
    environ = os.environ | {"PRISM_SITE": "https://prism.example.org", "PRISM_DAEMONS": "a:1 b:2"}
    command = ["caddy", "adapt", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"]
    result = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert '"dial":"a:1"' in result.stdout and '"uri":"/readyz"' in result.stdout


def test_answers_are_those_that_the_example_asks_for():
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    assert {line.partition("=")[0] for line in lines if "=" in line} == ANSWERS.keys()
    asked_for = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yml").read_text()))
    assert asked_for == ANSWERS.keys()


def test_container_installs_what_the_makefile_has():
    text = (DEPLOY / "Containerfile").read_text()
    [targets] = re.findall(r"make -C /opt/prism ([^\\\n]*)", text)
    makefile = (ROOT / "Makefile").read_text()
    for target in targets.split():
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target
