"""Signature Version 4 of AWS, as far as one POST needs it."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple
from urllib.parse import urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """A role's temporary keys."""

    key: str
    secret: str
    token: str


class SigningScope(NamedTuple):
    """The service and region of a request."""

    service: str
    region: str


def signed(
    url: str, body: bytes, keys: Credentials, scope: SigningScope, *, now: float, kind: str
) -> dict[str, str]:
    """The headers of a POST of `body`, whose content type is `kind`."""
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    parts = urlsplit(url)
    headers = {"content-type": kind, "host": parts.netloc, "x-amz-date": at}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(("POST", parts.path or "/", "", lines, names, _digest(body)))
    credential_scope = f"{at[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = "\n".join((ALGORITHM, at, credential_scope, _digest(request.encode())))
    key = f"AWS4{keys.secret}".encode()
    for word in credential_scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={keys.key}/{credential_scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
