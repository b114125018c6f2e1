"""A real daemon with real workspaces: two that serve pages, and a plain shell."""

import base64
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.conftest import free_port
from tests.project.home import Home
from tests.waiting import eventually

UPSTREAM = Path(__file__).with_name("upstream.py")
# A workspace sees only the interpreter and its libraries, so the template contains this file.
BROUGHT = base64.b64encode(UPSTREAM.read_bytes()).decode()
SERVE = f"{sys.executable} {{home}}/upstream.py {{port}}"
TEMPLATE = f"""
name: Served
description: Serves what tests ask for
packages: {{pip: []}}
ports: [8888, 8501, 8443]
post_install: ['echo {BROUGHT} | base64 -d >"$HOME/upstream.py"']
services:
  page: {{command: "{SERVE}", port: 8888, health: /page}}
  more: {{command: "{SERVE}", port: 8501, health: /page}}
  desktop: {{command: "{SERVE} tls", port: 8443}}
"""


class DaemonOverHttp:
    """Sends HTTP requests to the daemon and to the origins of its workspaces."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = json.loads((home.folder / "daemon.lock").read_text())["port"]
        self.base = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.base, timeout=120, headers={"user-agent": "test"})

    def host(self, label: str) -> str:
        """The name of a workspace's origin."""
        return f"{label}.localhost:{self.port}"

    def navigate(self, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """Open a page of the daemon as a browser does, which is led to the GUI's origin first."""
        first = self.http.get(path, headers=headers)
        if first.status_code != 302:
            return first
        page = httpx.URL(first.headers["location"])
        assert page.host.startswith("prism--")
        host = {"host": page.netloc.decode()}
        return self.http.get(page.raw_path.decode(), headers={**headers, **host})

    def ask(
        self,
        method: str,
        path: str,
        label: str = "mine",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Send a request to the origin of a workspace."""
        pairs = [("host", self.host(label)), *(headers or {}).items()]
        return self.http.request(method, path, headers=pairs, **more)

    def received_request(
        self,
        method: str,
        path: str,
        label: str = "mine",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Any:
        """Send a request to the origin of a workspace; return what its service received."""
        answer = self.ask(method, path, label, headers, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def socket(
        self,
        path: str = "/echo",
        label: str = "mine",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> ClientConnection:
        """A WebSocket on a workspace's own origin."""
        at = f"ws://{self.host(label)}{path}"
        own = {"origin": f"http://{self.host(label)}", **(headers or {})}
        socket: ClientConnection = connect(
            at, additional_headers=own, address=("127.0.0.1", self.port), proxy=None, **more
        )
        return socket

    def real_port(self, name: str, service: str) -> int:
        """Where that service really listens."""
        access = self.home.client.workspaces.connect(name)
        return int(access.services[service].url.rpartition(":")[2])

    def counts(self) -> Any:
        """The bytes that the service sent, and its count of aborted answers."""
        return self.ask("GET", "/go-on").json()


@pytest.fixture(scope="session")
def served_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonOverHttp]:
    folder = tmp_path_factory.mktemp("connections") / "home"
    with served(folder, other="Served", bare="Plain Shell") as (_, site):
        yield site


@contextlib.contextmanager
def served(folder: Path, **more: Any) -> Iterator[tuple[Home, DaemonOverHttp]]:
    """A daemon with the workspace `mine`, and more by their templates."""
    home = Home(folder)
    templates = home.folder / "templates"
    templates.mkdir()
    (templates / "served.yml").write_text(TEMPLATE)
    try:
        with home.run_daemon():
            for name, template in {"mine": "Served", **more}.items():
                home.client.workspaces.launch(template, name)
            states = ["running"] * (1 + len(more))
            eventually(lambda: home.states() == states, 120)
            for name in ("mine", *more):  # so that they do not go to sleep during the tests
                home.client.idle.keep_awake(name, 1440)
            site = DaemonOverHttp(home)
            with site.http:
                yield home, site
    finally:
        home.clear()


@contextlib.contextmanager
def listening(*words: str, port: int | None = None) -> Iterator[int]:
    """A server on this computer that belongs to no workspace."""
    port = port or free_port()
    process = subprocess.Popen([sys.executable, str(UPSTREAM), str(port), *words])
    try:
        eventually(lambda: answers(port))
        yield port
    finally:
        process.kill()
        process.wait()


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether an HTTP server answers."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://{host}:{port}/page").status_code == 200
    return False
