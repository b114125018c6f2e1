"""Sockets in a workspace's own network namespace, received from its gateway.

The gateway (`agent/network/gateway.py`) listens on a Unix socket in the workspace's folder. A user
who may connect to that socket may connect to any port inside. Its answers contain nothing that a
workspace made, because the gateway runs outside of the sandbox.
"""

import asyncio
import os
import socket

from prism.agent.protocol import PUBLISH, SOCKET_TABLES, TCP_SOCKET, ask_gateway

HOST, LISTEN_BACKLOG = "127.0.0.1", 128


async def connect(host: str, port: int, network: str = "") -> socket.socket:
    """A connection to a loopback port: in the network of that gateway, or else in our own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if network:
        connection = await asyncio.to_thread(_tcp_socket, network, family)
    else:
        connection = socket.socket(family)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
    except BaseException:
        connection.close()
        raise
    return connection


def listeners(network: str) -> str | None:
    """The kernel's tables of a network's sockets; none if it has no gateway."""
    try:
        descriptors = ask_gateway(network, SOCKET_TABLES)
    except FileNotFoundError:
        return None
    except OSError:  # its gateway has just ended, and with it all that listened
        return ""
    texts = []
    for number in descriptors:
        with os.fdopen(number, "rb") as table:
            texts.append(table.read().decode("ascii", "replace"))
    return "".join(texts)


def publish(network: str, port: int) -> int:
    """A new port of this computer that leads to a port inside, for our own user and root."""
    with socket.create_server((HOST, 0), backlog=LISTEN_BACKLOG) as listener:
        ask_gateway(network, PUBLISH + str(port).encode(), [listener.fileno()])
        return int(listener.getsockname()[1])


def _tcp_socket(network: str, family: socket.AddressFamily) -> socket.socket:
    [number] = ask_gateway(network, TCP_SOCKET[family])
    return socket.socket(fileno=number)
