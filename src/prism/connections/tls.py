"""Pins the certificates of workspaces' services, which no authority has signed.

A pin belongs to the listening socket, not to a name or a port: it is made when the socket is known
to be the workspace's own, and ends with it. If the machine told the certificate in another way,
that certificate is the pin.
"""

import asyncio
import hashlib
import ssl

from prism.connections.model import CertificateChanged
from prism.connections.ports import Address
from prism.connections.routing import PortTarget
from prism.kit.network.workspace_network import connect

HANDSHAKE_TIMEOUT = 5.0


class CertificatePins:
    """The pinned certificates, by listener."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    async def of(self, target: PortTarget) -> bytes:
        """The SHA-256 of the listener's certificate."""
        address = target.address
        if address.certificate is not None:
            return address.certificate
        key = f"{target.netloc} {address.listener}"
        if key not in self._known:
            if len(self._known) > 1000:
                self._known.clear()
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                pin = await _fetch_fingerprint(address)
            self._known.setdefault(key, pin)
        return self._known[key]


def unverified() -> ssl.SSLContext:
    """TLS that accepts any certificate, for a caller that compares it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def compare(tls: ssl.SSLObject | None, pin: bytes) -> None:
    """Raise unless the certificate is the pinned one."""
    certificate = tls.getpeercert(binary_form=True) if tls else None
    if fingerprint(certificate or b"") != pin:
        raise CertificateChanged


def fingerprint(certificate: bytes) -> bytes:
    """The SHA-256 of a certificate."""
    return hashlib.sha256(certificate).digest()


async def _fetch_fingerprint(address: Address) -> bytes:
    connection = await connect(address.host, address.port, address.network)
    _, writer = await asyncio.open_connection(
        sock=connection, ssl=unverified(), server_hostname=address.host
    )
    try:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return fingerprint(tls.getpeercert(binary_form=True) or b"")
    finally:
        writer.close()
