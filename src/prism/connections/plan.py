"""Names and numbers: which host name means which port, and which port was asked for."""

import re
from collections.abc import Sequence

from prism.connections.model import Asked, InvalidPort

NUMBER = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
SECURE = "tls-"


def port_of(text: str) -> int:
    """The port that a text names, exactly as a port is written."""
    if NUMBER.fullmatch(text) and int(text) < 65536:
        return int(text)
    raise InvalidPort(details=f"port: {text!r}"[:80])


def only_port(given: Sequence[str]) -> int | None:
    """The port of a query, if one is given; several are none."""
    if len(given) > 1:
        raise InvalidPort(details="port: is given more than once")
    return port_of(given[0]) if given else None


def asked(label: str) -> Asked:
    """What `LABEL.localhost` means: `NAME`, `PORT--NAME`, or `tls-PORT--NAME`."""
    head, dashes, name = label.partition("--")
    number = head.removeprefix(SECURE)
    if not dashes or not number.isdecimal():
        return Asked(label)
    return Asked(name, port_of(number), tls=number != head)


def label(it: Asked) -> str:
    """The host name's first word for it."""
    if it.port is None:
        return it.name
    return f"{SECURE if it.tls else ''}{it.port}--{it.name}"


def origin(it: Asked, port: str) -> str:
    """Where a browser finds it, behind a daemon on `port` (with its colon, or empty)."""
    return f"http://{label(it)}.localhost{port}"
