"""A machine with OpenSSH's server on a loopback port, and a fake console."""

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.compute.console import Console
from prism.providers.aws.ssh.hostkeys import HostKeys
from prism.providers.aws.ssh.model import SshHost
from prism.providers.aws.ssh.pool import SshPool
from prism.providers.tunnels.forwards import Forwards
from tests.conftest import free_port
from tests.needs import require
from tests.optional import not_none
from tests.waiting import eventually

SSHD = "/usr/sbin/sshd"
by_root = pytest.mark.skipif(
    os.geteuid() != 0,
    reason="needs root: only an SSH server of root gives terminals, and reads its own processes",
)
ID = "i-0123456789abcdef0"
SERVICE = """
import http.server, socketserver, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{self.path} of {sys.argv[1]}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Page) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""


def keypair(path: Path) -> str:
    """A new ed25519 pair, made by OpenSSH; the public one as `known_hosts` has it."""
    for file in (path, path.with_suffix(".pub")):
        file.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


class Sshd:
    """The SSH server of one machine."""

    def __init__(self, folder: Path) -> None:
        require("sshd", "ssh-keygen")
        self.folder, self.port = folder, free_port()
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.key = folder / "id_ed25519"
        keypair(self.key)
        (folder / "authorized").write_text(self.key.with_suffix(".pub").read_text())
        self.host_key = keypair(folder / "host")
        if os.geteuid() != 0:  # as on the images, whose user may use it without a password
            self.program("sudo", '#!/bin/sh\nshift\nexec "$@"\n')
        self.process: subprocess.Popen[bytes] | None = None
        self.files = "internal-sftp"  # the SFTP server

    def start(self) -> None:
        """Start the server and wait until it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        config = self.folder / "config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nPidFile none\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\n"
            f"Subsystem sftp {self.files}\n"
            f"SetEnv PATH={self.bin}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin\n"
        )
        argv = [*self.within(), SSHD, "-D", "-f", str(config), "-E", str(self.folder / "log")]
        self.process = subprocess.Popen(argv, start_new_session=True)
        eventually(self._listens)

    def within(self) -> list[str]:
        """The first words of the command that starts the server."""
        return []

    def stop(self) -> None:
        """Stop the server and end its connections."""
        guests = self.guests()
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()
            self.process = None
        end(guests)

    def cut(self) -> None:
        """End the connections."""
        end(self.guests())

    def guests(self) -> list[psutil.Process]:
        """The server's processes for connections; they outlive it."""
        if self.process is None:
            return []
        return psutil.Process(self.process.pid).children(recursive=True)

    def change_key(self) -> None:
        """Another host key, from the next start on."""
        self.host_key = keypair(self.folder / "host")

    def program(self, name: str, text: str) -> None:
        """A program that this machine has, before those of the system."""
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill those that have not ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


ACCOUNTS = {"ubuntu": 2001, "researcher": 2002}


class PrivateHomes(Sshd):
    """A machine of two accounts that may not enter each other's home, as on Ubuntu (0750)."""

    def within(self) -> list[str]:
        """Mounts of its own, with the accounts, their homes and the key in both."""
        for name, line in (
            ("passwd", "{0}:x:{1}:{1}::/home/{0}:/bin/bash"),
            ("group", "{0}:x:{1}:"),
        ):
            own = [line.format(*pair) for pair in ACCOUNTS.items()]
            lines = [Path("/etc", name).read_text().rstrip("\n"), *own]
            (self.folder / name).write_text("\n".join(lines) + "\n")
        self.config("AuthorizedKeysFile .ssh/authorized_keys")
        steps = [f"mount --bind {self.folder}/{name} /etc/{name}" for name in ("passwd", "group")]
        steps.append("mount -t tmpfs -o mode=755 tmpfs /home")
        for name, id in ACCOUNTS.items():
            of = f"-o {id} -g {id}"
            steps.append(f"install -d -m 0750 {of} /home/{name}")
            steps.append(f"install -d -m 0700 {of} /home/{name}/.ssh")
            authorized = f"/home/{name}/.ssh/authorized_keys"
            steps.append(f"install -m 0600 {of} {self.folder}/authorized {authorized}")
        steps.append('exec "$@"')
        own = ["unshare", "--mount", "--propagation", "private"]
        return [*own, "sh", "-ec", "\n".join(steps), "sh"]

    def config(self, line: str) -> None:
        """Add a line at the beginning, where it takes precedence."""
        file = self.folder / "config"
        file.write_text(f"{line}\n{file.read_text()}")


class FakeConsoleCloud(Cloud):
    """A cloud that shows consoles only."""

    def __init__(self) -> None:
        self.consoles: dict[str, str] = {}
        self.asked: list[str] = []

    def call(self, service: str, action: str, /, **fields: Any) -> Answer:
        assert (service, action) == ("ec2", "GetConsoleOutput")
        self.asked.append(fields["InstanceId"])
        if (text := self.consoles.get(fields["InstanceId"])) is None:
            raise Missing("no such instance")
        return {"Output": text}


class PoolOfOneMachine:
    """A pool with one machine, as the daemon has it."""

    def __init__(self, folder: Path, sshd: Sshd, user: str | None = None, **how: Any) -> None:
        self.user = user or getpass.getuser()
        self.folder, self.sshd, self.cloud = folder, sshd, FakeConsoleCloud()
        self.console = Console(self.cloud)
        self.keys = HostKeys(folder / "hosts", self.console, port=sshd.port)
        self.hosts: dict[str, SshHost] = {}
        self.pool = SshPool(self, self.keys, **how)
        self.forwards = Forwards(self.pool)
        self.boot("first")
        self.tell(sshd.host_key)

    def host(self, id: str) -> SshHost | None:
        """Implements `SshHosts`."""
        return self.hosts.get(id)

    def boot(self, name: str, address: str = "127.0.0.1") -> None:
        """The machine is on since this boot."""
        self.hosts[ID] = SshHost(
            id=ID,
            workspace="ws_1",
            name="mine",
            address=address,
            user=self.user,
            key=self.sshd.key,
            boot=name,
        )

    def tell(self, host_key: str) -> None:
        """Show a host key on the console."""
        self.cloud.consoles[ID] = f"boot\nci-info: prism-boot: hostkey {host_key}\r\nmore\n"
        self.console._texts.clear()

    def settle(self) -> None:
        """What the daemon calls after each survey."""
        self.pool.settle(self.hosts.values())
        self.forwards.settle(self.hosts)

    def close(self) -> None:
        self.forwards.close()
        self.pool.close()


class Service:
    """A web server on a loopback port."""

    def __init__(self, word: str) -> None:
        argv = [sys.executable, "-c", SERVICE, word]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.port = int(not_none(self.process.stdout).readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        not_none(self.process.stdout).close()
