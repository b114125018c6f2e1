"""Parses host names and ports: which host name means which port."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from prism.connections.model import InvalidPort, PortRequest

PORT_NUMBER = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
SECURE = "tls-"
MAX_LABEL = 63  # characters, in DNS
ENTRANCE = "enter"  # no app has this label


def port_of(text: str) -> int:
    """The port that a text names, exactly as a port is written."""
    if PORT_NUMBER.fullmatch(text) and int(text) < 65536:
        return int(text)
    raise InvalidPort(details=f"port: {text!r}"[:80])


def only_port(ports: Sequence[str]) -> int | None:
    """The port of a query, if any; raises if there are several."""
    if len(ports) > 1:
        raise InvalidPort(details="port: is given more than once")
    return port_of(ports[0]) if ports else None


def port_request(label: str) -> PortRequest:
    """What `LABEL.localhost` means: `NAME`, `PORT--NAME`, or `tls-PORT--NAME`."""
    head, dashes, name = label.partition("--")
    number = head.removeprefix(SECURE)
    if not dashes or not number.isdecimal():
        return PortRequest(label)
    return PortRequest(name, port_of(number), tls=number != head)


def label(request: PortRequest) -> str:
    """The first label of the host name."""
    if request.port is None:
        return request.name
    return f"{SECURE if request.tls else ''}{request.port}--{request.name}"


def app_label(request: PortRequest, id: str) -> str:
    """The label of an app for a full name; a long name with a port gives way to the id."""
    text = label(request)
    return text if len(text) <= MAX_LABEL else label(replace(request, name=id))


def port_suffix(host: str, default: str) -> str:
    """The part of an address with the port at which a client reaches the daemon, by its `Host`.

    A browser on another computer may use another port than the daemon's, through SSH. Other
    clients of the Unix socket name no port.
    """
    name, colon, port = host.rpartition(":")
    return f":{port}" if colon and name and port.isdecimal() else default


def origin(request: PortRequest, port: str) -> str:
    """The origin for a browser; `port` is the daemon's with a colon, or empty."""
    return f"http://{label(request)}.localhost{port}"
