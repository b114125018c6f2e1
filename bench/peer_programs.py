"""The programs beside which Prism is measured: where they are, and how each is started.

All were installed into `.bench/` by `make bench-peers`, or by Debian's package (nginx). Each runs
in a session of its own and in a home of its own, and no process of it is left afterwards.
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
        """Those that live; a hub's proxy has a session of its own."""
        found = []
        with suppress(psutil.NoSuchProcess):
            found += psutil.Process(self.process.pid).children(recursive=True)
        for one in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(one.pid) == self.process.pid and one.status() != "zombie":
                    found.append(one)
        return set(found)

    @property
    def spent(self):
        """Seconds of processor of all of them."""
        total = 0.0
        for one in self.processes:
            with suppress(psutil.NoSuchProcess):
                total += sum(one.cpu_times()[:2])
        return total

    @property
    def mebibytes(self):
        """Memory; pages that several processes share count once (PSS)."""
        total = 0
        for one in self.processes:
            with suppress(psutil.NoSuchProcess):
                total += one.memory_full_info().pss
        return total / 2**20


class Peer:
    """A program with a command line and a server."""

    def __init__(self, name, package, program):
        self.tool = TOOLS / package / "bin" / program
        lock = (LOCKS / f"{package}.lock").read_text()
        version = re.search(rf"^{package}==(\S+)", lock, re.M)[1]
        self.name = f"{name} {version}"

    def words(self, *more):
        """A command line of its program."""
        if not self.tool.exists():
            raise Missing
        return (str(self.tool), *more)

    def server(self, folder):
        """The words that start its server, its environment, its port, and what it answers at."""
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
    """The server with its SQLite; it has no place to launch anything."""

    def __init__(self):
        super().__init__("dstack", "dstack", "dstack")

    def server(self, folder):
        [port] = free_ports(1)
        words = self.words("server", "-p", str(port), "-y", "--token", TOKEN)
        return words, clean(HOME=folder), port, "/healthcheck"


class SkyPilot(Peer):
    """The API server, on this machine; it has no cloud to launch anything in."""

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
    """nginx, which Debian keeps where only root looks for programs."""
    path = os.pathsep.join((os.environ["PATH"], "/usr/sbin"))
    if (program := shutil.which("nginx", path=path)) is None:
        raise Missing
    return program


@contextmanager
def started(words, environ, port, path):
    """A server that has answered 200 there, until the block ends."""
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
    for one in processes | running.processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()
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
    """This environment without what would change what is measured."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(UNWANTED)}
    return kept | {name: str(value) for name, value in more.items()}


def free_ports(count):
    """Ports that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
