"""What uv's messages mean: why packages cannot be downloaded or installed, and what to do."""

import re
from typing import NamedTuple


class InstallFailure(NamedTuple):
    """A known failure."""

    code: str
    reason: str
    fix: str


KNOWN_FAILURES = {
    r"No space left|os error 28|Disk quota exceeded|os error 122": InstallFailure(
        "DISK_FULL", "the disk is full", "make room"
    ),
    r"peer certificate: certificate (has )?expired|peer certificate: certificate not valid yet"
    r"|peer certificate: (Expired|NotValidYet)": InstallFailure(
        "CERTIFICATE_UNTRUSTED",
        "the certificate of the package registry is out of date",
        "check this computer's clock",
    ),
    r"No CA certificates were loaded": InstallFailure(
        "CERTIFICATE_UNTRUSTED",
        "this computer has no certificates to check that of the package registry",
        "install the package ca-certificates",
    ),
    r"invalid peer certificate|certificate verify failed": InstallFailure(
        "CERTIFICATE_UNTRUSTED",
        "the package registry answered, with a certificate that this computer does not trust, as "
        "on networks that inspect TLS",
        "add your network's certificate to the system's (`sudo update-ca-certificates`), or write "
        "SSL_CERT_FILE=FILE into the file `env` of Prism's home and run `prism daemon stop`",
    ),
    r"network (connectivity is|was) disabled|error sending request|dns error|Failed to fetch"
    r"|Could not connect|Connection refused|timed? ?out": InstallFailure(
        "NETWORK_UNREACHABLE",
        "the package registry did not answer",
        "check network and proxy",
    ),
    r"No solution found|not found in the|no versions of|Failed to parse|No matching"
    r"|have no wheels|was not found": InstallFailure(
        "PACKAGE_NOT_FOUND",
        "a package is not available as the template asks",
        "correct its name or version",
    ),
}
"""By a pattern of the message; the first one that occurs counts."""


def known_failure(text: str) -> InstallFailure | None:
    """What a tool's output means, if that is known."""
    matching = (
        failure
        for pattern, failure in KNOWN_FAILURES.items()
        if re.search(pattern, text, re.IGNORECASE)
    )
    return next(matching, None)
