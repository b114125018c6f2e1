"""A lab server: OpenSSH's server with an account without any right, in mounts of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.conftest import free_port
from tests.needs import require
from tests.providers.aws.ssh_machine import SSHD, keypair
from tests.waiting import eventually

USER = "researcher"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@contextlib.contextmanager
def running_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator["Lab"]:
    """A server that runs, and the home of the person."""
    folder = Path(tempfile.mkdtemp(prefix="prism-lab-"))  # not in pytest's, which is closed
    folder.chmod(0o755)  # the account passes through
    machine = Lab(folder / "lab")
    monkeypatch.setenv("HOME", str(machine.person))
    machine.start()
    try:
        yield machine
    finally:
        machine.close()
        shutil.rmtree(folder)


class Lab:
    """The server, and the `~/.ssh` of a person who logs in to it as `gpu1`."""

    def __init__(self, folder: Path, name: str = "gpu1", person: Path | None = None) -> None:
        """`person` is the home of a person who has a server already."""
        require("sshd", "ssh-keygen", "bwrap")
        self.folder, self.port, self.name = folder, free_port(), name
        self.uid = 100_000 + self.port  # of this server only: tests run side by side
        self.home = folder / "home"  # of the account there
        self.person = person or folder / "person"  # the home of the person here
        self.ssh = self.person / ".ssh"
        for path in (self.home, self.ssh):
            path.mkdir(parents=True, exist_ok=True)
        os.chown(self.home, self.uid, self.uid)
        self.path = SYSTEM_PATH
        self.variables = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("SSL_", "UV_")) or name.lower().endswith("_proxy")
        }
        # More than this computer may have: it is the tests that say what there is.
        self.variables |= {"PRISM_SERVER_CPUS": "64", "PRISM_SERVER_MEMORY_GB": "256"}
        self.shell = "/bin/bash"
        self.settings: list[str] = []
        self.gpus: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        key = self.ssh / f"id_{name}"
        keypair(key)
        (folder / "authorized").write_text(key.with_suffix(".pub").read_text())
        self.host_key = keypair(folder / "host")
        lines = (
            f"Host {name} {name}.lab {name}.",
            f"HostName 127.0.0.1\n  Port {self.port}\n  User {USER}",
            f"IdentityFile {key}\n  UserKnownHostsFile {self.ssh}/known_hosts\n",
        )
        with (self.ssh / "config").open("a") as config:
            config.write("\n  ".join(lines))
        self.trust()

    def plug_in(self, count: int) -> None:
        """GPUs of the server: a program that answers as `nvidia-smi` of NVIDIA does.

        The programs that use them are in the file `programs`, a line for each.
        """
        tools = self.folder / "tools"
        tools.mkdir(exist_ok=True)
        (self.folder / "programs").touch()
        own = f"{uuid4()}"[8:]  # names of sockets in the kernel say who has one: not another test
        self.gpus = [f"GPU-{number:08x}{own}" for number in range(count)]
        listed = "\\n".join(f"{gpu}, NVIDIA A100-SXM4-40GB, 40960" for gpu in self.gpus)
        script = tools / "nvidia-smi"
        script.write_text(
            "#!/bin/sh\n"
            'case "$1" in\n'
            f"  --query-gpu=uuid,name,memory.total) printf '{listed}\\n' ;;\n"
            f"  --query-compute-apps=gpu_uuid,pid) cat {self.folder}/programs ;;\n"
            "  *) echo 'ERROR: Option is not recognized.'; exit 2 ;;\n"
            "esac\n"
        )
        script.chmod(0o755)
        self.path = f"{tools}:{SYSTEM_PATH}"

    def use(self, gpu: str) -> None:
        """Somebody outside of Prism starts a program on a GPU."""
        (self.folder / "programs").write_text(f"{gpu}, 4242\n")

    def share(self, other: "Lab") -> None:
        """Be the other one's account and home, as on servers with a common home."""
        self.stop()
        self.home, self.uid = other.home, other.uid

    def trust(self) -> None:
        """Let the person know the host key, as after `ssh gpu1`."""
        known = self.ssh / "known_hosts"
        lines = known.read_text().splitlines() if known.exists() else []
        own = f"[127.0.0.1]:{self.port} "
        other_lines = [line for line in lines if not line.startswith(own)]
        known.write_text("\n".join([*other_lines, f"{own}{self.host_key}"]) + "\n")

    def start(self) -> None:
        """Start the server and wait until it listens."""
        Path("/run/sshd").mkdir(exist_ok=True)
        variables = " ".join(f"{name}={value}" for name, value in self.variables.items())
        (self.folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nPidFile none\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\n"
            f"MaxStartups 100\nSetEnv PATH={self.path} {variables}\n" + "\n".join(self.settings)
        )
        if self.process is not None and self.process.poll() is None:
            raise AssertionError("it runs already")
        self.process = subprocess.Popen(self._command(), start_new_session=True)
        eventually(self._listens)

    def _command(self) -> list[str]:
        lines = {
            "passwd": f"{USER}:x:{self.uid}:{self.uid}::/home/{USER}:{self.shell}",
            "group": f"{USER}:x:{self.uid}:",
        }
        for name, line in lines.items():
            known = Path("/etc", name).read_text().rstrip("\n")
            (self.folder / name).write_text(f"{known}\n{line}\n")
        steps = [f"mount --bind {self.folder}/{name} /etc/{name}" for name in lines]
        steps += [
            "mount -t tmpfs -o mode=755 tmpfs /home",
            f"mkdir /home/{USER}",
            f"mount --bind {self.home} /home/{USER}",
        ]
        if Path("/dev/net/tun").exists():
            steps.append("mount -t tmpfs -o mode=755 tmpfs /dev/net")
            steps.append("mknod -m 666 /dev/net/tun c 10 200")
        sshd = f"{SSHD} -D -f {self.folder}/config -E {self.folder}/log"
        steps.append(f"echo {self.name} >/proc/sys/kernel/hostname")
        own = ["unshare", "--mount", "--uts", "--propagation", "private"]
        return [*own, "sh", "-ec", "\n".join([*steps, f"exec {sshd}"])]

    def stop(self) -> None:
        """Stop the server and end its connections; what runs for the account goes on."""
        if self.process is None:
            return
        guests = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()
        self.process = None
        for guest in guests:
            if guest.is_running() and "sshd" in guest.name():
                guest.kill()

    def programs(self) -> list[psutil.Process]:
        """Everything that runs for the account."""
        return [each for each in psutil.process_iter() if self._runs(each)]

    def reboot(self) -> None:
        """End everything of the account; all reports are of another boot than the present one.

        Another file over the kernel's own would prevent sandboxes, so the reports are changed.
        """
        self.stop()
        self.end_programs()
        for path in self.home.glob(".prism-server/workspaces/*/seen.json"):
            report = json.loads(path.read_text())
            if report["phase"] == "gone":
                continue
            assert report["boot"] == Path(BOOT_ID).read_text().strip()
            path.write_text(json.dumps({**report, "boot": "before"}))
        self.start()

    def end_programs(self) -> None:
        """Kill everything that runs for the account."""
        while left := self.programs():
            for program in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    program.kill()
            psutil.wait_procs(left, 5)

    def change_key(self) -> None:
        """Another host key, from the next start on."""
        (self.folder / "host").unlink()
        self.host_key = keypair(self.folder / "host")

    def close(self) -> None:
        """End everything."""
        self.stop()
        self.end_programs()
        shutil.rmtree(self.home, ignore_errors=True)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _runs(self, process: psutil.Process) -> bool:
        try:
            is_ours = process.uids().real == self.uid
            return is_ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
