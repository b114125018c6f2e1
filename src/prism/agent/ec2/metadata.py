"""Reads facts about this machine from EC2's metadata service (IMDSv2)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from prism.agent.ec2.sigv4 import Credentials

METADATA_ADDRESS = "http://169.254.169.254"
METADATA_TIMEOUT = 5.0
MAX_METADATA_BYTES = 1 << 16
# Only the machine itself can reach the service, so no proxy is used.
WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Metadata:
    """Reads from the service each time: a role's keys expire after hours."""

    def __init__(self, address: str = METADATA_ADDRESS) -> None:
        self._address = address

    def itself(self) -> tuple[str, str]:
        """The machine's id and region; raises OSError or ValueError if they are unknown."""
        document = self._json("dynamic/instance-identity/document")
        return str(document["instanceId"]), str(document["region"])

    def domain(self) -> str:
        """The domain of AWS's services, which depends on the partition."""
        return self._text("meta-data/services/domain").strip() or "amazonaws.com"

    def credentials(self) -> Credentials:
        """The keys of the machine's role; raises OSError or ValueError without a role."""
        path = "meta-data/iam/security-credentials/"
        role = self._text(path).split()[:1]
        if not role:
            raise ValueError("it has no role")
        keys = self._json(path + role[0])
        return Credentials(str(keys["AccessKeyId"]), str(keys["SecretAccessKey"]), keys["Token"])

    def _json(self, path: str) -> dict[str, Any]:
        document = json.loads(self._text(path))
        if not isinstance(document, dict):
            raise ValueError(f"{path} says nothing")
        return document

    def _text(self, path: str) -> str:
        token = self._request("api/token", "PUT", "token-ttl-seconds", "60")
        return self._request(path, "GET", "token", token)

    def _request(self, path: str, method: str, header: str, value: str) -> str:
        request = urllib.request.Request(f"{self._address}/latest/{path}", method=method)
        request.add_header(f"X-aws-ec2-metadata-{header}", value)
        try:
            with WEB.open(request, timeout=METADATA_TIMEOUT) as answer:
                return str(answer.read(MAX_METADATA_BYTES).decode())
        except urllib.error.HTTPError as error:
            error.close()
            raise
