"""An upgrade without an outage: two daemons on one PostgreSQL, behind Caddy."""

import json
import os
import signal
import subprocess
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import httpx
import pytest
import yaml

from tests.conftest import free_port
from tests.daemons import DAEMON, started
from tests.project.home import Home
from tests.project.tree import ROOT
from tests.proofs import record
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs("caddy", "initdb"), pytest.mark.timeout(600)]
WRITERS, READERS = 4, 4


def compose_file():
    """What `compose.yml` says."""
    return yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text())


def settings_of_compose():
    """The settings in `compose.yml`, without the proxy's network, since it speaks no TLS here."""
    settings = compose_file()["x-daemon"]["environment"]
    del settings["PRISM_TRUSTED_PROXIES"]
    return settings | {"PRISM_USER": "ada@example.org"}


class Replica:
    """One of the daemons; it can be stopped and started again."""

    def __init__(self, folder, url, public):
        self.home, self.port = Home(folder), free_port()
        self.environ = settings_of_compose() | {
            "PRISM_DATABASE_URL": url,
            "PRISM_PORT": str(self.port),
            "PRISM_PUBLIC_URL": public,
        }
        self.start()

    def start(self):
        self.process = started(DAEMON, self.home.environ | self.environ, self.home.folder / "log")
        eventually(lambda: self.is_ready() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.home.folder / "log").read_text()

    def is_ready(self):
        with suppress(httpx.TransportError):
            return self.ask("/readyz").status_code == 200
        return False

    def kill(self):
        self.process.kill()
        self.process.wait(120)

    def ask(self, path, **headers):
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=60)

    def probes(self, token):
        """How often it has said that it is ready."""
        text = self.ask("/metrics", Authorization=f"Bearer {token}").text
        lines = [line for line in text.splitlines() if 'route="/readyz"' in line]
        return sum(
            float(line.split()[-1]) for line in lines if "total{" in line and '"200"' in line
        )

    def replace(self, token):
        """Stop it as an upgrade does, and start it again; Caddy has noticed each time."""
        self.process.send_signal(signal.SIGTERM)
        eventually(lambda: self.ask("/readyz").status_code == 503)
        assert self.ask("/healthz").status_code == 200, "it still lives"
        assert self.process.wait(120) == 0
        self.start()
        before = self.probes(token)
        eventually(lambda: self.probes(token) >= before + 2)


class Traffic:
    """People who read, write and listen all the time, and write down what they were answered."""

    def __init__(self, base, host, token):
        self.base, self.headers = base, {"Host": host, "Authorization": f"Bearer {token}"}
        self.failures, self.written, self.reads = [], [], 0
        self.heard, self.streams, self.last_id = [], 0, None
        self.ends = threading.Event()
        tasks = [self.write] * WRITERS + [self.read] * READERS + [self.listen]
        self.threads = [
            threading.Thread(target=task, args=(number,)) for number, task in enumerate(tasks)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ends.set()
        for thread in self.threads:
            thread.join()

    def asked(self, client, method, path, **body):
        """Whether a request was answered well."""
        try:
            answer = client.request(method, path, **body)
        except httpx.HTTPError as error:
            self.failures.append(f"{method} {path}: {error!r}")
            return False
        if answer.status_code >= 400:
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.status_code < 400

    def has_written(self, count):
        return len(self.written) > count

    def client(self):
        return httpx.Client(base_url=self.base, headers=self.headers, timeout=120)

    def write(self, number):
        """Makes projects, without an Idempotency-Key."""
        with self.client() as client:
            for count in range(10**6):
                if self.ends.is_set():
                    return
                name = f"p{number}-{count}"
                if self.asked(client, "POST", "/api/v1/projects", json={"name": name}):
                    self.written.append(name)

    def read(self, number):
        with self.client() as client:
            while not self.ends.is_set():
                self.reads += self.asked(client, "GET", "/api/v1/instances")

    def listen(self, number):
        """Reads events, and resumes where it was when a stream ends."""
        with self.client() as client:
            while not self.ends.is_set():
                more = {"Last-Event-ID": self.last_id} if self.last_id else {}
                try:
                    with client.stream("GET", "/api/v1/events", headers=more) as stream:
                        self.streams += 1
                        self.hear(stream)
                except httpx.HTTPError as error:
                    self.failures.append(f"events: {error!r}")

    def hear(self, stream):
        for line in stream.iter_lines():
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                if event["event"] == "project_created":
                    self.heard.append(event["id"])
            if self.ends.is_set():
                return


@contextmanager
def caddy(folder, site, replicas):
    """A real Caddy with the file of `deploy/`."""
    environ = os.environ | {
        "PRISM_SITE": site,
        "PRISM_DAEMONS": " ".join(f"127.0.0.1:{replica.port}" for replica in replicas),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    file = str(ROOT / "deploy" / "Caddyfile")
    command = ["caddy", "run", "--config", file, "--adapter", "caddyfile"]
    with (folder / "caddy.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def answers(url, host):
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/readyz", headers={"Host": host}, timeout=60).status_code == 200
    return False


def test_two_daemons_are_replaced_while_requests_flow(tmp_path, copy_database):
    public = free_port()
    host, url = f"prism.localhost:{public}", f"http://127.0.0.1:{public}"
    database = copy_database("template1", "upgrade")
    with ExitStack() as stack:
        replicas = []
        for name in ("one", "two"):
            replicas.append(Replica(tmp_path / name, database, f"http://{host}"))
            stack.callback(replicas[-1].kill)
        first = replicas[0].home
        token = first.cli_json("token", "create", "flow", "--scope", "admin")["token"]
        with caddy(tmp_path, f"http://{host}", replicas):
            eventually(lambda: answers(url, host))
            with Traffic(url, host, token) as traffic:
                eventually(lambda: len(traffic.written) > 20 and traffic.reads > 20)
                for replica in replicas:
                    count = len(traffic.written)
                    replica.replace(token)
                    eventually(partial(traffic.has_written, count + 20))
            names = {project.name for project in first.client.projects.list()}
    assert traffic.failures == []
    assert {*traffic.written} == names, "each answered write is there, and nothing else"
    assert len(traffic.heard) == len({*traffic.heard}), "no event came twice"
    assert traffic.streams >= 2, "the stream was moved to the other daemon"
    record(
        "An upgrade without an outage",
        f"Two daemons on one PostgreSQL behind Caddy were replaced, one after the other, while "
        f"{WRITERS + READERS} clients sent requests: {traffic.reads} reads and "
        f"{len(traffic.written)} writes, of which 0 failed and 0 were lost.",
    )
