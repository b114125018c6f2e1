"""Every way into a workspace from another computer, which reaches only port 443 of the server.

Two network namespaces with an Ethernet pair between them are the two computers. On the server, a
proxy with TLS passes on what comes to the daemon's port, which listens on loopback.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time

import pytest

from prism.errors import AlreadyExists
from tests.connections.conftest import TEMPLATE
from tests.daemons import BIN
from tests.needs import skip_outside_ci
from tests.optional import not_none
from tests.project.home import Home
from tests.tls import Authority
from tests.waiting import eventually

pytestmark = [
    pytest.mark.needs("ip", "nsenter", "unshare", "ssh", "rsync"),
    pytest.mark.xdist_group("laptop"),
]
SERVER, LAPTOP, PORT, TLS_PORT = "192.0.2.1", "192.0.2.2", "8947", "443"
NAME = "prism.example.org"
MEGABYTES = 100
SOON = 2.0  # seconds
TLS_PROXY = """
import asyncio, ssl, sys

async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def serve(reader, writer):
    far = await asyncio.open_connection("127.0.0.1", int(sys.argv[5]))
    await asyncio.gather(carry(reader, far[1]), carry(far[0], writer))

async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*sys.argv[1:3])
    await asyncio.start_server(serve, sys.argv[3], int(sys.argv[4]), ssl=context)
    print("listens", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
CONNECT = """
import socket, sys
for port in sys.argv[2:]:
    try:
        socket.create_connection((sys.argv[1], int(port)), 5).close()
        print(port)
    except OSError:
        pass
"""


@contextlib.contextmanager
def computer():
    """New namespaces of networks and mounts; yields the words that run a command in them."""
    holder = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "infinity"])
    try:
        own = os.readlink("/proc/self/ns/net")
        network = f"/proc/{holder.pid}/ns/net"
        eventually(lambda: os.readlink(network) != own)
        mounts = f"--mount=/proc/{holder.pid}/ns/mnt"
        run = [not_none(shutil.which("nsenter")), f"--net={network}", mounts]
        subprocess.run([*run, "ip", "link", "set", "lo", "up"], check=True)
        yield holder.pid, run
    finally:
        holder.kill()
        holder.wait()


@contextlib.contextmanager
def running(command):
    """A program that prints a line once it listens."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        try:
            assert not_none(program.stdout).readline() == b"listens\n"
            yield
        finally:
            program.kill()


class Lab:
    """A daemon with the member Bob, and his laptop."""

    def __init__(self, home, server, laptop, folder, authority):
        self.home, self.server, self.laptop, self.folder = home, server, laptop, folder
        self.token, self.authority = "", authority

    def environ(self):
        plain = {k: v for k, v in os.environ.items() if not k.startswith("PRISM_")}
        return plain | {
            "HOME": str(self.folder),
            "PRISM_HOME": str(self.folder / "prism"),
            "PRISM_PORT": "1",
            "PRISM_URL": f"https://{NAME}",
            "SSL_CERT_FILE": str(self.authority),
            "PRISM_TOKEN": self.token,
            "PYTHONUNBUFFERED": "1",
        }

    def __call__(self, *command, **more):
        """Run a command on the laptop to its end."""
        return subprocess.run(
            [*self.laptop, *command],
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=300,
            **more,
        )

    def prism(self, *words, **more):
        return self(str(BIN / "prism"), *words, **more)

    @contextlib.contextmanager
    def begin(self, *words):
        """Run a command of Prism on the laptop until the block ends."""
        with subprocess.Popen(
            [*self.laptop, str(BIN / "prism"), *words],
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def join(self, person):
        """A new token of a person, who becomes a member."""
        with contextlib.suppress(AlreadyExists):
            self.home.client.members.add("reef", f"{person}@x.org", role="member")
        minted = self.home.cli_json("token", "create", person, "--user", f"{person}@x.org")
        self.token = minted["token"]
        return minted["id"]


def check_daemon(home, holder, server):
    """Whether the daemon that answers is the one of the server, and listens at its port.

    A command starts another daemon if the first has ended: outside, where no proxy finds it.
    """
    pid = json.loads((home.folder / "daemon.lock").read_text())["pid"]
    log = (home.folder / "log").read_text()[-3000:]
    answering, server_network = (
        os.readlink(f"/proc/{process}/ns/net") for process in (pid, holder)
    )
    assert answering == server_network, f"another daemon answers:\n{log}"
    done = subprocess.run(
        [*server, str(BIN / "python"), "-c", CONNECT, "127.0.0.1", PORT],
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [PORT], f"it does not listen at its port:\n{log}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    if os.geteuid() != 0:
        skip_outside_ci("root, for network namespaces")
    folder = tmp_path_factory.mktemp("laptop")
    home = Home(folder / "server")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "served.yml").write_text(TEMPLATE)
    home.environ |= {
        "PRISM_AUTH": "tokens",
        "PRISM_PORT": PORT,
        "PRISM_PUBLIC_URL": f"https://{NAME}",
    }
    authority = Authority(folder / "authority")
    certificate, key = (str(file) for file in authority.files(NAME))
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{SERVER} {NAME}\n")
    with computer() as (holder, server), computer() as (pid, laptop):
        for run, words in (
            (server, f"link add prism0 type veth peer name prism0 netns {pid}"),
            (server, f"address add {SERVER}/24 dev prism0"),
            (laptop, f"address add {LAPTOP}/24 dev prism0"),
            (server, "link set prism0 up"),
            (laptop, "link set prism0 up"),
        ):
            subprocess.run([*run, "ip", *words.split()], check=True)
        subprocess.run(
            [*laptop, "mount", "--bind", str(folder / "hosts"), "/etc/hosts"], check=True
        )
        (folder / "bob").mkdir()
        proxy = [str(BIN / "python"), "-c", TLS_PROXY, certificate, key, SERVER, TLS_PORT, PORT]
        try:
            with home.run_daemon([*server, str(BIN / "prismd")]), running([*server, *proxy]):
                home.client.projects.create("reef")
                lab = Lab(home, server, laptop, folder / "bob", authority.file)
                lab.join("bob")
                check_daemon(home, holder, server)
                launched = lab.prism("launch", "Served", "mine", "--project", "reef")
                assert launched.returncode == 0, launched.stderr
                yield lab
        finally:
            home.clear()


@pytest.fixture(autouse=True)
def bob(lab):
    """Each test begins with a token of Bob's own."""
    lab.join("bob")


def test_exec_and_ssh_keep_output_and_exit_code(lab):
    done = lab.prism("exec", "mine", "--", "sh", "-c", "cat; echo oops >&2; exit 7", input="in")
    assert (done.returncode, done.stdout) == (7, "in")
    assert "oops" in done.stderr
    done = lab.prism("ssh", "mine", "--", "echo $((6 * 7))")
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr


def test_ssh_of_the_laptop_reaches_the_workspace_by_its_name(lab):
    written = lab.prism("ssh-config", "--write", "--yes")
    assert written.returncode == 0, written.stderr
    config = str(lab.folder / "prism" / "ssh" / "config")
    done = lab("ssh", "-F", config, "mine.prism", "echo hello from $0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello from")
    assert lab.token not in (lab.folder / "prism" / "ssh" / "config").read_text()


def test_copies_of_100_mb_have_equal_checksums(lab):
    data = secrets.token_bytes(MEGABYTES * 1_000_000)
    (lab.folder / "there").write_bytes(data)
    source, target = str(lab.folder / "there"), str(lab.folder / "back")
    for words in ((source, "mine:here"), ("mine:here", target)):
        done = lab.prism("cp", *words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["by"] == "rsync"
    assert hashlib.sha256((lab.folder / "back").read_bytes()).digest() == (
        hashlib.sha256(data).digest()
    )
    in_workspace = lab.prism("exec", "mine", "--", "sha256sum", "here").stdout.split()[0]
    assert in_workspace == hashlib.sha256(data).hexdigest()
    for name in ("there", "back"):
        (lab.folder / name).unlink()


def test_copy_without_openssh_and_rsync(lab):
    """Prism's own clients take the same way."""
    (lab.folder / "small").write_text("small")
    folder = lab.folder / "bin"
    folder.mkdir(exist_ok=True)
    path = lab.environ() | {"PATH": str(folder)}
    python = str(BIN / "python")
    small = str(lab.folder / "small")
    for words in (("cp", small, "mine:small"), ("exec", "mine", "--", "cat", "small")):
        done = subprocess.run(
            [*lab.laptop, python, "-P", "-m", "prism.cli.main", *words],
            env=path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == "small"


def test_tunnel_leads_to_a_service(lab):
    with lab.begin("tunnel", "mine", "18501:8501", "--json") as process:
        lines = ""
        while not lines.rstrip().endswith("]"):
            lines += not_none(process.stdout).readline()
        assert json.loads(lines)[0]["url"].startswith("http://127.0.0.1:18501")
        get = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:18501/page').status)"
        for _ in range(3):
            done = lab(str(BIN / "python"), "-c", get)
            assert done.stdout == "200\n", done.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_tunnel_prints_addresses_of_this_computer_and_open_leads_to_it(lab):
    with lab.begin("tunnel", "mine", "18888:8888") as process:
        line = not_none(process.stdout).readline()
        assert line.startswith("http://127.0.0.1:18888"), line
        assert line.endswith("  is page of mine\n")
    done = lab.prism("open", "mine")
    assert done.returncode != 0
    assert "`prism tunnel mine`" in done.stderr
    assert "127.0.0.1" not in done.stdout + done.stderr
    assert "`prism tunnel mine` and `prism ssh mine`" in lab.prism("connect", "mine").stderr


def test_tunnel_to_a_stopped_workspace_says_so(lab):
    with lab.begin("tunnel", "mine", "18888:8888") as process:
        assert not_none(process.stdout).readline()
        assert lab.home.cli("stop", "mine").returncode == 0
        get = "import urllib.request as u; u.urlopen('http://127.0.0.1:18888/page')"
        assert lab(str(BIN / "python"), "-c", get).returncode == 1
        errors = ""
        while "is stopped" not in errors:
            errors += not_none(process.stderr).readline()
        assert lab.home.cli("start", "mine").returncode == 0
        eventually(lambda: lab(str(BIN / "python"), "-c", get).returncode == 0, 60)


def test_only_the_port_of_the_proxy_is_reachable(lab):
    """The SSH port and those of services and of the daemon are not."""
    access = lab.home.client.workspaces.connect("mine")
    ports = [str(access.ssh.port), "8888", "8501", PORT, TLS_PORT]
    done = lab(str(BIN / "python"), "-c", CONNECT, SERVER, *ports)
    assert done.stdout.split() == [TLS_PORT]


@pytest.mark.parametrize("end", ["token revoked", "member removed"])
def test_session_ends_at_once_with_the_right_to_it(lab, end):
    id = lab.join("eve")
    lab.home.client.members.change("reef", "eve@x.org", "admin")
    line = "echo begun; exec sleep 600"
    with lab.begin("exec", "mine", "--", "sh", "-c", line) as process:
        assert not_none(process.stdout).readline() == "begun\n"
        if end == "token revoked":
            lab.home.client.tokens.revoke(id)
        else:
            lab.home.client.members.remove("reef", "eve@x.org")
        began = time.monotonic()
        assert process.wait(60) == 255
        assert time.monotonic() - began < SOON
    again = lab.prism("exec", "mine", "--", "true")
    assert again.returncode != 0
    assert lab.token not in again.stderr


def test_wrong_token_is_an_error_that_says_what_helps(lab):
    lab.token = "prism_tok_1.x"
    done = lab.prism("exec", "mine", "--", "true")
    assert (done.returncode, "The token is not valid" in done.stderr) == (1, True), done.stderr
