"""A shared daemon with TLS and a domain for apps, and programs that do what browsers do."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from prism.cli.installation.proxy_files import ProxiedDaemon, caddyfile, nginx_conf
from prism.client import Client
from tests.conftest import free_port
from tests.connections.conftest import TEMPLATE
from tests.needs import find
from tests.optional import not_none
from tests.project.home import Home
from tests.tls import Authority
from tests.waiting import eventually

# Of one site, which is the worst case: browsers send cookies with `SameSite` between them.
HOST, APPS = "prism.lab.test", "apps.lab.test"
BOB, CAROL, DAVE = "bob@example.org", "carol@example.org", "dave@example.org"
NAVIGATION = {
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
    "Accept": "text/html",
}
LONGEST_WAY = 10  # redirects


class TeamSite:
    """A shared daemon with workspaces of several people, reached by TLS."""

    def __init__(self, home: Home, authority: Authority, port: int) -> None:
        self.home, self.authority, self.port = home, authority, port
        self.base, self.apps = f"https://{HOST}:{port}", f"{APPS}:{port}"
        self.tabs: list[AppTab] = []

    def app(self, label: str) -> str:
        """The origin of an app."""
        return f"https://{label}.{self.apps}"

    def person(self, user: str) -> Client:
        """A client with a token of that person."""
        token = self.home.client.tokens.create("test", user=user, scope="admin").token
        port = json.loads((self.home.folder / "daemon.lock").read_text())["port"]
        return Client(url=f"http://localhost:{port}", token=not_none(token))

    def link(self, user: str) -> str:
        """The secret of a new one-time link for a person."""
        return not_none(self.home.client.sessions.create_link(user).url).partition("#")[2]

    def tab(self) -> "AppTab":
        """A browser that nobody has used."""
        self.tabs.append(AppTab(self))
        return self.tabs[-1]

    def close(self) -> None:
        """End the connections of all tabs."""
        for tab in self.tabs:
            tab.http.close()


class AppTab:
    """Sends what a browser would send by itself, and keeps its cookies."""

    def __init__(self, site: TeamSite) -> None:
        self.site, self.way = site, list[str]()
        self.context = ssl.create_default_context(cafile=str(site.authority.file))
        self.http = httpx.Client(verify=self.context, timeout=120)

    def log_in(self, user: str) -> None:
        """Begin a session."""
        answer = self.http.post(
            f"{self.site.base}/api/v1/login",
            json={"link": self.site.link(user)},
            headers={"Origin": self.site.base, "Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 200, answer.text

    def log_out(self) -> None:
        """End the session."""
        headers = {"Origin": self.site.base, "Sec-Fetch-Site": "same-origin"}
        assert (
            self.http.post(f"{self.site.base}/api/v1/logout", headers=headers).status_code == 200
        )

    def visit(self, url: str, *, until: str = "") -> httpx.Response:
        """Follow links as a navigation does; `way` has the addresses. Stops before `until`."""
        self.way = [url]
        for _ in range(LONGEST_WAY):
            answer = self.http.get(self.way[-1], headers=NAVIGATION)
            if not answer.has_redirect_location:
                return answer
            self.way.append(str(answer.next_request.url if answer.next_request else ""))
            if until and until in self.way[-1]:
                return answer
        raise AssertionError(f"too many redirects: {self.way}")

    def fetch(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """A request of a page of the same origin."""
        origin = "/".join(url.split("/")[:3])
        own = {
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
        }
        if method not in {"GET", "HEAD"}:
            own["Origin"] = origin
        return self.http.request(method, url, headers={**own, **(headers or {})}, **body)

    def socket(self, label: str, origin: str | None = None) -> ClientConnection:
        """A WebSocket of an app's page."""
        url = f"{self.site.app(label)}/echo"
        cookies = self.http.cookies.jar
        request = self.http.build_request("GET", url)
        assert cookies is not None
        return connect(
            url.replace("https://", "wss://"),
            ssl=self.context,
            sock=socket.create_connection(("127.0.0.1", self.site.port)),
            additional_headers={
                "Origin": origin or self.site.app(label),
                "Cookie": request.headers.get("cookie", ""),
            },
            proxy=None,
        )


@pytest.fixture(scope="module")
def names_resolve() -> Iterator[None]:
    """Names below `.test` are this computer's, as a lab's DNS would say."""
    real = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return real("127.0.0.1" if str(name).endswith(".test") else host, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        yield


@contextlib.contextmanager
def behind_proxy(
    kind: str, folder: Path, files: tuple[Path, Path], public: int, port: int
) -> Iterator[None]:
    """Caddy or nginx with the configuration of `prism team setup`, in front of a port."""
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = files
    proxied = ProxiedDaemon(
        f"https://{HOST}:{public}", APPS, port, str(cert), str(key), str(folder / "access.log")
    )
    ours, whole = folder / "prism.conf", folder / "whole.conf"
    if kind == "caddy":
        ours.write_text(caddyfile(proxied))
        options = f"admin off\nauto_https disable_redirects\nstorage file_system {folder}/data"
        whole.write_text(f"{{\n{options}\n}}\nimport {ours}\n")
        command: list[object] = [find("caddy"), "run", "--config", whole, "--adapter", "caddyfile"]
    else:
        ours.write_text(nginx_conf(proxied))
        command = _nginx(folder, ours)
    with _running(command, folder, public):
        yield


def _nginx(folder: Path, ours: Path) -> list[object]:
    """The command that runs nginx with this file, and nothing outside the folder."""
    whole = folder / "whole.conf"
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    whole.write_text(
        f"{user}daemon off;\npid {folder}/pid;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\n{temporary}include {ours};\n}}\n"
    )
    return [find("nginx"), "-c", whole, "-e", folder / "error.log"]


@contextlib.contextmanager
def nginx_with(conf: str, folder: Path, public: int) -> Iterator[None]:
    """Nginx with a configuration that `prism team setup` has written."""
    folder.mkdir(parents=True)
    ours = folder / "prism.conf"
    ours.write_text(conf.replace("/var/log/nginx", str(folder)))
    with _running(_nginx(folder, ours), folder, public):
        yield


@contextlib.contextmanager
def _running(command: Sequence[object], folder: Path, public: int) -> Iterator[None]:
    """Run a proxy until the block ends."""
    with (folder / "output").open("w") as output:
        environ = {"HOME": str(folder), "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, env=environ
        )
    try:
        eventually(lambda: is_open(public) or process.poll() is not None, 60)
        assert process.poll() is None, (folder / "output").read_text()
        yield
    finally:
        process.terminate()
        process.wait(60)


def is_open(port: int) -> bool:
    """Whether something listens on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class TeamHome:
    """The home of a shared daemon, with its certificates; it may be served in several ways."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.home, self.authority = Home(folder / "home"), Authority(folder / "authority")
        self.files = self.authority.files(HOST, f"*.{APPS}")
        templates = self.home.folder / "templates"
        templates.mkdir()
        (templates / "served.yml").write_text(TEMPLATE)

    @contextlib.contextmanager
    def served(self, proxy: str = "", **environ: str) -> Iterator[TeamSite]:
        """Run the daemon, with TLS of its own or behind a proxy."""
        settings = {
            "PRISM_AUTH": "tokens",
            "PRISM_PUBLIC_URL": f"https://{HOST}:{self.port}",
            "PRISM_APPS_DOMAIN": APPS,
        }
        reached: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        cert, key = self.files
        if proxy:
            inner = free_port()
            settings |= {"PRISM_TRUSTED_PROXIES": "127.0.0.1", "PRISM_PORT": str(inner)}
            reached = behind_proxy(proxy, self.folder / proxy, self.files, self.port, inner)
        else:
            settings |= {"PRISM_TLS_CERT": str(cert), "PRISM_TLS_KEY": str(key)}
        with self.home.run_daemon(**settings | environ), reached:
            site = TeamSite(self.home, self.authority, self.port)
            with contextlib.closing(site):
                yield site


@contextlib.contextmanager
def shared_site(folder: Path, proxy: str = "", **environ: str) -> Iterator[TeamSite]:
    """A shared daemon with the workspace `mine` of Bob and of Carol, and a project of both."""
    team = TeamHome(folder)
    home = team.home
    try:
        with team.served(proxy, **environ) as site:
            home.client.projects.create("reef")
            for user in (BOB, CAROL):
                home.client.members.add("reef", user)
            for user in (BOB, CAROL):
                site.person(user).workspaces.launch("Served", "mine", project="reef")
            eventually(lambda: home.states() == ["running"] * 2, 120)
            for workspace in ("mine--bob", "mine--carol"):
                home.client.idle.keep_awake(workspace, 1440)
            yield site
    finally:
        home.clear()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, names_resolve: None) -> Iterator[TeamSite]:
    with shared_site(tmp_path_factory.mktemp("apps")) as shared:
        yield shared
