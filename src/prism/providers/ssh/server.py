"""One lab server: runs Prism's program there, and ships it when it is missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from prism.errors import Unavailable
from prism.providers.ssh import commands, shipment
from prism.providers.ssh.model import NotOnServers, ServerFacts, ServerUnreachable
from prism.providers.tunnels.background import Background
from prism.workspaces.ports import ProviderRefused

if TYPE_CHECKING:
    from asyncssh import SSHClientProcess

    from prism.providers.ssh.link import LabLink

Kind = TypeVar("Kind")
CALL_SECONDS, SHIP_SECONDS = 40.0, 300.0
EXTRA_SECONDS = 25.0  # to connect
CLOSE_SECONDS = 5.0
TURN_SECONDS, TURN_INTERVAL = 30.0, 0.1  # how long a request waits for others to end
OUTPUT_CHUNK = 1 << 16
MOST_REASON = 500  # characters of what the server says about a failure


class LabServer:
    """Implements `tunnels.pool.TunnelPool`, for one server."""

    def __init__(self, name: str, accepted: str | None = None) -> None:
        """`accepted` is the fingerprint of a host key that the person accepts."""
        self.name, self._accepted = name, accepted
        self.background = Background()
        self._link: LabLink | None = None
        self._known: ServerFacts | None = None
        self._shipping, self._has_left = threading.Lock(), False

    @property
    def known(self) -> ServerFacts | None:
        """What the server offered when it was last asked; makes no call."""
        return self._known

    def facts(self) -> ServerFacts:
        """What the server offers, asked now."""
        self._known = self.call("facts", kind=ServerFacts)
        return self._known

    def uv(self) -> str:
        """The name of uv on the server, which is shipped there if it is missing."""
        return shipment.uv_name((self._known or self.facts()).machine)

    def call(
        self,
        do: str,
        *,
        kind: type[Kind],
        uv: str = "",
        seconds: float = CALL_SECONDS,
        **fields: Any,
    ) -> Kind:
        """Let the program on the server carry out a request, and decode its answer."""
        nonce = secrets.token_hex(16)
        if uv:
            fields["uv"] = uv
        request = json.dumps({"do": do, **fields}).encode()
        command = commands.run_command(shipment.agent().name, uv, nonce)
        code, output = self._run(command, request, seconds)
        if code == commands.NOT_SHIPPED:
            self._ship(uv)
            code, output = self._run(command, request, seconds)
        self._check_python(code)
        try:
            answer = msgspec.json.decode(commands.answer_after(nonce, output), type=dict[str, Any])
            return self._unpacked(answer, kind)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise commands.AnswerInvalid(
                f"The answer of {self.name} cannot be read", details=str(error)[:MOST_REASON]
            ) from error

    def enter(self) -> None:
        """Allow programs on the server again, after `leave`."""
        self._has_left = False

    def leave(self) -> tuple[str, ...]:
        """Remove all of Prism there, unless a workspace lives; what stays. `enter` undoes it."""
        self._has_left, nonce = True, secrets.token_hex(16)
        with self._shipping:
            command = commands.install_command()
            code, output = self._run(command, shipment.removal(nonce), SHIP_SECONDS)
        self._check_python(code)
        try:
            answer = msgspec.json.decode(commands.answer_after(nonce, output), type=dict[str, Any])
            return self._unpacked(answer, tuple[str, ...])
        except msgspec.MsgspecError as error:
            raise commands.AnswerInvalid(
                f"The answer of {self.name} cannot be read", details=str(error)[:MOST_REASON]
            ) from error

    def _unpacked(self, answer: dict[str, Any], kind: type[Kind]) -> Kind:
        if refused := answer.get("refused"):
            raise ProviderRefused(f"{self.name}: {str(refused)[:MOST_REASON]}")
        if failed := answer.get("failed"):
            raise Unavailable(f"{self.name}: {str(failed)[:MOST_REASON]}")
        return msgspec.convert(answer.get("answer"), kind, strict=False)

    def _check_python(self, code: int) -> None:
        if code == commands.NO_PYTHON:
            raise commands.NoPython(
                f"{self.name} has no Python from 3.9 on",
                details="it looked for python3 and python3.9 to python3.14 on PATH",
                remediation="Ask the administrator for one, or install one in your home, such as "
                "by `uv python install` there, and put it on PATH for logins",
            )
        if code == commands.NOT_SHIPPED:
            raise Unavailable(f"{self.name} does not keep the program that was shipped there")

    def _ship(self, uv: str) -> None:
        """Send what is missing; each is unpacked beside its place, and renamed."""
        with self._shipping:
            if self._has_left:
                raise Unavailable(f"No profile uses {self.name} any more")
            parts = [shipment.agent()]
            if uv:
                parts.append(shipment.uv_for(uv.rpartition("-")[2]))
            for part in parts:
                code, output = self._run(commands.install_command(), part.stdin, SHIP_SECONDS)
                self._check_python(code)
                if code:
                    raise Unavailable(
                        f"Prism's program cannot be put on {self.name}",
                        details=output[-MOST_REASON:].decode(errors="replace").strip(),
                        remediation="See how much space your home has there: `ssh "
                        f"{self.name} df -h .`, and your quota",
                    )

    # ------------------------------------------------------------ SSH
    def host(self, id: str) -> LabServer:
        """Every machine is on this server."""
        return self

    def link(self, host: object) -> LabLink:
        """The link to the server, which opens its connection when needed; for code in the loop."""
        from prism.providers.ssh.link import LabLink  # noqa: PLC0415  cold start: asyncssh

        if self._link is None:
            self._link = LabLink(self.name, self._accepted)
        return self._link

    def reset_backoff(self) -> None:
        """Forget failures: the next use connects at once."""
        if self._link is not None:
            self.background.start(self._forget_failures())

    def close(self) -> None:
        """Disconnect; machines keep running."""
        if self._link is not None:
            with contextlib.suppress(Unavailable):  # it is closed already
                self.background.run(self._disconnect(), CLOSE_SECONDS)
        self.background.close()

    async def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close()
            await asyncio.sleep(0)

    async def _forget_failures(self) -> None:
        if self._link is not None:
            self._link.reset_backoff()

    def _run(self, command: str, stdin: bytes, seconds: float) -> tuple[int, bytes]:
        """The exit code and the output of a command."""
        return self.background.run(self._execute(command, stdin, seconds), seconds + EXTRA_SECONDS)

    async def _execute(self, command: str, stdin: bytes, seconds: float) -> tuple[int, bytes]:
        import asyncssh  # noqa: PLC0415  cold start: 200 ms, only for SSH

        link = self.link(self)
        with link.used():
            try:
                async with asyncio.timeout(seconds + EXTRA_SECONDS):
                    process = await self._start_in_turn(command)
                    return await _communicate(process, stdin)
            except (asyncssh.Error, OSError, TimeoutError) as error:
                raise ServerUnreachable(
                    f"{self.name} ended the connection, or takes too long",
                    details=f"{type(error).__name__}: {error}".rstrip(": "),
                ) from error

    async def _start_in_turn(self, command: str) -> SSHClientProcess[bytes]:
        """Start a command once the server allows another session: requests end soon."""
        until = time.monotonic() + TURN_SECONDS
        while True:
            try:
                return await self.start_process(command)
            except NotOnServers:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(TURN_INTERVAL)

    async def start_process(self, command: str) -> SSHClientProcess[bytes]:
        """Start a command without a terminal; for code in the loop.

        A connection that turns out to be broken is replaced once.
        """
        import asyncssh  # noqa: PLC0415  cold start: it is there by now

        link = self.link(self)
        ssh = await link.connection()
        try:
            try:
                return await ssh.create_process(command, encoding=None, stderr=asyncssh.STDOUT)
            except (asyncssh.Error, OSError):
                if not ssh.is_closed():
                    raise
            ssh = await link.connection()
            return await ssh.create_process(command, encoding=None, stderr=asyncssh.STDOUT)
        except asyncssh.ChannelOpenError as error:
            if ssh.is_closed():
                raise
            raise NotOnServers(
                f"{self.name} allows no further session",
                details=f"{error}; `MaxSessions` of its SSH server limits those of one login",
                remediation="Close a terminal, and try again",
            ) from error


async def _communicate(process: SSHClientProcess[bytes], stdin: bytes) -> tuple[int, bytes]:
    try:
        with contextlib.suppress(OSError):  # the program has ended without reading all
            process.stdin.write(stdin)
            process.stdin.write_eof()
        output = bytearray()
        while piece := await process.stdout.read(OUTPUT_CHUNK):
            output += piece
            if len(output) > commands.MOST_ANSWER:
                raise commands.AnswerInvalid("The server answers too much")
        await process.wait_closed()
    except BaseException:
        process.close()  # without waiting: it may not answer
        raise
    code = process.returncode
    return (-1 if code is None else code), bytes(output)
