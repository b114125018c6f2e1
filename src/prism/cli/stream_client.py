"""A program that joins its standard input and output to a workspace: a `ProxyCommand` of SSH.

    python -P -m prism.cli.stream_client NAME [PORT]

The daemon is that of `PRISM_URL` and `PRISM_TOKEN`, or of `PRISM_HOME`.
"""

from __future__ import annotations

import asyncio
import sys

from prism.cli.output.terminal import complain
from prism.client.transport.address import DaemonAddress
from prism.client.transport.byte_stream import carry, open_stream
from prism.client.transport.wire import Wire
from prism.errors import Problem

FAILED = 1


async def _join(name: str, port: int | None) -> None:
    stream = await open_stream(Wire(DaemonAddress.read()), name, port)
    reader, writer = await _standard_streams()
    await carry(stream, reader, writer)


async def _standard_streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, sys.stdout)
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


def main(words: list[str]) -> int:
    """Carry bytes until the end; returns the exit code."""
    name, *ports = words
    try:
        asyncio.run(_join(name, int(ports[0]) if ports else None))
    except Problem as problem:
        complain(problem.message, problem.details, problem.remediation)
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
