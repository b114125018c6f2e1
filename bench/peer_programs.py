"""The programs that Prism is compared with: where they are, and how each is started.

`make bench-peers` installs them into `.bench/`, and nginx from its Debian package. Each runs in
its own session and home, and all its processes are ended afterwards.
"""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from living import BIN

from prism import __version__

ROOT = Path(__file__).parents[1]
TOOLS, LOCKS = ROOT / ".bench", Path(__file__).with_name("locks")
TOKEN = "bench-token"  # of servers that listen on this machine only, for minutes
UNWANTED = ("PRISM_", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
PATIENCE = 120
HUB = """
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {back}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.command = ["{program}"]
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie"
c.JupyterHub.log_level = "ERROR"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}", "admin": True}}]
"""


class Missing(Exception):
    """A program was not installed."""


class Running:
    """A server and every process of its own."""

    def __init__(self, process, port, took, environ):
        self.process, self.port, self.took, self.environ = process, port, took, environ

    @property
    def processes(self):
        """Its processes; the proxy of a hub has its own session."""
        processes = []
        with suppress(psutil.NoSuchProcess):
            processes += psutil.Process(self.process.pid).children(recursive=True)
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == self.process.pid and process.status() != "zombie":
                    processes.append(process)
        return set(processes)

    @property
    def spent(self):
        """Seconds of processor of all of them."""
        total = 0.0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:2])
        return total

    @property
    def mebibytes(self):
        """Memory; pages that several processes share count once (PSS)."""
        total = 0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 2**20


class Peer:
    """A program with a command line and a server."""

    def __init__(self, name, package, program):
        self.tool = TOOLS / package / "bin" / program
        lock = (LOCKS / f"{package}.lock").read_text()
        [version] = re.findall(rf"^{package}==(\S+)", lock, re.M)
        self.name = f"{name} {version}"

    def words(self, *more):
        """A command line of its program."""
        if not self.tool.exists():
            raise Missing
        return (str(self.tool), *more)

    def server(self, folder):
        """The command of its server, its environment, its port, and a path that it answers."""
        raise NotImplementedError


class Prism(Peer):
    """`prismd`, as people start it."""

    def __init__(self):
        self.name, self.tool = f"Prism {__version__}", BIN / "prism"

    def server(self, folder):
        [port] = free_ports(1)
        environ = clean(PRISM_HOME=folder, PRISM_PORT=port, PRISM_LOG_LEVEL="warning")
        environ |= {"AWS_CONFIG_FILE": str(folder / "none")}
        return (str(BIN / "prismd"),), environ, port, "/api/v1/daemon/status"


class JupyterHub(Peer):
    """The hub and its proxy."""

    def __init__(self):
        super().__init__("JupyterHub", "jupyterhub", "jupyterhub")

    def server(self, folder):
        port, back, proxy = free_ports(3)
        config = folder / "config.py"
        config.write_text(
            HUB.format(
                folder=folder,
                program=proxy_program(),
                token=TOKEN,
                port=port,
                back=back,
                proxy=proxy,
            )
        )
        environ = clean(PATH=f"{self.tool.parent}{os.pathsep}{os.environ['PATH']}", HOME=folder)
        return self.words("-f", str(config)), environ, port, "/hub/login"


class Dstack(Peer):
    """The server with SQLite; it has no fleet to launch anything on."""

    def __init__(self):
        super().__init__("dstack", "dstack", "dstack")

    def server(self, folder):
        [port] = free_ports(1)
        words = self.words("server", "-p", str(port), "-y", "--token", TOKEN)
        return words, clean(HOME=folder), port, "/healthcheck"


class SkyPilot(Peer):
    """The API server, on this machine; it has no cloud to launch anything on."""

    def __init__(self):
        super().__init__("SkyPilot", "skypilot", "sky")

    def server(self, folder):
        [port] = free_ports(1)
        words = self.words("api", "start", "--foreground", "--host", "127.0.0.1")
        address = f"http://127.0.0.1:{port}"
        environ = clean(
            HOME=folder,
            SKYPILOT_DISABLE_USAGE_COLLECTION=1,
            SKYPILOT_API_SERVER_ENDPOINT=address,
            SKYPILOT_API_SERVER_LOCAL_PORT=port,
        )
        return (*words, "--port", str(port)), environ, port, "/api/health"


def proxy_program():
    """configurable-http-proxy."""
    program = TOOLS / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"
    if not program.exists():
        raise Missing
    return program


def nginx_program():
    """nginx; Debian installs it into a folder that is only on the PATH of root."""
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
    if (program := shutil.which("nginx", path=path)) is None:
        raise Missing
    return program


@contextmanager
def started(words, environ, port, path):
    """Run a server until the block ends; it has answered 200 to `path`."""
    quiet = subprocess.DEVNULL
    began = time.perf_counter()
    process = subprocess.Popen(
        words, env=environ, start_new_session=True, stdin=quiet, stdout=quiet, stderr=quiet
    )
    running = Running(process, port, 0.0, environ)
    try:
        while not _answers(port, path):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise RuntimeError(f"{Path(words[0]).name} did not start")
            time.sleep(0.005)
        running.took = time.perf_counter() - began
        yield running
    finally:
        _end(running)


def _end(running):
    processes = running.processes
    running.process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(20)
    for process in processes | running.processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    running.process.wait(20)


def _answers(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def clean(**more):
    """The environment, without variables that change the measurement, and with `more`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(UNWANTED)}
    return inherited | {name: str(value) for name, value in more.items()}


def free_ports(count):
    """Ports that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
