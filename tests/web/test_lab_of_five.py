"""From a fresh home to a lab of five: each command of the page, nginx, a provider, browsers."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.conftest import free_port
from tests.connections.apps import APPS, HOST, names_resolve, nginx_with
from tests.needs import require
from tests.oidc.directory import directory, group_name, provider
from tests.project.home import Home
from tests.project.shell import Shell
from tests.project.tree import ROOT
from tests.proofs import record
from tests.tls import Authority
from tests.web.test_directory_login import OWN_SECRET, as_client, chromium, go_through_campus

__all__ = ["chromium", "names_resolve"]  # fixtures
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PEOPLE = ("ann", "ben", "cyd", "dan", "eve")
LIMIT = 20 * 60  # seconds
PROVIDERS = """
[[provider]]
name = "campus"
label = "Campus login"
issuer = "{issuer}"
client_id = "prism"
client_secret = "{secret}"
groups = [{{ group = "{group}", project = "reef" }}]
"""


def commands(text):
    """The commands of a part of the page."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    return [line.strip() for block in blocks for line in block.strip().splitlines()]


def test_commands_of_the_page_lead_to_a_lab_of_five(tmp_path, chromium, names_resolve):
    require("nginx", "slapd", "glewlwyd")
    page = (ROOT / "docs" / "team.md").read_text()
    setting_up = commands(page.partition("## Logging in")[0])
    steps = commands(page.partition("## A lab of five")[2].partition("\n## ")[0])
    home, authority = Home(tmp_path / "home"), Authority(tmp_path / "authority")
    public, port = free_port(), free_port()
    home.environ |= {"PRISM_PORT": str(port)}
    cert, key = authority.files(HOST, f"*.{APPS}")
    folder = tmp_path / "here"
    folder.mkdir()
    shell = Shell(home, folder)

    def run(command):
        for word, ours in {
            "prism.example.org": f"{HOST}:{public}",
            "apps.example.org": APPS,
            "/etc/prism/cert.pem": str(cert),
            "/etc/prism/key.pem": str(key),
            "team setup": "team setup --no-boot",  # nothing stays on this computer
        }.items():
            command = command.replace(word, ours)
        code, output = shell.run(command)
        # These names are in no DNS, which is the first thing that the check sees.
        assert code == 0 or (command == "prism team check" and "DNS" in output), output

    client = as_client("campus", public, port)
    began = time.monotonic()
    try:
        with (
            directory(tmp_path / "people") as people,
            provider(tmp_path / "own", people, client) as issuer,
        ):
            for name in PEOPLE:
                people.add_person(name, f"{name}@campus.test")
                people.join(name, "reef-team")
            text = PROVIDERS.format(
                issuer=issuer, secret=OWN_SECRET, group=group_name("reef-team")
            )
            (folder / "providers.toml").write_text(text)
            for command in (*setting_up, *steps):
                run(command)
            conf = (home.folder / "proxy" / "nginx.conf").read_text()
            with nginx_with(conf, tmp_path / "nginx", public):
                for name in PEOPLE:
                    context = chromium.new_context()
                    tab = context.new_page()
                    tab.set_default_timeout(60_000)
                    tab.goto(f"https://{HOST}:{public}/workspaces")
                    tab.get_by_role("button", name="Campus login").click()
                    go_through_campus(tab, name)
                    title = tab.get_by_role("heading", level=1, name="Workspaces")
                    expect(title).to_be_visible()
                    context.close()
            roles = {member.email: member.role for member in home.client.members.list("reef")}
            took = time.monotonic() - began
            assert {f"{name}@campus.test": "member" for name in PEOPLE}.items() <= roles.items()
            assert took < LIMIT
    finally:
        home.cli("daemon", "stop")
        home.clear()
    record(
        "A lab of five",
        f"{len(setting_up) + len(steps)} commands of `docs/team.md`, nginx with the configuration "
        "that they wrote, glewlwyd with a directory, and five browsers that log in: "
        f"{took:.0f} s after the first command (with Prism and the packages installed), all five "
        "are members of the project.",
    )
