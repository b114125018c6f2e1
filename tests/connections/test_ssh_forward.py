"""A browser on another computer, through the line that `prism connect` prints and a real sshd."""

import contextlib
import json
import shlex
import subprocess

import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import free_port
from tests.jupyter import Kernel
from tests.project.home import Home
from tests.providers.aws.ssh_machine import Sshd
from tests.waiting import eventually

BROWSER = {"user-agent": "Mozilla/5.0", "sec-fetch-site": "none"}


@pytest.fixture
def sshd(tmp_path):
    sshd = Sshd(tmp_path / "machine")
    sshd.start()
    yield sshd
    sshd.stop()


@contextlib.contextmanager
def forwarded(home, sshd):
    """Runs the printed line as on another computer, with a port that is free there.

    The daemon's own port is taken here, so this is also another port than the daemon's.
    """
    printed = home.cli("connect", "mine", SSH_CONNECTION=f"127.0.0.1 1 127.0.0.1 {sshd.port}")
    [line] = [line for line in printed.stdout.splitlines() if line.lstrip().startswith("ssh -N")]
    daemon = json.loads((home.folder / "daemon.lock").read_text())["port"]
    assert f"-p {sshd.port} -L {daemon}:" in line
    assert f"  http://mine.localhost:{daemon}" in printed.stdout
    port = free_port()
    [program, *words] = shlex.split(line.replace(f"-L {daemon}:", f"-L {port}:"))
    unasked = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    unasked += ["-o", "ExitOnForwardFailure=yes", "-F", "none", "-i", str(sshd.key)]
    with subprocess.Popen([program, *unasked, *words], stderr=subprocess.DEVNULL) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=120, trust_env=False) as browser:
                eventually(
                    lambda: browser.get("/api/v1/daemon/status"), passing=(httpx.HTTPError,)
                )
                yield browser, port
        finally:
            process.kill()


def gui_host(home, port):
    """The host name of the GUI, through the forwarded port."""
    gui = json.loads((home.folder / "daemon.lock").read_text())["gui"]
    return f"{gui.removeprefix('http://').partition(':')[0]}:{port}"


def test_gui_and_pages_of_workspaces_work_through_ssh(served_daemon, sshd):
    with forwarded(served_daemon.home, sshd) as (browser, port):
        plain, mine = f"localhost:{port}", f"mine.localhost:{port}"
        own = gui_host(served_daemon.home, port)

        def status(host, path="/", method="GET", **headers):
            return browser.request(method, path, headers=BROWSER | {"host": host} | headers)

        navigation = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert status(plain, **navigation).headers["location"] == f"http://{own}/"
        assert status(own).status_code == 200
        assert status(mine, "/page").status_code == 200
        moved = status(own, "/web-proxy/mine/page")
        assert (moved.status_code, moved.headers["location"]) == (307, f"http://{mine}/page")
        [first, *_] = status(own, "/api/v1/instances/mine/ports").json()
        assert first["url"] == f"http://{mine}"
        echo = connect(
            f"ws://{mine}/echo",
            additional_headers={"origin": f"http://{mine}"},
            address=("127.0.0.1", port),
            proxy=None,
        )
        with echo:
            echo.send("a")
            assert echo.recv(timeout=60) == "a"


def test_pages_of_other_sites_are_refused_through_ssh(served_daemon, sshd):
    with forwarded(served_daemon.home, sshd) as (browser, port):
        own = gui_host(served_daemon.home, port)
        for headers, refusal in (
            ({"host": f"evil.example:{port}"}, 421),
            ({"host": "evil.example"}, 421),
            ({"host": own, "origin": "https://evil.example"}, 403),
            ({"host": own, "origin": f"http://mine.localhost:{port}"}, 403),
            ({"host": own, "sec-fetch-site": "cross-site"}, 403),
            ({"host": own, "origin": f"http://{own}"}, 200),
        ):
            answer = browser.get("/api/v1/instances", headers=headers)
            assert answer.status_code == refusal, headers


@pytest.mark.slow  # it installs JupyterLab
@pytest.mark.timeout(280)
def test_real_jupyterlab_works_through_ssh(tmp_path, sshd):
    home = Home(tmp_path / "home")
    try:
        with home.run_daemon():
            launched = home.cli("launch", "JupyterLab", "mine")
            assert launched.returncode == 0, launched.stderr
            token = home.cli_json("connect", "mine")["services"]["jupyter"]["token"]
            with forwarded(home, sshd) as (browser, port):
                host = f"mine.localhost:{port}"
                page = browser.get(f"/lab?token={token}", headers=BROWSER | {"host": host})
                assert (page.status_code, "jupyter-config-data" in page.text) == (200, True)
                kernel = Kernel(f"http://127.0.0.1:{port}", token, host=host)
                assert kernel.run("print(6 * 7)") == "42\n"
                kernel.close()
    finally:
        home.clear()
