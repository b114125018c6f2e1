"""A kernel of a real Jupyter server, used as by its front end."""

import json
import urllib.request
import uuid
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from websockets.sync.client import connect


class Kernel:
    """Runs code in a new or an existing kernel, and returns its output."""

    def __init__(self, url: str, token: str, id: str | None = None, host: str = "") -> None:
        """`host` is the name of a workspace's origin, which the system need not resolve."""
        self._url, self._token, self._host = url, token, host
        self.id: str = id or self._ask("POST", "/api/kernels", {})["id"]
        parts = urlsplit(url)
        channels = f"ws://{host or parts.netloc}/api/kernels/{self.id}/channels"
        headers = self._headers | ({"Origin": f"http://{host}"} if host else {})
        headers.pop("Host", None)
        way = connect(
            channels,
            additional_headers=headers,
            open_timeout=30,
            address=(parts.hostname, parts.port),
        )
        self._open = ExitStack()
        self.socket = self._open.enter_context(way)

    @property
    def _headers(self) -> dict[str, str]:
        named = {"Host": self._host} if self._host else {}
        return {"Authorization": f"token {self._token}"} | named

    def run(self, code: str, seconds: float = 60) -> str:
        """The output of the code, once it has run; the reply may come before the output."""
        sent, printed, waited_for = self.send(code), "", {"execute_reply", "idle"}
        while waited_for:
            message = json.loads(self.socket.recv(timeout=seconds))
            if message["parent_header"].get("msg_id") != sent:
                continue
            kind, content = message["msg_type"], message["content"]
            assert kind != "error", content
            if kind == "stream":
                printed += content["text"]
            waited_for -= {content.get("execution_state") if kind == "status" else kind}
        return printed

    def send(self, code: str) -> str:
        """Requests that the code is run, without waiting."""
        id = uuid.uuid4().hex
        content = {"code": code, "silent": False, "store_history": False}
        header = {"msg_id": id, "msg_type": "execute_request", "version": "5.3"}
        header |= {"username": "", "session": id}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        self.socket.send(json.dumps({**message, "channel": "shell", "buffers": []}))
        return id

    def close(self) -> None:
        """Closes the connection; the kernel continues."""
        self._open.close()

    def _ask(self, method: str, path: str, body: object) -> Any:
        content = json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, content, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read() or b"null")
