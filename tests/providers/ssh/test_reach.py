"""Ports of workspaces on a lab server that no service has, by every way that leads there."""

import os
import subprocess
import urllib.error
import urllib.request

import pytest

from prism.agent.protocol import supervisor_pid
from tests.conftest import free_port
from tests.daemons import BIN
from tests.providers.ssh.conftest import LAB
from tests.providers.ssh.test_life import LabHome
from tests.waiting import eventually

pytestmark = LAB
PORT = 8123
SERVE = (
    f"mkdir -p site && echo first > site/index.html && "
    f"(nohup python3 -m http.server -d site -b 127.0.0.1 {PORT} >/dev/null 2>&1 &)"
)


@pytest.fixture
def home(tmp_path, lab):
    person = LabHome(tmp_path / "prism", lab)
    yield person
    person.clear()


def page(port: int) -> str:
    """What a page of this computer says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            return str(answer.read().decode().strip())
    except (urllib.error.URLError, ConnectionError) as error:
        return f"{error}"


def test_port_without_a_service_is_reached_by_tunnel_and_by_forwarding(lab, home):
    own, forwarded = free_port(), free_port()
    environ = {**home.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    with home.run_daemon():
        home.begin()
        home.must("launch", "plain-shell", "one")
        home.must("launch", "plain-shell", "two")
        home.inside("one", SERVE)
        with home.run_command("tunnel", "one", f"{own}:{PORT}"):
            eventually(lambda: page(own) == "first")
            assert page(own) == "first"
        config = home.folder / "ssh_config"
        config.write_text(home.must("ssh-config"))
        for name, says in (("one", "first"), ("two", "")):
            argv = ["ssh", "-F", str(config), "-N", "-L", f"{forwarded}:localhost:{PORT}"]
            forwarding = subprocess.Popen([*argv, f"{name}.prism"], env=environ)
            try:
                eventually(lambda: "refused" not in page(forwarded))
                assert (page(forwarded) == "first") == (says == "first")
            finally:
                forwarding.terminate()
                forwarding.wait()
        # What is published for tunnels ends with the workspace's network.
        folders = [
            path
            for path in (lab.home / ".prism-server/workspaces").iterdir()
            if (path / "published.json").exists()
        ]
        assert len(folders) == 1
        home.must("stop", "one")
        assert not supervisor_pid(str(folders[0]))
        assert home.cli("tunnel", "one", f"{own}:{PORT}").returncode != 0
