"""SSH into real workspaces of a real daemon, by OpenSSH's own clients."""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import termios
import threading
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import free_port
from tests.processes import with_name
from tests.project.home import Home
from tests.providers.local.world import World, page
from tests.waiting import eventually

pytestmark = pytest.mark.needs("ssh", "scp", "sftp", "rsync")

TEMPLATE = """
name: Page
description: Serves its home
packages: {pip: []}
ports: [8080]
services:
  page: {command: "python -m http.server {port} --bind 127.0.0.1", port: 8080, health: /}
"""
BIG = 12_000_000
MEGABYTE = 1 << 20


class SshDaemon:
    """A daemon with two workspaces, and the clients that enter them."""

    def __init__(self, home):
        self.home = home
        self.daemon = contextlib.ExitStack()

    def start(self):
        """Start the daemon."""
        self.process = self.daemon.enter_context(self.home.run_daemon())

    def restart(self):
        """End the daemon and start another."""
        self.daemon.close()
        self.start()

    def port(self, name="mine"):
        """The SSH port of a workspace; None while it is closed."""
        return self.home.client.workspaces.connect(name).ssh.port

    def page(self, name="mine"):
        """The port of its page on this computer."""
        url = self.home.client.workspaces.connect(name).services["page"].url
        return int(url.rpartition(":")[2])

    def options(self, port, *more, key=None):
        """Options with which OpenSSH trusts only the keys that Prism has pinned."""
        own = {
            "Port": port,
            "IdentityFile": key or self.home.folder / "ssh" / "id_ed25519",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.home.folder / "known_hosts",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        words = [f"-o{name}={value}" for name, value in own.items()]
        return ["-F", "none", *more, *words]

    def argv(self, *words, more=(), name="mine"):
        """A command line of `ssh`."""
        to = f"{name}@127.0.0.1"
        return ["ssh", *self.options(self.port(name), *more), to, *words]

    def ssh(self, *words, input=b"", **how):
        """Run `ssh` and return its result."""
        return subprocess.run(
            self.argv(*words, **how), input=input, capture_output=True, timeout=60
        )

    def refused_login(self, *more, to="mine", key=None):
        """The error output of a refused login."""
        argv = ["ssh", *self.options(self.port(), *more, key=key), f"{to}@127.0.0.1", "true"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 255
        return done.stderr

    def memory(self):
        """The memory of the daemon, in bytes."""
        return psutil.Process(self.process.pid).memory_info().rss

    def log(self):
        """The entries of the daemon's log."""
        lines = (self.home.folder / "log").read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def served_daemon(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("ssh") / "home")
    (home.folder / "templates").mkdir()
    (home.folder / "templates" / "page.yml").write_text(TEMPLATE)
    site = SshDaemon(home)
    try:
        site.start()
        for name in ("mine", "other"):
            home.client.workspaces.launch("Page", name)
        eventually(lambda: home.states() == ["running"] * 2, 120)
        eventually(lambda: site.port() and site.port("other"))
        yield site
    finally:
        site.daemon.close()
        home.clear()


@pytest.fixture
def begin_program():
    """Begin a program that does not end by itself."""
    running = []

    def begin(argv, **how):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(argv, **pipes | how))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()
        for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
            with contextlib.suppress(OSError):
                stream.close()


def test_command_has_input_both_outputs_and_an_exit_code(served_daemon):
    every = bytes(range(256))
    done = served_daemon.ssh("cat; echo wrong >&2; exit 7", input=every)
    assert (done.returncode, done.stdout, done.stderr) == (7, every, b"wrong\n")
    done = served_daemon.ssh('echo "$HOME"; command -v python')
    home, python = done.stdout.decode().split()
    assert home.endswith("/home")
    assert python == f"{Path(home).parent}/venv/bin/python"


def test_command_ends_without_waiting_for_background_processes(served_daemon, begin_program):
    done = served_daemon.ssh("sleep 30 & echo begun")
    assert (done.returncode, done.stdout) == (0, b"begun\n")
    assert served_daemon.ssh("pkill sleep").returncode == 0


def test_signal_that_ended_a_command_is_reported_to_the_client(served_daemon):
    done = served_daemon.ssh("kill -KILL $$", more=["-v"])
    assert done.returncode == 255
    assert b"exit-signal" in done.stderr


def test_command_ends_when_its_client_is_killed(served_daemon, begin_program):
    client = begin_program(served_daemon.argv("echo begun; sleep 4321; echo over"))
    assert client.stdout.readline() == b"begun\n"
    eventually(lambda: served_daemon.ssh("pgrep -f 'sleep 432[1]'").stdout)
    client.kill()
    eventually(lambda: not served_daemon.ssh("pgrep -f 'sleep 432[1]'").stdout)


class ClientTerminal:
    """A terminal with a program, as a person uses it."""

    def __init__(self, begun, argv):
        self.ours, theirs = os.openpty()
        self.resize(101, 33)
        os.set_blocking(self.ours, False)

        def seat():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        ends = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self.process = begun(argv, start_new_session=True, preexec_fn=seat, **ends)
        os.close(theirs)
        self.seen = b""

    def resize(self, columns, rows):
        """Change the size of the window."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys, until):
        """Type, and wait for this output; forget all output up to it."""
        os.write(self.ours, keys)

        def there():
            with contextlib.suppress(BlockingIOError):
                self.seen += os.read(self.ours, 65536)
            return until in self.seen

        try:
            eventually(there, 120)
        except AssertionError:
            raise AssertionError(f"{until!r} never came, but {self.seen!r}") from None
        self.seen = self.seen.partition(until)[2]


def test_terminal_can_be_resized_and_has_job_control(served_daemon, begin_program):
    screen = ClientTerminal(begin_program, served_daemon.argv(more=["-tt"]))
    screen.type(b"stty size; echo $((6 * 7))-at-home\n", b"42-at-home")
    # Systemd's profile writes marks of its own before each prompt and command.
    quiet = b"PS1=; unset PS0 PROMPT_COMMAND; stty size; command -v python\n"
    screen.type(quiet, b"33 101\r\n")
    screen.type(b"", b"/venv/bin/python")
    screen.resize(80, 24)
    # The new size arrives some time after the window has it.
    screen.type(
        b'until [ "$(stty size)" = "24 80" ]; do :; done; echo new"-"size\n', b"new-size\r\n"
    )
    before = found(served_daemon, "sleep")
    screen.type(b"echo $((40 + 4)); sleep 1000\n", b"44\r\n")
    eventually(
        lambda: {*found(served_daemon, "sleep")} - {*before}
    )  # a shell at work may lose the key
    screen.type(b"\x03echo code=$((100 + $?))\n", b"code=230")
    screen.type(b"cat\n", b"cat\r\n")
    screen.type(b"once\n", b"once\r\nonce\r\n")
    screen.type(b"\x1a", b"Stopped")
    screen.type(b"jobs; echo $((50 + 5))\n", b"55\r\n")
    screen.type(b"fg\n", b"\rcat\r\n")
    screen.type(b"twice\n", b"twice\r\ntwice\r\n")
    screen.type(b"\x04echo code=$((100 + $?))\n", b"code=100")
    screen.type(b"exit 3\n", b"exit")
    assert screen.process.wait(120) == 3
    os.close(screen.ours)


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("big") / "with a blank"
    file.write_bytes(os.urandom(BIG))
    return file


def copied(argv, path, another):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return path.read_bytes() == another.read_bytes()


@pytest.mark.parametrize("program", ["scp", "rsync"])
def test_file_is_uploaded_and_downloaded_unchanged(served_daemon, big_file, tmp_path, program):
    options = served_daemon.options(served_daemon.port())
    own = ["-e", " ".join(["ssh", *options])] if program == "rsync" else options
    [folder] = [
        path
        for path in served_daemon.home.folder.glob("workspaces/*/home")
        if owner_of(path.parent) == "mine"
    ]
    remote = f"mine@127.0.0.1:by-{program}"
    assert copied([program, *own, str(big_file), remote], big_file, folder / f"by-{program}")
    assert copied([program, *own, remote, str(tmp_path / "back")], big_file, tmp_path / "back")


def owner_of(folder):
    return json.loads((folder / "order.json").read_bytes())["name"]


def test_sftp_resumes_a_download_and_lists_files(served_daemon, tmp_path):
    part, whole = tmp_path / "part", os.urandom(3 * MEGABYTE)
    part.write_bytes(whole[:MEGABYTE])
    assert served_daemon.ssh("cat >resumed", input=whole).returncode == 0
    batch = f"reget resumed {part}\nmkdir f\nls -l\nrename f g\nrmdir g\n"
    argv = ["sftp", *served_daemon.options(served_daemon.port()), "-b", "-", "mine@127.0.0.1"]
    done = subprocess.run(argv, input=batch, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert part.read_bytes() == whole
    assert "resumed" in done.stdout


def test_sftp_follows_no_link_out_of_the_sandbox(served_daemon, tmp_path):
    (served_daemon.home.folder / "secret").write_text("of the daemon")
    assert (
        served_daemon.ssh(f"ln -sfn {served_daemon.home.folder} out; ln -sfn / all").returncode
        == 0
    )
    (tmp_path / "mine").write_text("planted")
    for way in (
        "out",
        f"all{served_daemon.home.folder}",
        f"..{'/..' * 9}{served_daemon.home.folder}",
    ):
        batch = f"-get {way}/secret {tmp_path}/got\n-put {tmp_path}/mine {way}/secret\n"
        argv = ["sftp", *served_daemon.options(served_daemon.port()), "-b", "-", "mine@127.0.0.1"]
        subprocess.run(argv, input=batch, capture_output=True, text=True, timeout=120)
        if (tmp_path / "got").exists():  # a planted file in a similar folder
            assert (tmp_path / "got").read_text() == "planted"
        assert (served_daemon.home.folder / "secret").read_text() == "of the daemon"


def test_forwarding_reaches_only_ports_of_its_own_workspace(served_daemon, begin_program):
    request = b"GET / HTTP/1.0\r\n\r\n"
    for port in (8080, served_daemon.page()):
        assert (
            b"200 OK" in served_daemon.ssh(more=["-W", f"localhost:{port}"], input=request).stdout
        )
    daemon = json.loads((served_daemon.home.folder / "daemon.lock").read_text())["port"]
    elsewhere = (
        f"localhost:{served_daemon.page('other')}",
        f"127.0.0.1:{daemon}",
        f"127.0.0.1:{served_daemon.port('other')}",
        "192.0.2.1:80",
        "example.org:80",
    )
    for place in elsewhere:
        done = served_daemon.ssh(more=["-W", place], input=request)
        assert (done.returncode, done.stdout) == (255, b""), place
        assert b"prohibited" in done.stderr
    local = free_port()
    begin_program(served_daemon.argv(more=["-N", "-L", f"{local}:localhost:8080"]))
    page = f"http://127.0.0.1:{local}/"
    assert eventually(lambda: httpx.get(page).status_code == 200, passing=(httpx.HTTPError,))
    done = served_daemon.ssh("true", more=["-R", "0:localhost:22", "-oExitOnForwardFailure=yes"])
    assert done.returncode == 255


def test_login_requires_the_key_and_the_name_of_the_workspace(served_daemon, tmp_path):
    key = tmp_path / "another"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    denied = "Permission denied (publickey)"
    assert denied in served_daemon.refused_login(key=key)
    assert denied in served_daemon.refused_login(to="other")
    assert denied in served_daemon.refused_login(to="root")
    assert denied in served_daemon.refused_login("-oPreferredAuthentications=password")
    refusals = [line for line in served_daemon.log() if "was refused" in line["message"]]
    assert {refusal["level"] for refusal in refusals} == {"warning"}
    assert "'root' came with another name" in refusals[-1]["message"]
    assert any("came with a key that is not ours" in refusal["message"] for refusal in refusals)
    assert not [line for line in served_daemon.log() if line["logger"].startswith("asyncssh")]


def test_client_rejects_another_host_key(served_daemon, tmp_path):
    key, known = tmp_path / "key", tmp_path / "known"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    known.write_text(f"[127.0.0.1]:{served_daemon.port()} {public}")
    error = served_daemon.refused_login(f"-oUserKnownHostsFile={known}")
    assert "Host key verification failed" in error


def test_ssh_port_is_closed_during_hibernation_and_the_same_after_resume(
    served_daemon, begin_program
):
    port = served_daemon.port()
    client = begin_program(served_daemon.argv("echo begun; sleep 1000"))
    assert client.stdout.readline() == b"begun\n"
    served_daemon.home.client.workspaces.hibernate("mine")
    eventually(lambda: "hibernated" in served_daemon.home.states(), 120)
    assert client.wait(120) == 255
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    served_daemon.home.client.workspaces.resume("mine")
    eventually(lambda: served_daemon.home.states() == ["running"] * 2, 120)
    eventually(lambda: served_daemon.port() == port)
    assert served_daemon.ssh("echo again").stdout == b"again\n"


def test_ssh_ports_and_keys_are_the_same_after_a_daemon_restart(served_daemon):
    doors = (served_daemon.port(), served_daemon.port("other"))
    pinned = (served_daemon.home.folder / "known_hosts").read_bytes()
    served_daemon.restart()
    eventually(lambda: (served_daemon.port(), served_daemon.port("other")) == doors)
    assert (served_daemon.home.folder / "known_hosts").read_bytes() == pinned
    assert served_daemon.ssh("echo again").stdout == b"again\n"
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in (served_daemon.home.folder / "ssh").iterdir()
    }
    assert {modes["id_ed25519"], modes["host_ed25519"]} == {0o600}


def test_hostile_clients_do_not_prevent_logins(served_daemon):
    before, port = served_daemon.memory(), served_daemon.port()
    with contextlib.ExitStack() as stack:
        for number in range(100):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            with contextlib.suppress(OSError):
                client.sendall((b"", b"SSH-2.0-x\r\n", os.urandom(300), b"\n" * 300)[number % 4])
        assert served_daemon.ssh("echo in").stdout == b"in\n"
        assert served_daemon.ssh("echo in", name="other").stdout == b"in\n"
    assert served_daemon.memory() - before < 64 * MEGABYTE
    assert served_daemon.home.answers()


def test_program_waits_for_a_slow_reader(served_daemon, begin_program):
    served_daemon.ssh("true")
    before = served_daemon.memory()
    client = begin_program(served_daemon.argv(f"head -c {100 * MEGABYTE} /dev/zero"))
    [head] = eventually(lambda: found(served_daemon, "head"))
    wait_until_constant(lambda: head.io_counters().write_chars)
    assert head.io_counters().write_chars < 24 * MEGABYTE
    assert served_daemon.memory() - before < 32 * MEGABYTE
    left = 100 * MEGABYTE
    while piece := client.stdout.read(MEGABYTE):
        left -= len(piece)
    assert (left, client.wait(120)) == (0, 0)
    assert served_daemon.memory() - before < 48 * MEGABYTE


def test_writer_waits_for_a_slow_program_and_loses_no_data(served_daemon, begin_program):
    served_daemon.ssh("rm -f go; mkfifo go")
    before, sent = served_daemon.memory(), 0
    client = begin_program(served_daemon.argv("read -r go <go; wc -c"), bufsize=0)
    os.set_blocking(client.stdin.fileno(), False)

    def write():
        nonlocal sent
        while True:
            try:
                sent += os.write(client.stdin.fileno(), bytes(MEGABYTE))
            except BlockingIOError:
                return sent

    wait_until_constant(write)
    assert sent < 24 * MEGABYTE
    assert served_daemon.memory() - before < 32 * MEGABYTE
    served_daemon.ssh("echo on >go")
    os.set_blocking(client.stdin.fileno(), True)
    client.stdin.close()
    assert int(client.stdout.read()) == sent


def found(site, program):
    """The processes of a program in the workspaces."""
    return with_name(site.home.processes(), program)


def wait_until_constant(number):
    """Wait until the number has not changed for a while."""
    seen = [number()]

    def same():
        seen.append(number())
        return len(seen) > 25 and len(set(seen[-25:])) == 1  # half a second

    eventually(same, 120)


def test_ended_sessions_leave_no_open_file(served_daemon):
    held = Path(f"/proc/{served_daemon.process.pid}/fd")
    sessions = 10

    def run_sessions():
        argv = served_daemon.argv("exit 5")
        batch = [subprocess.Popen(argv, stdin=subprocess.DEVNULL) for _ in range(sessions)]
        assert [client.wait(120) for client in batch] == [5] * sessions

    run_sessions()
    before = len(list(held.iterdir()))
    run_sessions()
    run_sessions()
    # A thread that first serves a session keeps its connection to the database.
    assert eventually(lambda: len(list(held.iterdir())) < before + sessions)


def test_missing_command_returns_127_with_a_message(served_daemon):
    done = served_daemon.ssh("no-such-program")
    assert (done.returncode, b"not found" in done.stderr) == (127, True)


def test_ssh_and_scp_work_without_a_sandbox(tmp_path, package_cache):
    world = World(tmp_path / "bare", package_cache, sandbox=False)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def live():
        async with world.compute.ssh.open():
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()))
    thread.start()
    try:
        id = world.launched(page())
        port = eventually(lambda: world.compute.access(id).ssh_port)
        bare = SshDaemon(Home(tmp_path / "none"))
        bare.home.folder = world.root.parent
        to = "mine@127.0.0.1"
        argv = ["ssh", *bare.options(port), to, "pwd; command -v python"]
        lines = subprocess.run(argv, capture_output=True, text=True, timeout=120).stdout.split()
        folder = world.root / id
        assert lines == [str(folder / "home"), str(folder / "venv" / "bin" / "python")]
        (tmp_path / "sent").write_bytes(os.urandom(MEGABYTE))
        argv = ["scp", *bare.options(port), str(tmp_path / "sent"), f"{to}:got"]
        assert copied(argv, tmp_path / "sent", folder / "home" / "got")
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(120)
        loop.close()
        world.close()
