"""The hostile program, compiled, and running inside of a machine."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from prism.providers.local.exec_client import enter

SOURCE = Path(__file__).with_name("hostile.c")


def compiled(folder: Path) -> Path:
    """Its path, in a folder that the workspace sees."""
    program = Path(folder) / "hostile"
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "no C compiler: `make debian` installs one"
    subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True)
    program.chmod(0o755)
    return program


class Hostile:
    """One that runs; what it got at is in `found`."""

    def __init__(self, folder: Path, program: Path, *words: object) -> None:
        read, write = os.pipe()
        with open(os.devnull) as nothing:
            streams = [nothing.fileno(), write, write]
            self._visit = enter(folder, [str(program), *map(str, words)], streams=streams)
        os.close(write)
        os.set_blocking(read, False)
        self._words = os.fdopen(read, "rb", buffering=0)
        self._said = b""

    @property
    def found(self) -> list[str]:
        """The lines it has said so far."""
        while more := self._words.read(65536):
            self._said += more
        return self._said.decode().splitlines()

    def close(self) -> None:
        """End it, if it is not ended yet."""
        with contextlib.suppress(OSError):
            self._visit.signal(9)
        self._visit.close()
        self._words.close()


@contextlib.contextmanager
def attacking(folder: Path, program: Path, *attacks: Iterable[object]) -> Iterator[list[Hostile]]:
    """These modes of it, each a process, until the block ends."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(Hostile(folder, program, *attack)))
            for attack in attacks
        ]
