"""SFTP on standard input and output; it runs inside a machine, as text of a `python -c`."""

import asyncio
import os
import sys
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPServer, run_sftp_server


class SftpChannel:
    """Both ends of a session, as asyncssh's SFTP expects a channel to be."""

    logger = asyncssh.logging.logger

    def __init__(self, reader: asyncio.StreamReader, out: int) -> None:
        self.readexactly, self._out = reader.readexactly, out
        self.channel = self

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing is known about the client."""
        return default

    def get_connection(self) -> Any:
        """There is none."""
        return self

    def write(self, piece: bytes) -> None:
        """Write everything; the client waits for the answer."""
        while piece:
            piece = piece[os.write(self._out, piece) :]

    def is_closing(self) -> bool:
        """Not before the other side hangs up."""
        return False

    def close(self) -> None:
        """Close the output."""
        os.close(self._out)

    async def wait_closed(self) -> None:
        """Does nothing: the pipes are closed already."""


async def _serve() -> None:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    pipes: Any = SftpChannel(reader, os.dup(1))
    await run_sftp_server(SFTPServer(pipes), pipes, pipes, 3)


if __name__ == "__main__":
    asyncio.run(_serve())
