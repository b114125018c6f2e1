"""Shells that outlive their browsers, with browsers and shells of the test."""

import asyncio
from contextlib import suppress

import asyncssh
import pytest

from prism.connections.model import SshUnreachable
from prism.connections.terminal import Size, open_shell
from prism.connections.terminal_sessions import KEPT_BYTES, ShellSessions
from prism.workspaces.ports import Access

KEY = ("ada", "mine", "a1b2c3d4e5f6a7b8")
SOON = 120.0  # seconds, on a busy computer


async def run_other_tasks(turns):
    """Let the other tasks of the loop go on for so many of its turns."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


class Shell:
    """A shell and its connection: prints these pieces, then ends, or waits for ever."""

    def __init__(self, pieces=(), *, ends=False):
        self.pieces, self.ends = list(pieces), ends
        self.stdout, self.returncode = self, 0
        self.aborted = asyncio.Event()

    async def read(self, _):
        if self.pieces:
            await run_other_tasks(turns=5)  # so that the browser gets the last piece meanwhile
            return self.pieces.pop(0)
        if not self.ends:
            await asyncio.Event().wait()
        return b""

    async def wait_closed(self):
        pass

    def change_terminal_size(self, cols, rows):
        pass

    def abort(self):
        self.aborted.set()


class Browser:
    """A browser that records what it gets, and leaves when it is told to."""

    def __init__(self):
        self.output, self.leaves, self.is_attached = b"", asyncio.Event(), asyncio.Event()

    async def visit(self, sessions, shell):
        async def opens():
            return shell, shell

        await sessions.serve(KEY, opens, self.receive, self.send, Size())

    async def receive(self):
        await self.leaves.wait()
        return {"type": "websocket.disconnect"}

    async def send(self, message):
        self.output += message.get("bytes") or b""
        if "attached" in message.get("text", ""):
            self.is_attached.set()


def test_browser_that_stalls_gets_all_output_once():
    """The shell prints as much as it may while the browser reads a short piece."""
    pieces = [bytes([number]) * 29_000 for number in range(3 * KEPT_BYTES // 29_000)]
    pieces.insert(5, b"$")

    class StallingBrowser(Browser):
        async def send(self, message):
            if message.get("bytes") == b"$":
                await run_other_tasks(turns=500)
            await super().send(message)

    async def print_much():
        browser = StallingBrowser()
        await asyncio.wait_for(browser.visit(ShellSessions(), Shell(pieces, ends=True)), SOON)
        return browser.output

    assert asyncio.run(print_much()) == b"".join(pieces)


@pytest.mark.parametrize("part", ["websocket.accept", "text", "bytes"])
def test_shell_ends_if_its_browser_disconnects_while_it_is_written_to(part):
    class LostBrowser(Browser):
        async def send(self, message):
            if part in {message["type"], *message}:
                raise ConnectionResetError

    async def lose():
        shell = Shell([b"output"])
        with suppress(ConnectionResetError):
            await LostBrowser().visit(ShellSessions(seconds=0), shell)
        await asyncio.wait_for(shell.aborted.wait(), SOON)

    asyncio.run(lose())


def test_shell_lasts_if_a_browser_connects_while_another_disconnects():
    async def reload():
        sessions, shell, older = ShellSessions(seconds=0), Shell(), Browser()
        leaving = asyncio.create_task(older.visit(sessions, shell))
        await asyncio.wait_for(older.is_attached.wait(), SOON)

        class NewerBrowser(Browser):
            async def send(self, message):
                if message["type"] == "websocket.accept":
                    older.leaves.set()
                    await asyncio.wait_for(leaving, SOON)
                await super().send(message)

        newer = NewerBrowser()
        staying = asyncio.create_task(newer.visit(sessions, shell))
        await asyncio.wait_for(newer.is_attached.wait(), SOON)
        await run_other_tasks(turns=20)
        assert not shell.aborted.is_set()
        newer.leaves.set()
        await asyncio.wait_for(staying, SOON)
        await asyncio.wait_for(shell.aborted.wait(), SOON)

    asyncio.run(reload())


def test_ssh_connection_is_closed_if_the_server_starts_no_shell(monkeypatch):
    class Connection(Shell):
        async def create_process(self, **_):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "too many")

    async def connect(*_, **__):
        return connection

    connection = Connection()
    monkeypatch.setattr(asyncssh, "connect", connect)
    host_key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    access = Access(host="127.0.0.1", user="ada", ssh_port=22, ssh_host_key=host_key)
    with pytest.raises(SshUnreachable, match="cannot be reached"):
        asyncio.run(open_shell("mine", access, Size()))
    assert connection.aborted.is_set()
