"""A machine of its own, as its idle watch sees it: everything that runs, everything it serves."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from prism.agent.folder import Folder, read
from prism.agent.recipe import Recipe
from prism.agent.samples import Look, look
from prism.agent.sockets import Connections

HOST = "127.0.0.1"
FIRST = 1  # what everything on a machine came of
TOKEN = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)


class Served(NamedTuple):
    """One service, as far as a watch asks for it."""

    name: str
    port: int | None
    answered: bool


class Premises(Recipe):
    """What a machine serves, by its own files: `services.json`, and a `NAME.env` each."""

    def __init__(self, etc: Path, folder: Path) -> None:
        self._etc = etc
        said = read(etc / "services.json")
        super().__init__({"services": said.get("services") or {}}, Folder(folder))
        self.folder.home = Path(str(said.get("home") or "/root"))

    def secret(self, service: str) -> str:
        """The token in a service's environment, which only root can read."""
        try:
            found = TOKEN.search((self._etc / f"{service}.env").read_text())
        except (OSError, UnicodeError):
            return ""
        return found[0] if found else ""

    def serving(self) -> Iterator[Served]:
        """Its services, and whether anybody listens there."""
        for name, it in self.services.items():
            port = int(it.get("port") or 0)
            yield Served(name, port or None, bool(port) and _listens(port))


class Everything:
    """Looks at all processes of a machine but our own."""

    def __init__(self, of: int = FIRST) -> None:
        self._of = of

    def __call__(self, wanted: Iterable[str], connections: Connections) -> Look:
        """Everything at this moment."""
        seen, us = look(self._of, wanted, connections), os.getpid()
        return seen._replace(lives=_others(seen.lives, us), moved=_others(seen.moved, us))


def _others(by_process: Any, us: int) -> Any:
    if by_process is None:
        return None
    return {key: it for key, it in by_process.items() if key[0] != us}


def _listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex((HOST, port)) == 0
