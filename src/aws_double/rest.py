"""Passes calls that the double does not answer to moto, in this process."""

import io
import os
from typing import Any

from aws_double.protocols import Reply, Request

SWITCHES = {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
}


class Rest:
    """Moto's server as a function, loaded at the first call."""

    def __init__(self) -> None:
        self._app: Any = None

    def answer(self, request: Request) -> Reply:
        """Moto's answer."""
        if self._app is None:
            self._app = _load()
        status = ["500"]
        headers: dict[str, str] = {}

        def start(status_line: str, pairs: list[tuple[str, str]], error: object = None) -> None:
            status[0] = status_line
            headers.update(pairs)

        body = b"".join(self._app(_environ(request), start))
        headers.pop("Content-Length", None)
        return Reply(int(status[0].split()[0]), body, headers)

    def reset(self) -> None:
        """Clear moto's state."""
        if self._app is not None:
            self.answer(Request("POST", "/moto-api/reset", "", {}, b""))


def _load() -> Any:
    os.environ.update({name: os.environ.get(name, value) for name, value in SWITCHES.items()})
    import moto.server as moto  # noqa: PLC0415 - takes a second, and most runs never ask it

    return moto.DomainDispatcherApplication(moto.create_backend_app)


def _environ(request: Request) -> dict[str, Any]:
    named = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in request.headers.items()}
    return {
        **named,
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
