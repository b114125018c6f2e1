"""The network device in a workspace's namespace, which stays while `pasta` rests.

`pasta` takes 12 MiB for its tables, also for a workspace that sends nothing. So it ends while
nobody uses the network, and the supervisor holds the device instead: the first packet that leaves
wakes `pasta`, and is sent to it again.
"""

import fcntl
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

DEVICE_NAME = b"eth0"
TUN = "/dev/net/tun"
ROUTER_SOLICITATIONS = Path(f"/proc/sys/net/ipv6/conf/{DEVICE_NAME.decode()}/router_solicitations")
TUNSETIFF, TUNSETPERSIST, TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
IFF_TAP, IFF_NO_PI = 0x2, 0x1000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_NOARP = 0x8913, 0x8914, 0x80
INTERFACE_FLAGS = struct.Struct("16sH22x")
MAX_FRAME_BYTES, MAX_FRAMES, MAX_DESCRIPTORS = 1 << 16, 64, 1
MAX_TABLE_BYTES = 1 << 16  # with more sockets than that, the network counts as in use
CHECK_INTERVAL, QUIET_SECONDS = 10.0, 30.0
# As long as `pasta` itself remembers that an answer to a datagram belongs to a socket.
UDP_QUIET_SECONDS = 180.0
SOCKET_FILES = ("tcp", "tcp6", "udp", "udp6")
MULTICAST = (b"\x33\x33", b"\x01\x00\x5e")  # which `pasta` does not pass on
OPEN_TCP_STATES = {"01", "02", "03", "04", "05", "08", "09", "0B"}  # those with a peer
LOOPBACK_BYTE, IPV4_MAPPED = "7F", "0000000000000000FFFF0000"
LOOPBACK_IPV6 = "0" * 24 + "01000000"


def is_loopback(address: str) -> bool:
    """Whether an address, as `/proc/net/tcp` writes it, is on the loopback."""
    if address.startswith(IPV4_MAPPED):
        address = address.removeprefix(IPV4_MAPPED)
    return address == LOOPBACK_IPV6 or (len(address) == 8 and address.endswith(LOOPBACK_BYTE))


def quiet_needed(tables: Sequence[str]) -> float | None:
    """For how long no packet may have passed until `pasta` may rest; None if it may not.

    `tables` are the contents of `SOCKET_FILES` in `/proc/net`. An open connection needs `pasta`,
    whether it is used or not; a socket for datagrams needs it as long as answers may come.
    """
    seconds = QUIET_SECONDS
    for name, table in zip(SOCKET_FILES, tables):  # noqa: B905  Python 3.9 has no `strict`
        for line in table.splitlines()[1:]:
            _, local, remote, state, *_ = line.split()
            if name.startswith("tcp"):
                if state in OPEN_TCP_STATES and not is_loopback(remote.split(":")[0]):
                    return None
            elif not is_loopback(local.split(":")[0]):
                seconds = UDP_QUIET_SECONDS
    return seconds


def needs_pasta(frame: bytes) -> bool:
    """Whether it is for another computer: the kernel also tells its neighbors of itself."""
    return not frame.startswith(MULTICAST)


class _Usage(NamedTuple):
    counters: bytes
    since: float


class NetworkDevice:
    """The device of one namespace; `enter` moves a new child process into that namespace."""

    def __init__(self, process: int, enter: Callable[[], None]) -> None:
        """Make it; `process` is in the namespace. Raises `OSError`."""
        self._enter, self._held = enter, -1
        self._files: list[int] = []
        try:
            # What is opened here tells of that namespace, also after the process.
            for name in ("dev", *SOCKET_FILES):
                path = f"/proc/{process}/net/{name}"
                path = path if os.path.exists(path) else os.devnull
                self._files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            os.close(self._ask(_attach))
        except OSError:
            self.close()
            raise
        self._usage = _Usage(b"", time.monotonic())
        self._next_check = 0.0

    def is_unused(self) -> bool:
        """Whether nobody has used the network for a while; asks the kernel now and then."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_INTERVAL
        counters = self._counters()
        if counters != self._usage.counters:
            self._usage = _Usage(counters, now)
        if (quiet := now - self._usage.since) < QUIET_SECONDS:
            return False
        tables = [_content(file) for file in self._files[1:]]
        if any(len(table) > MAX_TABLE_BYTES for table in tables):
            return False
        needed = quiet_needed([table.decode() for table in tables])
        return needed is not None and quiet >= needed

    def hold(self) -> int:
        """Take it over from a `pasta` that has ended: a descriptor that packets make readable."""
        self._held = self._ask(_attach)
        os.set_blocking(self._held, False)
        return self._held

    def release(self) -> None:
        """Leave it to a `pasta` that is about to start."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
        self._usage = _Usage(b"", time.monotonic())

    def frames(self) -> list[bytes]:
        """The packets that have left, if one of them needs `pasta`; else none."""
        frames = list[bytes]()
        with suppress(BlockingIOError):
            while len(frames) < MAX_FRAMES:
                frames.append(os.read(self._held, MAX_FRAME_BYTES))
        return frames if any(map(needs_pasta, frames)) else []

    def send_again(self, frames: Sequence[bytes]) -> None:
        """Send packets again that left before `pasta` was there; raises `OSError`."""
        with socket.socket(fileno=self._ask(_packet_socket)) as packets:
            for frame in frames:
                packets.send(frame)

    def close(self) -> None:
        """Close all descriptors."""
        for file in (*self._files, *((self._held,) if self._held >= 0 else ())):
            os.close(file)
        self._files, self._held = [], -1

    def _counters(self) -> bytes:
        lines = _content(self._files[0]).splitlines()
        return next((line for line in lines if line.strip().startswith(DEVICE_NAME)), b"")

    def _ask(self, open_there: Callable[[], int]) -> int:
        """A descriptor that is opened in the namespace, by a child process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                if not (child := os.fork()):
                    _answer(theirs, self._enter, open_there)
            answer, descriptors, _, _ = socket.recv_fds(ours, 4, MAX_DESCRIPTORS)
        os.waitpid(child, 0)
        if not descriptors:
            number = int(answer or b"0")
            raise OSError(number, os.strerror(number), DEVICE_NAME.decode())
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]


def _content(file: int) -> bytes:
    """What a file of `/proc` says now; its end is missing if it is too long."""
    os.lseek(file, 0, os.SEEK_SET)
    content = b""
    while len(content) <= MAX_TABLE_BYTES and (piece := os.read(file, MAX_TABLE_BYTES)):
        content += piece
    return content


def _answer(
    supervisor: socket.socket, enter: Callable[[], None], open_there: Callable[[], int]
) -> NoReturn:
    """In the child: enter the namespace, and pass what is opened there, or the error's number."""
    try:
        signal.set_wakeup_fd(-1)
        enter()
        socket.send_fds(supervisor, [b"0"], [open_there()])
    except OSError as error:
        supervisor.send(str(error.errno).encode())
    finally:
        os._exit(0)


def _attach() -> int:
    """Make the device, or attach to it if nobody does."""
    device = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(device, TUNSETIFF, INTERFACE_FLAGS.pack(DEVICE_NAME, IFF_TAP | IFF_NO_PI))
    # Others may attach to it only with rights in the namespace, which `pasta` has.
    fcntl.ioctl(device, TUNSETOWNER, os.geteuid())
    fcntl.ioctl(device, TUNSETPERSIST, 1)
    with suppress(OSError):  # there is no IPv6
        ROUTER_SOLICITATIONS.write_text("0")  # `pasta` has set address and routes
    _ask_for_no_addresses()
    return device


def _ask_for_no_addresses() -> None:
    """Let packets leave at once: the kernel drops those that wait for a neighbor's address.

    It does so when `pasta` takes the device over. `pasta` looks at no address of Ethernet.
    """
    with socket.socket() as probe:
        answer = fcntl.ioctl(probe, SIOCGIFFLAGS, INTERFACE_FLAGS.pack(DEVICE_NAME, 0))
        _, flags = INTERFACE_FLAGS.unpack(answer)
        fcntl.ioctl(probe, SIOCSIFFLAGS, INTERFACE_FLAGS.pack(DEVICE_NAME, flags | IFF_NOARP))


def _packet_socket() -> int:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind((DEVICE_NAME.decode(), 0))
        return packets.detach()
