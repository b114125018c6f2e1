"""The SSH connection to one lab server, with the login and the host keys of the person."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh

from prism.providers.ssh.model import (
    ServerKeyChanged,
    ServerKeyUnknown,
    ServerUnreachable,
    parsed,
)
from prism.providers.tunnels.link import ReopenedLink

if TYPE_CHECKING:
    from prism.errors import Problem

log = logging.getLogger(__name__)
CONNECT_TIMEOUT, LOGIN_TIMEOUT = 10, 20  # seconds to connect, and to log in
KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 15, 3  # seconds; how many may be lost
LOGIN_FAILURES = (asyncssh.Error, asyncssh.KeyImportError, OSError, TimeoutError, ValueError)


class KeyWitness(asyncssh.SSHClient):
    """Notes the key of a server that `known_hosts` does not have."""

    def __init__(self, accepted: str | None) -> None:
        """`accepted` is the fingerprint of the key that the person accepts."""
        self._accepted = accepted
        self.key: asyncssh.SSHKey | None = None
        self.host, self.address, self.port = "", "", 22

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """Whether a key that is not in `known_hosts` is the accepted one."""
        self.key, self.host, self.address, self.port = key, host, addr, port
        return key.get_fingerprint() == self._accepted


class LabLink(ReopenedLink):
    """The connection that everything shares."""

    fatal = (ServerKeyChanged, ServerKeyUnknown)

    def __init__(self, name: str, accepted: str | None = None) -> None:
        super().__init__()
        self._name, self._accepted = name, accepted

    async def _dial(self) -> asyncssh.SSHClientConnection:
        asyncssh.set_log_level(max(logging.WARNING, log.getEffectiveLevel()))
        server, witness = parsed(self._name), KeyWitness(self._accepted)
        login: dict[str, Any] = {}
        if server.user is not None:
            login["username"] = server.user
        files = await asyncio.to_thread(_known_hosts_files, server.host)
        known = await asyncio.to_thread(_read_known_hosts, files)
        try:
            connection = await asyncssh.connect(
                server.host,
                server.port or (),
                client_factory=lambda: witness,
                connect_timeout=CONNECT_TIMEOUT,
                keepalive_count_max=KEEPALIVE_COUNT,
                keepalive_interval=KEEPALIVE_INTERVAL,
                known_hosts=known,
                login_timeout=LOGIN_TIMEOUT,
                password=None,
                preferred_auth="publickey",
                **login,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise self._key_problem(known, witness) from error
        except LOGIN_FAILURES as error:
            raise ServerUnreachable(
                f"{self._name} cannot be reached by SSH",
                details=f"{type(error).__name__}: {error}".rstrip(": "),
                remediation=f"See whether `ssh {self._name}` logs in without a question",
            ) from error
        if witness.key is not None and _is_known(known, witness):  # another key was accepted
            connection.abort()
            raise self._changed(witness)
        if witness.key is not None:
            await asyncio.to_thread(_append, files[0], witness)
        return connection

    def _key_problem(self, known: asyncssh.SSHKnownHosts, witness: KeyWitness) -> Problem:
        """Why the key of the server is not trusted."""
        if _is_known(known, witness):
            return self._changed(witness)
        fingerprint = witness.key.get_fingerprint() if witness.key else "unknown"
        create = f"prism profile create NAME --provider ssh --host {self._name}"
        return ServerKeyUnknown(
            f"The host key of {self._name} is not known",
            details=f"the server has the key {fingerprint}",
            remediation="Compare it with what the administrator says, then run "
            f"`ssh {self._name}` once, or `{create} --accept-host-key {fingerprint}`",
        )

    def _changed(self, witness: KeyWitness) -> ServerKeyChanged:
        name = witness.host if witness.port == 22 else f"[{witness.host}]:{witness.port}"
        return ServerKeyChanged(
            f"The host key of {self._name} has changed",
            details="either the server was set up anew, or another computer answers in its place; "
            "nothing is sent there",
            remediation="Ask the administrator. If the new key is right, remove the old one, "
            f"`ssh-keygen -R {name}`, and run `ssh {self._name}` once",
        )


def _known_hosts_files(host: str) -> list[Path]:
    """The person's files of host keys, of which new ones go into the first."""
    options = asyncssh.SSHClientConnectionOptions(host=host)
    named: Any = options.config.get("UserKnownHostsFile", [])
    return [Path(str(file)).expanduser() for file in named] or [Path.home() / ".ssh/known_hosts"]


def _read_known_hosts(files: list[Path]) -> asyncssh.SSHKnownHosts:
    texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    return asyncssh.import_known_hosts("\n".join(texts) + "\n")


def _is_known(known: asyncssh.SSHKnownHosts, witness: KeyWitness) -> bool:
    """Whether there are other keys for the server."""
    trusted, *_ = known.match(witness.host, witness.address, witness.port)
    return bool(trusted)


def _append(file: Path, witness: KeyWitness) -> None:
    assert witness.key is not None, "a key was accepted"
    name = witness.host if witness.port == 22 else f"[{witness.host}]:{witness.port}"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(f"{name} {witness.key.export_public_key().decode('ascii').strip()}\n")
