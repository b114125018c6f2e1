"""The console output of machines, fetched at most once in a few seconds."""

import threading
import time

from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsRefused, Missing

FRESH_SECONDS = 5.0  # seconds for which a fetched text is used
MOST_TEXTS = 1000  # machines whose last text is stored
NOT_SUPPORTED = "UnsupportedOperation"  # this machine type cannot return its latest output


class Console:
    """The consoles of one region; threads that ask at the same time share one call."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._texts: dict[str, tuple[float, str]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def read(self, id: str, fresh: float = FRESH_SECONDS) -> str:
        """The last 64 KB of output, at most `fresh` seconds old; empty if the machine is gone."""
        with self._locks.setdefault(id, threading.Lock()):
            known = self._texts.get(id)
            if known and time.monotonic() - known[0] < fresh:
                return known[1]
            text = self._fetch(id)
            if len(self._texts) >= MOST_TEXTS:
                self._texts.clear()
                self._locks.clear()  # a thread that holds one keeps it; another may fetch twice
            self._texts[id] = time.monotonic(), text
            return text

    def _fetch(self, id: str) -> str:
        try:
            answer = self._cloud.call("ec2", "GetConsoleOutput", InstanceId=id, Latest=True)
        except Missing:
            return ""
        except AwsRefused as refused:
            if refused.aws_code != NOT_SUPPORTED:
                raise
            answer = self._cloud.call("ec2", "GetConsoleOutput", InstanceId=id)
        return str(answer.get("Output") or "")  # boto3 has decoded it
