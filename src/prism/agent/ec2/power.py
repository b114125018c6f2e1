"""Stops or hibernates the EC2 machine on which it runs, by a request to EC2.

The request uses the keys of the machine's own role. If that fails, the machine powers itself off,
which EC2 treats as a stop. For a spot machine of a persistent request, AWS does not document that,
and EC2 might start another machine for it; so the request comes first.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from prism.agent.ec2.metadata import Metadata
from prism.agent.ec2.sigv4 import SigningScope, signed

FORM = "application/x-www-form-urlencoded; charset=utf-8"
EC2_API_VERSION = "2016-11-15"
REQUEST_TIMEOUT = 20.0
CODE = re.compile(r"<Code>([\w.]+)</Code>")
POWER_OFF_COMMAND = ("systemctl", "poweroff")


class CannotSleep(Exception):
    """The machine cannot hibernate; the message says why."""


class PowerControl:
    """Stops or hibernates this machine."""

    def __init__(
        self,
        metadata: Metadata,
        *,
        endpoint: str = "",
        off: Sequence[str] = POWER_OFF_COMMAND,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`endpoint` is EC2's URL; empty means the one of the machine's region."""
        self._metadata, self._endpoint, self._off, self._now = metadata, endpoint, off, now

    def off(self) -> bool:
        """Ask EC2 to stop the machine, else power off; returns False if both failed."""
        try:
            self._stop(hibernate=False)
        except CannotSleep as why:
            sys.stdout.write(f"EC2 does not stop it, so it powers off: {why}\n")
            sys.stdout.flush()
            return self._power_off()
        return True

    def _power_off(self) -> bool:
        try:
            return subprocess.run(self._off, check=False).returncode == 0
        except OSError:
            return False

    def sleep(self) -> None:
        """Ask EC2 to hibernate the machine; raises if EC2 refuses."""
        self._stop(hibernate=True)

    def _stop(self, hibernate: bool) -> None:
        try:
            request = self._request(hibernate)
        except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
            why = "it has no role" if getattr(error, "code", 0) == 404 else str(error)
            raise CannotSleep(why or type(error).__name__) from error
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                match = CODE.search(error.read(1 << 16).decode(errors="replace"))
            raise CannotSleep(match[1] if match else f"EC2 said {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise CannotSleep(f"EC2 does not answer: {error}") from error

    def _request(self, hibernate: bool) -> urllib.request.Request:
        id, region = self._metadata.itself()
        keys = self._metadata.credentials()
        url = self._endpoint or f"https://ec2.{region}.{self._metadata.domain()}/"
        parameters = {
            "Action": "StopInstances",
            "Version": EC2_API_VERSION,
            "InstanceId.1": id,
        }
        if hibernate:
            parameters["Hibernate"] = "true"
        body = urlencode(parameters).encode()
        headers = signed(url, body, keys, SigningScope("ec2", region), now=self._now(), kind=FORM)
        return urllib.request.Request(url, body, headers, method="POST")
