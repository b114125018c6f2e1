"""A terminal in the browser: WebSocket to the browser, SSH with a PTY to the workspace.

Binary frames contain input and output. Text frames are JSON: `resize` comes
in, `exit` goes out before the close. `terminal_sessions` adds `attached` and `replaced`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from prism.connections.model import SshUnreachable

if TYPE_CHECKING:
    from asyncssh import SSHClientConnection, SSHClientProcess

    from prism.kit.gate import Receive, Send
    from prism.workspaces.ports import Access

DIAL, ALIVE = 10, 15  # seconds to connect, and between signs of life
OUTPUT_CHUNK = 32 * 1024
NORMAL, INVALID, SHELL_LOST = 1000, 1007, 1011
Cells = Annotated[int, Meta(ge=1, le=1000)]


class Size(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How large the terminal is, in characters."""

    type: Literal["resize"] = "resize"
    cols: Cells = 80
    rows: Cells = 24


async def serve(name: str, access: Access, receive: Receive, send: Send, size: Size) -> None:
    """Connect, accept, and forward until one side ends; raises before it accepts."""
    ssh, shell = await open_shell(name, access, size)
    async with ssh:
        await send({"type": "websocket.accept"})
        input_task = asyncio.create_task(forward_input(receive, shell))
        output_task = asyncio.create_task(_forward_output(shell, send))
        try:
            await asyncio.wait({input_task, output_task}, return_when=asyncio.FIRST_COMPLETED)
            if (
                not input_task.done() and output_task.exception() is None
            ):  # else the client is gone
                await shell.wait_closed()
                await send({"type": "websocket.close", "code": await send_exit(shell, send)})
            elif input_task.done() and (code := input_task.result()) is not None:
                await send({"type": "websocket.close", "code": code, "reason": "not a resize"})
        finally:
            for task in (input_task, output_task):
                task.cancel()


async def open_shell(
    name: str, access: Access, size: Size
) -> tuple[SSHClientConnection, SSHClientProcess[bytes]]:
    """Connect to a workspace, and start a shell on a terminal of that size."""
    import asyncssh  # noqa: PLC0415  cold start: 200 ms that only a terminal pays

    hint = f"See how to connect: `prism connect {name}`"
    if access.ssh_port is None:
        raise SshUnreachable(f"Workspace {name!r} has no SSH", remediation=hint)
    if access.ssh_host_key is None:
        raise SshUnreachable(f"The SSH host key of {name!r} is not known", remediation=hint)
    known_host = f"[{access.host}]:{access.ssh_port} {access.ssh_host_key}\n"
    try:
        ssh = await asyncssh.connect(
            access.host,
            access.ssh_port,
            agent_path=None,
            client_keys=[access.ssh_key] if access.ssh_key else None,
            config=None,
            connect_timeout=DIAL,
            keepalive_interval=ALIVE,
            known_hosts=asyncssh.import_known_hosts(known_host),
            username=access.user,
        )
        return ssh, await _start_shell(ssh, size)
    except (asyncssh.Error, asyncssh.KeyImportError, OSError) as error:
        raise SshUnreachable(
            f"Workspace {name!r} cannot be reached by SSH",
            details=f"{type(error).__name__}: {error}".rstrip(": "),
            remediation=hint,
        ) from error


async def _start_shell(ssh: SSHClientConnection, size: Size) -> SSHClientProcess[bytes]:
    try:
        return await ssh.create_process(
            encoding=None, term_type="xterm-256color", term_size=(size.cols, size.rows)
        )
    except BaseException:
        ssh.abort()
        raise


async def forward_input(
    receive: Receive,
    shell: SSHClientProcess[bytes],
    resized: Callable[[Size], Awaitable[None]] | None = None,
) -> int | None:
    """Forward the input; a close code if a frame is invalid, None if the client left.

    `resized` is told each new size of the terminal.
    """
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return None
        if (keys := message.get("bytes")) is not None:
            shell.stdin.write(keys)
            await shell.stdin.drain()
        elif (text := message.get("text")) is not None:
            try:
                size = msgspec.json.decode(text, type=Size)
            except msgspec.MsgspecError:
                return INVALID
            shell.change_terminal_size(size.cols, size.rows)
            if resized is not None:
                await resized(size)


async def _forward_output(shell: SSHClientProcess[bytes], send: Send) -> None:
    """Forward the output, no faster than the client reads it."""
    while piece := await shell.stdout.read(OUTPUT_CHUNK):
        await send({"type": "websocket.send", "bytes": piece})


async def send_exit(shell: SSHClientProcess[bytes], send: Send) -> int:
    """Send the exit status of a shell that has ended; the code to close the WebSocket with."""
    await send_message(send, {"type": "exit", "status": shell.returncode})
    return SHELL_LOST if shell.returncode is None else NORMAL


async def send_message(send: Send, message: dict[str, Any]) -> None:
    """Send a text frame."""
    await send({"type": "websocket.send", "text": msgspec.json.encode(message).decode()})
