"""A home of an ordinary user, also if the tests run as root: a daemon without any privilege."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess, Popen

from tests.daemons import BIN, Fork
from tests.project.home import Home

NOBODY = 65534
TUN = Path("/dev/net/tun")
FOR_ALL = "mount -t tmpfs -o mode=755 tmpfs /dev/net; mknod -m 666 /dev/net/tun c 10 200"


def as_ordinary(command: Sequence[str | Path]) -> list[str]:
    """The command, run by an ordinary user."""
    if os.geteuid() != 0:
        return [*map(str, command)]
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *user, "--", *map(str, command)]


def with_tun(command: Sequence[str]) -> list[str]:
    """The command, in a namespace with a `/dev/net/tun` for all as Debian has it."""
    if os.geteuid() != 0 or not TUN.exists() or TUN.stat().st_mode & 0o666 == 0o666:
        return [*command]
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-ec"]
    return [*own, f'{FOR_ALL}; exec "$0" "$@"', *command]


def can_be_ordinary() -> bool:
    """Whether such a user can run Prism from here, in a sandbox."""
    if sys.platform != "linux" or not shutil.which("bwrap"):
        return False
    trial = "bwrap --unshare-pid --ro-bind / / --proc /proc " + f"{BIN}/python -c 'import prism'"
    done = subprocess.run(as_ordinary(["/bin/sh", "-c", trial]), capture_output=True)
    return done.returncode == 0


@contextlib.contextmanager
def ordinary_home() -> "Iterator[OrdinaryHome]":
    """A home that belongs to that user, until the block ends."""
    place = Path(tempfile.mkdtemp(prefix="prism-ordinary-"))
    home = OrdinaryHome(place / "home")
    if os.geteuid() == 0:
        for path in (place, home.folder):
            os.chown(path, NOBODY, NOBODY)
    try:
        yield home
    finally:
        home.clear()
        shutil.rmtree(place)


class OrdinaryHome(Home):
    """A home whose daemon and commands run as the ordinary user."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environ |= {"HOME": str(folder.parent), "USER": "ordinary", "LOGNAME": "ordinary"}

    @contextlib.contextmanager
    def run_daemon(
        self, program: Sequence[str | Path] = (BIN / "prismd",), **environ: str
    ) -> Iterator[Fork | Popen[bytes]]:
        """A daemon, until the block ends, with a `/dev/net/tun` for all."""
        with super().run_daemon(with_tun(as_ordinary(program)), **environ) as process:
            yield process

    def answers(self) -> bool:
        """Whether a daemon listens; a client of ours would refuse another user's daemon."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
            door.connect(str(self.folder / "prism.sock"))
            return '"url"' in (self.folder / "daemon.lock").read_text()
        return False

    def cli(self, *words: str, input: str | None = None, **environ: str) -> CompletedProcess[str]:
        """Run the real command."""
        return subprocess.run(
            as_ordinary([BIN / "prism", *words]),
            env=self.environ | environ,
            capture_output=True,
            text=True,
            input=input,
        )

    def program(self, code: str, *words: str) -> Popen[str]:
        """A program of that user, outside of every sandbox; the caller ends it."""
        return subprocess.Popen(
            as_ordinary([sys.executable, "-c", code, *words]),
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
