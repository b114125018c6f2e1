"""The certificate with which the daemon itself speaks TLS, read again when its files change.

Connections keep the certificate that they began with. Files that cannot be used change nothing:
the daemon goes on with what it has, and its status says why.
"""

import asyncio
import logging
import os
import ssl
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from prism.errors import Invalid

log = logging.getLogger(__name__)
CHANGE_POLL_SECONDS = 5.0
Signature = tuple[tuple[int, int, int], ...]


class CertificateInvalid(Invalid, code="CERTIFICATE_INVALID"):
    """The files of the certificate cannot be used."""


class ServerCertificate:
    """A certificate and its key, in files in PEM."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read them; raises `CertificateInvalid`."""
        self._certificate, self._key = certificate, key
        self._signature = self._sign()
        self._current = self._load()
        self._problem: str | None = None
        # Each handshake takes the newest certificate; this context only begins it.
        self.context = self._load()
        self.context.sni_callback = self._choose

    def troubles(self) -> Sequence[str]:
        """Why new files are not used, for the daemon's status."""
        return [self._problem] if self._problem else []

    def refresh(self) -> None:
        """Read the files again if they have changed."""
        signature = self._sign()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._current = self._load()
        except CertificateInvalid as problem:
            self._problem = f"{problem.message}; the daemon goes on with the former certificate"
            log.error("%s (%s)", self._problem, problem.details)
        else:
            self._problem = None
            log.info("the certificate in %s is in use now", self._certificate)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Notice changes while the daemon serves."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHANGE_POLL_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def _load(self) -> ssl.SSLContext:
        if why := key_problem(self._key):
            raise CertificateInvalid(
                f"The key {self._key} is not safe",
                details=why,
                remediation=f"`chmod 600 {self._key}`, as its owner",
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A key that needs a passphrase would ask for it on the terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise CertificateInvalid(
                f"The certificate {self._certificate} cannot be used with its key {self._key}",
                details=str(error),
                remediation="Both must be PEM files without a passphrase, and belong together",
            ) from error
        return context

    def _sign(self) -> Signature:
        """What changes when a file is replaced or written."""
        return tuple(_state(path) for path in (self._certificate, self._key))


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def key_problem(key: Path) -> str:
    """Why others could read or replace a key; empty if they cannot. Its group may read it."""
    try:
        status = key.stat()
    except OSError as error:
        return f"{error.strerror or error}"
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        return f"its mode is {stat.S_IMODE(status.st_mode):04o}, so others can use or replace it"
    if status.st_uid not in {0, os.geteuid()}:
        return "it belongs to another user"
    return ""
