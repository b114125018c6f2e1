"""Logs in through a certified identity provider that nobody here wrote (`oidc-provider`)."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

from prism.kit.cookies import LOGIN_COOKIE, SESSION_COOKIE
from scripts import gui
from tests.conftest import free_port
from tests.needs import skip_outside_ci
from tests.project.home import Home
from tests.waiting import eventually

FOLDER = Path(__file__).parents[1] / "oidc"
SECRET = "a secret/with signs:"


@pytest.fixture(scope="module")
def provider_program(tmp_path_factory):
    """The command of the provider, installed from its lock, by the Node that builds the GUI."""
    folder = tmp_path_factory.mktemp("oidc")
    for name in ("package.json", "package-lock.json", ".npmrc", "provider.mjs"):
        shutil.copy(FOLDER / name, folder)
    try:
        node = gui.node()
        gui.npm(node, "ci", "--no-progress", "--loglevel=error", folder=folder)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        skip_outside_ci(f"Node, and the packages of {FOLDER.name}: {error}")
    return [node, folder / "provider.mjs"]


class SignedOn(NamedTuple):
    """A shared daemon and its provider."""

    home: Home
    base: str
    issuer: str


@pytest.fixture
def signed_on(provider_program, tmp_path):
    """A shared daemon whose people log in at the provider."""
    home, port, provider_port = Home(tmp_path / "home"), free_port(), free_port()
    base = f"http://prism.localhost:{port}"
    about = {
        "port": provider_port,
        "redirect": f"{base}/auth/callback",
        "logout": f"http://127.0.0.1:{port}/auth/backchannel-logout",
    }
    log = tmp_path / "provider.log"
    with log.open("w") as output:
        provider = subprocess.Popen(
            [*provider_program, json.dumps(about)], stdout=output, stderr=output
        )
    try:
        eventually(lambda: "ready" in log.read_text(), 120)
        settings = {
            "PRISM_AUTH": "tokens",
            "PRISM_PORT": str(port),
            "PRISM_PUBLIC_URL": base,
            "PRISM_OIDC_ISSUER": f"http://localhost:{provider_port}",
            "PRISM_OIDC_CLIENT_ID": "prism",
            "PRISM_OIDC_CLIENT_SECRET": SECRET,
            "PRISM_OIDC_DOMAINS": "example.org",
        }
        with home.run_daemon(**settings):
            yield SignedOn(home, base, settings["PRISM_OIDC_ISSUER"])
    finally:
        provider.kill()
        provider.wait()
        home.clear()


def go_through_provider(page, name):
    """Log in there and agree that the daemon gets the address."""
    page.get_by_role("button", name="Log in with localhost").click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()


def test_people_log_in_at_a_real_provider_and_it_logs_them_out(chromium, signed_on):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{signed_on.base}/workspaces")
    go_through_provider(page, "bob")
    expect(page.get_by_role("heading", level=1, name="Workspaces")).to_be_visible()
    assert page.url == f"{signed_on.base}/workspaces"
    cookies = {cookie["name"] for cookie in context.cookies(signed_on.base)}
    assert SESSION_COOKIE in cookies and LOGIN_COOKIE not in cookies
    [session] = signed_on.home.client.sessions.list()
    assert (session.user, session.method) == ("bob@example.org", "provider")
    end = context.new_page()
    end.goto(f"{signed_on.issuer}/session/end")
    end.get_by_role("button", name="Yes, sign me out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert signed_on.home.client.sessions.list() == []
    log = (signed_on.home.folder / "log").read_text()
    assert SECRET not in log and "code=" not in log
    context.close()


@pytest.mark.parametrize("name", ["eve", "mallory"])
def test_people_of_another_domain_or_without_a_verified_address_stay_out(
    chromium, signed_on, name
):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{signed_on.base}/login")
    go_through_provider(page, name)
    expect(page.get_by_text("LOGIN_REFUSED")).to_be_visible()
    assert signed_on.home.client.sessions.list() == []
    assert SESSION_COOKIE not in {cookie["name"] for cookie in context.cookies(signed_on.base)}
    context.close()
