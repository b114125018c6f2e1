"""The image of `deploy/Containerfile`: built, and run with the settings of the compose file.

There is no registry, so the base is a Debian by debootstrap under the name that the file gives.
Processes of buildah's containers have their own files and user, and this computer's network.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest

from tests.bare.bootstrap import bootstrap
from tests.bare.source import pack_source
from tests.conftest import free_port
from tests.daemon.test_upgrade import compose_file, settings_of_compose
from tests.processes import with_words
from tests.project.tree import ROOT
from tests.proofs import record
from tests.providers.aws.machine.cloudinit.debian import lacking
from tests.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("buildah", "initdb"),
    pytest.mark.timeout(3600),  # debootstrap, npm and all downloads
    pytest.mark.skipif(bool(lacking()), reason=lacking() or "one can be made"),
]
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
OPERATOR, PUBLIC = "ada@example.org", "https://prism.example.org"
HOME = "/var/lib/prism"
CHROOT = ["--isolation", "chroot"]  # runc and crun need rights that a container lacks
LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


class Buildah:
    """A store of images and containers in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._argv = ["buildah", "--root", f"{folder}/store", "--runroot", f"{folder}/run"]
        # It would raise them, which needs a right that a container lacks.
        own = {name: resource.getrlimit(limit) for name, limit in LIMITS.items()}
        self.limits = [f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in own.items()]

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self._argv, *words], capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {(done.stdout + done.stderr)[-5000:]}"
        return done.stdout.strip()

    def make_base(self, name: str) -> None:
        """Store a Debian as the base of the image."""
        container = self("from", "scratch")
        bootstrap(Path(self("mount", container)), "trixie", "ca-certificates")
        self("umount", container)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self("config", "--env", f"PATH={path}", container)
        self("commit", "--quiet", container, f"docker.io/library/{name}")
        self("rm", container)

    def build(self) -> None:
        """Build the image from what git knows of the sources."""
        context = self.folder / "context"
        context.mkdir()
        pack_source(self.folder / "source.tar", with_gui=False)
        shutil.unpack_archive(self.folder / "source.tar", context, filter="fully_trusted")
        file = str(context / CONTAINERFILE.relative_to(ROOT))
        words = [*CHROOT, *self.limits, "--pull=never", "--network=host", "--file", file]
        self("build", *words, "--tag", "prism", str(context))

    def command(self, container: str, options: Sequence[str], *words: str) -> list[str]:
        """The command that runs a program in a container."""
        argv = [*self._argv, "run", *CHROOT, "--network=host", *options, container]
        return [*argv, "--", *words] if words else argv


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    """A store with the image."""
    with tempfile.TemporaryDirectory(prefix="prism-image-", dir="/var/tmp") as name:
        store = Buildah(Path(name))
        try:
            store.make_base(re.findall("^FROM (.+)$", CONTAINERFILE.read_text(), re.MULTILINE)[0])
            store.build()
            yield store
        finally:
            store("rm", "--all")
            store("rmi", "--all", "--force")


class Container:
    """A container of the image, with a home that outlasts it."""

    def __init__(self, buildah: Buildah, home: Path, environ: dict[str, str], folder: str) -> None:
        self.port = int(environ["PRISM_PORT"])
        self._buildah = buildah
        self._id = buildah("from", *buildah.limits, "--pull=never", "localhost/prism")
        volumes = [f"--volume={home}:{HOME}", f"--volume={folder}:{folder}"]
        self._options = [*volumes, *(f"--env={name}={text}" for name, text in environ.items())]
        described = json.loads(buildah("inspect", self._id))
        argv = self.command(*described["OCIv1"]["config"]["Cmd"])
        self._log = home.parent / f"{home.name}.log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)

    def command(self, *words: str) -> list[str]:
        return self._buildah.command(self._id, self._options, *words)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the container, by its user."""
        return subprocess.run(self.command(*words), capture_output=True, text=True)

    def daemon(self) -> psutil.Process:
        """The process of the daemon."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        [daemon] = [each for each in with_words(children, "/bin/prismd") if not each.children()]
        return daemon

    def ask(self, path: str, **headers: str) -> httpx.Response:
        """A request as Caddy sends it."""
        proxied = {"Host": "prism.example.org", "X-Forwarded-Proto": "https"}
        return httpx.get(
            f"http://127.0.0.1:{self.port}{path}", headers=proxied | headers, timeout=60
        )

    def is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return self.ask("/readyz").status_code == 200
        return False

    def remove(self) -> None:
        """End the daemon as Docker does, and remove the container with its files."""
        if self.process.poll() is None:
            self.daemon().send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0, self._log.read_text()[-3000:]
        self._buildah("rm", self._id)


@contextmanager
def running(
    buildah: Buildah, home: Path, environ: dict[str, str], folder: str
) -> Iterator[Container]:
    """A container whose daemon is ready."""
    container = Container(buildah, home, environ, folder)
    try:
        eventually(lambda: container.is_ready() or container.process.poll() is not None, 120)
        assert container.process.poll() is None, "it ended; its log follows"
        yield container
    finally:
        container.remove()


def settings_of(database: str) -> dict[str, str]:
    """Those of the compose file, with the network and the database of this computer."""
    settings: dict[str, str] = settings_of_compose()
    return settings | {
        "PRISM_DATABASE_URL": database,
        "PRISM_PORT": str(free_port()),
        "PRISM_PUBLIC_URL": PUBLIC,
        "PRISM_TRUSTED_PROXIES": "127.0.0.0/8",
        "PRISM_USER": OPERATOR,
    }


def make_home(buildah: Buildah, name: str) -> Path:
    """A volume as Docker makes it: with the owner and mode of the folder in the image."""
    container = buildah("from", "--pull=never", "localhost/prism")
    inside = Path(buildah("mount", container) + HOME).stat()
    buildah("rm", container)
    home = buildah.folder / name
    home.mkdir(mode=0o700)
    os.chown(home, inside.st_uid, inside.st_gid)
    return home


def identity_of(home: Path) -> str:
    """The identity of a home, which its daemon wrote there."""
    identity: str = json.loads((home / "home.json").read_text())["id"]
    return identity


def test_two_containers_serve_one_database_and_one_is_replaced(buildah, copy_database):
    began = time.monotonic()
    database = copy_database("template1", "containers")
    [folder] = parse_qs(urlsplit(database).query)["host"]
    os.chmod(folder, 0o711)  # the image's user reaches the socket of PostgreSQL
    first_home, second_home = make_home(buildah, "home-1"), make_home(buildah, "home-2")
    with ExitStack() as stack:
        second = stack.enter_context(running(buildah, second_home, settings_of(database), folder))
        with running(buildah, first_home, settings_of(database), folder) as first:
            token = require_safe(first)
            created = first.run("prism", "project", "create", "reef", "--json")
            assert created.returncode == 0, created.stderr
            uid = first.daemon().uids().real
        assert second.is_ready(), "one serves while the other is replaced"
        identity = identity_of(first_home)
        with running(buildah, first_home, settings_of(database), folder) as again:
            for container in (second, again):
                answer = container.ask("/api/v1/projects", Authorization=f"Bearer {token}")
                assert [project["name"] for project in answer.json()] == ["reef"]
            assert identity_of(first_home) == identity, "the home is on the volume"
    image = json.loads(buildah("images", "--json"))
    [size] = [each["size"] for each in image if "localhost/prism:latest" in (each["names"] or ())]
    record(
        "The image of the container file",
        f"Built by buildah on a Debian 13 by debootstrap ({size}), and run twice with the "
        "settings of the compose file on one PostgreSQL, with files, user and mounts of its own "
        f"(uid {uid}), but the network of the computer. One was replaced by a new container on "
        f"the same volume while the other one served: {time.monotonic() - began:.0f} s.",
    )


def require_safe(container: Container) -> str:
    """What a container shows to whom, and what its user may do; a token of the operator."""
    assert container.daemon().uids().real != 0
    assert container.run("touch", "/opt/prism/x", "/usr/x").returncode != 0
    *words, program = compose_file()["x-daemon"]["healthcheck"]["test"][1:]
    program = program.replace("8947", f"{container.port}")
    assert container.run(*words, program).returncode == 0
    assert container.ask("/healthz").text.strip() == "ok"
    assert container.ask("/api/v1/projects").status_code == 401
    page = container.ask("/")
    assert page.status_code == 200 and "<title>" in page.text, "the GUI is built"
    link = container.run("prism", "login-link", "bob@example.org")
    assert link.stdout.startswith(PUBLIC), link.stderr
    created = container.run("prism", "token", "create", "x", "--scope", "admin", "--json")
    assert created.returncode == 0, created.stderr
    token: str = json.loads(created.stdout)["token"]
    assert container.ask("/api/v1/me", Authorization=f"Bearer {token}").json()["user"] == OPERATOR
    return token
