"""Files of one workspace, for the daemon at the other end of standard input and output.

The daemon sends `Q`, a request as JSON, and `D`, a piece of the file that is being written. Each
is answered once: by `A` and JSON, by `D` and a piece that was read, or by `F`, why it was refused.
The entries of a folder come before their answer, in messages `E`. At the end of the input, a file
that is being written stays as a part, which can be continued.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prism.agent.lab.messages import LONGEST, begin, receive, send
from prism.agent.machine.home_files import (
    FileRefusal,
    HomeFolder,
    HomeReading,
    HomeWriting,
    refusals,
)

ENTRIES = 500  # in one message


def serve_files(nonce: str, find: "Callable[[str], HomeFolder | None]") -> int:
    """Carry out requests until the daemon closes the connection."""
    begin(nonce)
    session = _FileSession(find)
    try:
        while True:
            kind, body = receive()
            try:
                session.carry_out(kind, body)
            except FileRefusal as refused:
                session.refuse(refused)
    except EOFError:
        return 0
    finally:
        session.close()


class _FileSession:
    """At most one open file."""

    def __init__(self, find: "Callable[[str], HomeFolder | None]") -> None:
        self._find = find
        self._reading: HomeReading | None = None
        self._writing: HomeWriting | None = None
        self._path = ""

    def carry_out(self, kind: bytes, body: bytes) -> None:
        """Answer one message."""
        if kind == b"D":
            if self._writing is None:
                raise FileRefusal("failed", "No file is being written")
            self._writing.write(body)
            send(b"A", b"null")
            return
        request = json.loads(body)
        if request["do"] == "read":
            self._read(request["offset"], request["size"])
            return
        send(b"A", json.dumps(self._answer(request)).encode())

    def refuse(self, refused: FileRefusal) -> None:
        """Tell why."""
        fields = ("kind", "message", "details", "remediation", "received")
        send(b"F", json.dumps({name: getattr(refused, name) for name in fields}).encode())

    def close(self) -> None:
        """Close what is open."""
        if self._reading is not None:
            self._reading.close()
        if self._writing is not None:
            self._writing.close(discard=False)
        self._reading = self._writing = None

    def _answer(self, request: "dict[str, Any]") -> Any:
        verb = request["do"]
        if verb == "finish" and self._writing is not None:
            return self._writing.finish()
        if verb == "discard" and self._writing is not None:
            self._writing.close(discard=True)
            self._writing = None
            return None
        return self._begin(verb, self._home(request["id"]), request)

    def _begin(self, verb: str, home: HomeFolder, request: "dict[str, Any]") -> Any:
        path = self._path = request["path"]
        if verb == "scan":
            entries, truncated = home.scan(path, request["limit"])
            for first in range(0, len(entries), ENTRIES):
                send(b"E", json.dumps(entries[first : first + ENTRIES]).encode())
            return {"truncated": truncated}
        if verb == "open":
            self._reading = home.open(path)
            return {"size": self._reading.size, "tag": self._reading.tag}
        if verb == "begin":
            part, offset = request["part"], request["offset"]
            self._writing = home.begin(path, part, offset, replace=request["replace"])
        elif verb == "folder":
            home.make_folder(path)
        elif verb == "rename":
            home.rename(path, request["to"])
        else:
            home.remove(path, recursive=request["recursive"])
        return None

    def _read(self, offset: int, size: int) -> None:
        if self._reading is None:
            raise FileRefusal("failed", "No file is being read")
        with refusals(self._path):
            send(b"D", self._reading.read(offset, min(size, LONGEST)))

    def _home(self, id: str) -> HomeFolder:
        if (home := self._find(id)) is None:
            raise FileRefusal("missing", "The workspace has no home on the server")
        return home


def home_files(folder: "Path | None") -> "HomeFolder | None":
    """The files of the machine in a folder."""
    return None if folder is None else HomeFolder(folder / "home", lambda: ())
