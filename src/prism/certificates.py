"""The certificate authorities that this computer trusts.

Networks that inspect TLS have an authority of their own, which is in the system's store. Some
programs have a list of their own instead: uv, botocore, Node, and a Python from conda.
"""

from __future__ import annotations

import os
import sys

from prism.annotations import TYPE_CHECKING, Mapping

if TYPE_CHECKING:
    import ssl

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


def system_bundle() -> str | None:
    """The file with all authorities that the system trusts; None on a system without one."""
    return next(filter(os.path.exists, BUNDLES), None)


def python_trusts(bundle: str) -> bool:
    """Whether this Python trusts these authorities by default."""
    import ssl  # noqa: PLC0415  cold start: 15 ms, only for TLS

    paths = ssl.get_default_verify_paths()
    places = {os.path.realpath(path) for path in (paths.cafile, paths.capath) if path}
    real = os.path.realpath(bundle)
    return bool(places & {real, os.path.realpath(os.path.dirname(bundle))})


def client_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """TLS for a client that trusts what the system trusts, or what `SSL_CERT_FILE` names."""
    import ssl  # noqa: PLC0415  cold start: 15 ms, only for TLS

    context = ssl.create_default_context()  # reads `SSL_CERT_FILE` of this process only
    bundle = environ.get("SSL_CERT_FILE") or system_bundle()
    if bundle and not environ.get("SSL_CERT_DIR") and not python_trusts(bundle):
        context.load_verify_locations(bundle)
    return context


def certificate_advice() -> str:
    """What to do about an authority that is not trusted."""
    if sys.platform == "darwin":
        return "add your network's certificate to the keychain, or set SSL_CERT_FILE to its file"
    return (
        "add your network's certificate to the system's "
        "(`sudo update-ca-certificates`), or set SSL_CERT_FILE to its file"
    )
