"""A workspace behind SSH, reached by the daemon's routes and by commands."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.machine.service_access import AwsServiceAccess
from prism.providers.aws.ssh.port_forwarding import AwsPortFinder
from tests.conftest import free_port
from tests.connections.conftest import UPSTREAM
from tests.connections.test_terminal import serving
from tests.doubles.memory import MemoryCompute
from tests.providers.aws.ssh_machine import ID, by_root
from tests.waiting import eventually

COMMAND = (sys.executable, "-m", "prism.cli.main")


class ComputeOverSsh(MemoryCompute):
    """A compute whose machines are all the SSH machine of the test."""

    access_of_services: AwsServiceAccess
    reach: AwsPortFinder

    def access(self, id):
        super().access(id)
        return self.access_of_services.access(ID)

    def address_of(self, id, port):
        return self.reach.address_of(ID, port)


@pytest.fixture
def cloud(clock):
    return ComputeOverSsh(clock)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def port(daemon, http, cloud, clock, machine_pool, service):
    """The port of a daemon whose workspace `mine` runs."""
    assert http.launch().status_code == 201
    for _ in range(5):
        clock.advance(seconds=timedelta(minutes=1).total_seconds())
        daemon.settle()
    assert http.state() == "running"
    [row] = daemon.read_model.pages.rows.values()
    name = next(iter(row.workspace.resolved_template.services))
    served = {"services": {name: {"port": service.port, "token": True}}}
    (machine_pool.sshd.folder / "services.json").write_text(json.dumps(served))
    cloud.reach = AwsPortFinder(machine_pool.pool, machine_pool.forwards)
    file = f"{machine_pool.sshd.folder}/services.json"
    cloud.access_of_services = AwsServiceAccess(machine_pool.pool, cloud.reach, services=file)
    loops = []

    async def recorded(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        await daemon.app(scope, receive, send)

    with serving(recorded, daemon.shells) as port:
        yield port
        if loops:  # the daemon was not opened as a whole, so it does not close its relay
            closing = daemon.workspace_proxy.relay.close()
            asyncio.run_coroutine_threadsafe(closing, loops[0]).result(20)


@pytest.fixture
def prism(port, tmp_path):
    """Run a command to its end."""
    home = tmp_path / "person"
    home.mkdir()
    environ = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "PRISM_HOME": str(home / ".prism"),
        "PRISM_URL": f"http://127.0.0.1:{port}",
        "HOME": str(home),
    }

    def run(*words, begin=False, **more):
        how = {"text": True, "env": environ, **more}
        if begin:
            return subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, **how)
        done = subprocess.run([*COMMAND, *words], capture_output=True, timeout=120, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def test_connect_returns_ssh_command_url_and_token(http, port, machine_pool, service):
    access = http("GET", "/api/v1/instances/mine/connect").json()
    sshd = machine_pool.sshd
    assert access["ssh"]["command"] == (
        f"ssh -p {sshd.port} -i {sshd.key} -o UserKnownHostsFile={machine_pool.keys.file(ID)} "
        f"{machine_pool.host(ID).user}@127.0.0.1"
    )
    [door] = access["services"].values()
    assert fetch(f"{door['url']}/x") == "/x of the lab", "the service answers on this computer"
    assert door["token"] == secret(sshd.key.read_bytes(), "ws_1", *access["services"])
    assert f"-L {service.port}:localhost:{service.port} " in door["local_forward"]


def test_service_that_does_not_listen_has_no_endpoint(http, port, machine_pool, service):
    service.close()
    assert http("GET", "/api/v1/instances/mine/connect").json()["services"] == {}


def test_web_proxy_reaches_the_service(port, service):
    assert fetch(f"http://127.0.0.1:{port}/web-proxy/mine/deep/page") == "/deep/page of the lab"
    assert fetch(f"http://127.0.0.1:{port}/web-proxy/mine/?port=8888") == "/ of the lab"


def echo(socket):
    for word in socket:
        socket.send(word)


def test_web_proxy_passes_a_websocket(port):
    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            inside = server.socket.getsockname()[1]
            at = f"ws://127.0.0.1:{port}/web-proxy/mine/?port={inside}"
            with connect(at, proxy=None) as client:
                for word in ("one", b"two" * 100_000):
                    client.send(word)
                    assert client.recv(timeout=120) == word
        finally:
            server.shutdown()
            thread.join()


def test_dcv_proxy_pins_the_certificate_of_each_listener(port):
    """Another listener on the same port may have another certificate."""
    inside = free_port()
    at = f"http://127.0.0.1:{port}/dcv-proxy/mine/told?port={inside}"
    argv = [sys.executable, str(UPSTREAM), str(inside), "tls"]
    for _ in range(2):
        desktops = [subprocess.Popen(argv)]

        def answers(desktops=desktops):
            if desktops[-1].poll() is not None:  # another process had the port for a moment
                desktops.append(subprocess.Popen(argv))
            return '"method"' in fetch(at)

        try:
            eventually(answers, passing=(OSError,))
        finally:
            desktops[-1].kill()
            desktops[-1].wait()


@by_root
def test_ssh_proxy_opens_a_terminal(port):
    with connect(f"ws://127.0.0.1:{port}/ssh-proxy/mine", proxy=None) as terminal:
        terminal.send(b"echo $((6*7)) is it\n")
        screen = b""
        while b"42 is it" not in screen:
            screen += terminal.recv(timeout=120, decode=False)


def test_exec_and_ssh_run_commands_on_the_machine(prism):
    assert prism("exec", "mine", "--", "echo", "a b", "$c") == "a b $c\n"
    assert prism("ssh", "mine", "--", "echo $((6*7))") == "42\n"


def test_cp_copies_files_to_the_machine_and_back(prism, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a").write_text("content")
    prism("cp", str(tmp_path / "here"), f"mine:{tmp_path}/there")
    assert (tmp_path / "there" / "a").read_text() == "content"
    prism("cp", f"mine:{tmp_path}/there/a", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "content"


def test_ssh_config_lets_openssh_connect(prism, tmp_path):
    (tmp_path / "config").write_text(prism("ssh-config"))
    argv = ["ssh", "-F", tmp_path / "config", "-o", "BatchMode=yes", "mine.prism", "echo in"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.stdout == "in\n", done.stderr


def test_tunnel_reaches_the_service(prism):
    with prism("tunnel", "mine", begin=True) as tunnel:
        try:
            line = tunnel.stdout.readline()
            local = re.match(r"http://127\.0\.0\.1:\d+", line)
            assert local, line
            assert fetch(f"{local[0]}/t") == "/t of the lab"
        finally:
            tunnel.kill()
