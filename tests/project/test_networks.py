"""Launches behind proxies, on networks that inspect TLS, with a mirror, and without internet."""

import os
import shutil
import sys

import pytest

from prism.certificates import system_bundle
from tests.daemons import DAEMON
from tests.optional import not_none
from tests.project.home import Home
from tests.tls import inspected_network
from tests.waiting import eventually

HOST = "packages.example.org"
TEMPLATE = """\
name: Example
description: A package, and nothing that runs
package_manager: pip
packages:
  pip: [example]
"""
# What this computer and its shell say about networks.
OURS = ("SSL_", "REQUESTS_", "UV_", "PIP_", "CURL_", "AWS_CA")
TRUST = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "prism")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "example.yml").write_text(TEMPLATE)
    inherited = {
        name: value
        for name, value in home.environ.items()
        if not name.startswith(OURS) and not name.lower().endswith("_proxy")
    }
    # Neither uv nor pip has settings of a user here.
    home.environ = inherited | {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    yield home
    home.clear()


@pytest.fixture
def network(tmp_path):
    with inspected_network(tmp_path / "network") as (authority, index, proxy):
        index.wheel("example", {"example.py": ""})
        environ = {
            "HTTPS_PROXY": proxy.url,
            "UV_HTTP_RETRIES": "0",
            "PIP_INDEX_URL": f"https://{HOST}/simple",
        }
        yield authority, index, proxy, environ


def launch(home):
    """Launches a workspace of the template; the workspace when it runs or has failed."""
    launched = home.cli("launch", "Example", "mine")
    assert "mine" in launched.stdout + launched.stderr, launched
    return home.client.workspaces.get("mine")


def test_refused_certificate_is_named_and_the_file_of_the_home_corrects_it(home, network):
    authority, _, proxy, environ = network
    untrusted = "with a certificate that this computer does not trust"
    with home.run_daemon(**environ):
        plan = lambda: home.cli("launch", "Example", "mine", "--dry-run").stderr  # noqa: E731
        refused = str(eventually(lambda: (text := plan()).startswith("error: ") and text))
        assert untrusted in refused
        assert "SSL_CERT_FILE=FILE" in refused
        # Another launch has downloaded packages, so the registry is not asked before a launch.
        (home.folder / "cache" / "trees" / "another").mkdir(parents=True)
        workspace = launch(home)
        assert workspace.state == "failed"
        failure = not_none(workspace.failure)
        assert failure.code == "CERTIFICATE_UNTRUSTED"
        assert untrusted in failure.message
        assert "did not answer" not in failure.message
        assert "SSL_CERT_FILE=FILE" in failure.message
    assert proxy.hosts == [HOST] * len(proxy.hosts) and proxy.hosts
    hidden = home.folder.parent / "certificate.pem"  # in the user's home
    shutil.copy(authority.file, hidden)
    (home.folder / "env").write_text(f"SSL_CERT_FILE={hidden}\n")
    (home.folder / "env").chmod(0o600)
    with home.run_daemon(**environ):
        started = home.cli("start", "mine")
        assert started.returncode == 0, started.stderr
        inside = home.cli("exec", "mine", "--", "sh", "-c", 'grep -c BEGIN "$SSL_CERT_FILE"; env')
        assert inside.stdout.startswith("1\n"), "the workspace can read the certificate"
        assert f"PIP_INDEX_URL=https://{HOST}/simple" in inside.stdout


@pytest.mark.skipif(
    os.getuid() != 0 or sys.platform != "linux" or not system_bundle(),
    reason="needs root: only root may add an authority to the system's, in a mount namespace",
)
def test_daemon_trusts_the_authorities_of_the_system_without_any_variable(home, network, tmp_path):
    authority, _, _, environ = network
    bundle = not_none(system_bundle())
    with open(bundle) as file:
        (tmp_path / "bundle.crt").write_text(file.read() + authority.file.read_text())
    trust = ["unshare", "-m", "sh", "-c", TRUST, "sh", tmp_path / "bundle.crt", bundle]
    with home.run_daemon([*trust, *DAEMON], **environ):
        workspace = launch(home)
        assert workspace.state == "running", workspace.failure


def test_wheels_in_a_folder_suffice_without_internet(home, network, tmp_path):
    _, index, proxy, environ = network
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name, content in index.files.items():
        (wheels / name).write_bytes(content)
    nowhere = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PIP_INDEX_URL": ""}
    with home.run_daemon(**environ | nowhere):
        workspace = launch(home)
        assert workspace.state == "running", workspace.failure
    assert proxy.hosts == []
