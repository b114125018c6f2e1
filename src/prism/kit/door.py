"""The HTTP of connections that were looked at as they came in; strangers hear why not."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from prism.errors import Problem
from prism.kit.bypass import Bypassing
from prism.kit.clock import Clock
from prism.kit.envelope import InvalidRequest, PeerRejected, status_of, to_wire
from prism.kit.peer import Peers

LINGER = 1.0  # seconds for a refusal to be read before the connection is torn down


def door(peers: Peers | None, clock: Clock) -> type[HttpToolsProtocol]:
    """The HTTP protocol of connections that `peers` looked at; None lets everybody in."""

    class Door(Bypassing):
        """Looks at a connection before a byte of it is read."""

        def connection_made(  # type: ignore[override]
            self, transport: asyncio.Transport
        ) -> None:
            """Serve it, or say no and forget it."""
            if peers is None or peers.admits(transport.get_extra_info("socket")):
                super().connection_made(transport)
            else:
                _turn_away(transport, self.loop, clock)

        def on_message_begin(self) -> None:
            """Let a stream end a connection that its reader does not read from."""
            super().on_message_begin()
            self.scope["prism_abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]

        def send_400_response(self, msg: str) -> None:
            """Say that this was no HTTP, in the one envelope."""
            self.transport.write(_answer(InvalidRequest(details=msg), clock))
            self.transport.close()

    return Door


def _turn_away(
    transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, clock: Clock
) -> None:
    # What arrives is thrown away unread; closing at once would reset the connection, and
    # the answer might be lost with it.
    transport.set_protocol(asyncio.Protocol())
    where = "Use Prism as the user who started its daemon, outside of workspaces"
    problem = PeerRejected(remediation=where)
    transport.write(_answer(problem, clock))
    if transport.can_write_eof():
        transport.write_eof()
    loop.call_later(LINGER, transport.close)


def _answer(problem: Problem, clock: Clock) -> bytes:
    """A whole HTTP answer, for connections that no application gets to see."""
    body = to_wire(problem, clock.now())
    head = (
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return STATUS_LINE[status_of(problem)] + head.encode() + body
