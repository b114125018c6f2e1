"""Compiles the hostile program and runs it in a machine."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from prism.providers.local.exec_client import enter

SOURCE = Path(__file__).with_name("hostile.c")


def compile_hostile(folder: Path) -> Path:
    """The path of the compiled program, in a folder that the workspace sees."""
    program = Path(folder) / "hostile"
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "no C compiler: `make debian` installs one"
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    program.chmod(0o755)
    return program


class Hostile:
    """A running hostile program; `found` has what it could reach."""

    def __init__(self, folder: Path, program: Path, *words: object) -> None:
        read, write = os.pipe()
        with open(os.devnull) as nothing:
            streams = [nothing.fileno(), write, write]
            self._session = enter(folder, [str(program), *map(str, words)], streams=streams)
        os.close(write)
        os.set_blocking(read, False)
        self._output = os.fdopen(read, "rb", buffering=0)
        self._received = b""

    @property
    def found(self) -> list[str]:
        """The lines that it has printed so far."""
        while more := self._output.read(65536):
            self._received += more
        return self._received.decode().splitlines()

    def close(self) -> None:
        """End the program, if it still runs."""
        with contextlib.suppress(OSError):
            self._session.signal(9)
        self._session.close()
        self._output.close()


@contextlib.contextmanager
def attacking(folder: Path, program: Path, *attacks: Iterable[object]) -> Iterator[list[Hostile]]:
    """The program in each of these modes, each a process, until the block ends."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(Hostile(folder, program, *attack)))
            for attack in attacks
        ]
