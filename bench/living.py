"""Daemons to measure: begun in a home of their own, ended whatever happens."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from load import Connection

BIN = Path(sys.executable).parent
IN_MEMORY = (sys.executable, str(Path(__file__).with_name("daemon.py")))
REAL = (str(BIN / "prismd"),)


class Daemon:
    """A running daemon; how long it took until it answered, and how long it computed, in ms."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        environ: dict[str, str],
        port: int,
        took: float,
        spent: float,
    ) -> None:
        self.process, self.environ, self.port = process, environ, port
        self.took, self.spent = took, spent

    @property
    def rss(self) -> float:
        """Memory, in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


@contextmanager
def home() -> Iterator[Path]:
    """A folder that is gone afterwards, with a place for everything that is cached."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def daemon(folder: Path, program: Sequence[str] = IN_MEMORY, **more: str) -> Iterator[Daemon]:
    """A daemon of that home, with `more` in its environment; `{port}` there means its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    unwanted = ("PRISM_", "PYTHONDONTWRITEBYTECODE")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    environ |= {"PRISM_HOME": str(folder), "PRISM_PORT": str(port), "PRISM_LOG_LEVEL": "warning"}
    environ |= {"AWS_CONFIG_FILE": str(folder / "none")}
    environ |= {name: value.replace("{port}", str(port)) for name, value in more.items()}
    began = time.perf_counter()
    process = subprocess.Popen(program, env=environ)
    try:
        while not _answers(port):
            if process.poll() is not None:
                raise RuntimeError("the daemon ended")
            time.sleep(0.002)
        took = (time.perf_counter() - began) * 1000
        spent = sum(psutil.Process(process.pid).cpu_times()[:2]) * 1000
        yield Daemon(process, environ, port, took, spent)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(port: int) -> bool:
    with suppress(OSError):
        to = Connection(port)
        try:
            # A shared daemon refuses who shows no token.
            return to.ask("/api/v1/daemon/status").status in {200, 401}
        finally:
            to.close()
    return False
