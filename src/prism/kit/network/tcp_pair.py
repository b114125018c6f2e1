"""Two connected TCP sockets of this process, for code that needs addresses of both ends."""

import socket

HOST = "127.0.0.1"
SECONDS = 5.0  # until the kernel has connected them


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new loopback connection; nobody else can be one of them."""
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(SECONDS)
        ours = socket.create_connection(listener.getsockname(), SECONDS)
        try:
            while True:
                theirs, peer = listener.accept()
                if peer == ours.getsockname():
                    break
                theirs.close()  # another program has tried to connect first
        except BaseException:
            ours.close()
            raise
    for end in (ours, theirs):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return ours, theirs
