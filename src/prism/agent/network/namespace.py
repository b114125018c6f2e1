"""The network of one sandboxed workspace: a namespace that `pasta` connects to the outside.

Loopback, ports and abstract Unix sockets are the workspace's own. `pasta` (Debian's package
`passt`) translates its connections to the outside; it runs as the workspace's own user and never
connects to the loopback of this computer.

A second process, the gateway (`gateway.py`), runs in the namespace but outside of the sandbox.
Both end while nobody uses them, and start again at the next use. Only through the gateway can this
computer reach the workspace's ports.
"""

import errno
import os
import re
import select
import signal
import socket
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from math import inf
from pathlib import Path

from prism.agent.machine.output_logs import last_words
from prism.agent.network.device import DEVICE_NAME, TUN, NetworkDevice
from prism.agent.network.gateway import DIAGNOSIS, Gateway
from prism.agent.network.packet_filter import filter_messages
from prism.agent.network.reachable_addresses import (
    addresses_of_this_computer,
    destinations,
    mode_of,
    reachable,
    resolvers_in,
)
from prism.agent.protocol import NETWORK_SOCKET, TCP_SOCKET
from prism.agent.sandbox.bubblewrap import PROGRAMS
from prism.agent.system import syscalls
from prism.agent.system.processes import LINUX, PR_SET_PDEATHSIG, Start, prctl, spawn, which

MODE_VARIABLE, ALLOWED_VARIABLE = "PRISM_WORKSPACE_NETWORK", "PRISM_WORKSPACE_NETWORK_ALLOW"
HOST, LISTEN_BACKLOG, MAX_DIAGNOSIS_BYTES = "127.0.0.1", 128, 1 << 18
START_TIMEOUT, WAKE_TIMEOUT, GATEWAY_TIMEOUT = 20.0, 5.0, 5.0
EVERYBODY = 0o666
RESTART_DELAY = 1.0  # seconds until `pasta` is started again, if it has ended
RESOLVER, TUN_FOLDER = "/etc/resolv.conf", "/dev/net"
TUN_DEVICE = os.makedev(10, 200)
IPV6_ADDRESSES = "/proc/net/if_inet6"  # absent if the kernel has no IPv6
FORWARDER = "169.254.1.1"
"""The name server inside, if this computer's name server is on its loopback."""
PASTA = (
    *("--foreground", "--quiet", "--no-map-gw", "--dns-forward", FORWARDER),
    *("-t", "none", "-u", "none", "-U", "none", "--pid", "/dev/stdout"),
    "--no-netns-quit",  # it finds the namespace by the gateway, which may end before it
)


class NetworkUnavailable(Exception):
    """A workspace cannot get its own network here; the message says why."""


def pasta() -> str | None:
    """The path of `pasta`, if it is installed."""
    return which("pasta", PROGRAMS) if LINUX else None


def resolver_file(text: str) -> str | None:
    """The content of `/etc/resolv.conf` inside; None if it is the same as outside.

    Name servers on this computer's loopback are replaced by one that `pasta` forwards to them.
    """
    lines, is_local = [], False
    for line in text.splitlines():
        if (named := re.match(r"\s*nameserver\s+([^\s%]+)", line)) and _is_loopback(named[1]):
            is_local = True
        else:
            lines.append(line)
    return "\n".join([f"nameserver {FORWARDER}", *lines, ""]) if is_local else None


def configured_mode() -> str:
    """The mode of workspaces' networks, as passed on by the daemon."""
    return mode_of(os.environ.get(MODE_VARIABLE, ""))


def configured_filter(mode: str) -> bytes:
    """The filter of packets for a network that starts now."""
    resolvers = resolvers_in(_read(RESOLVER))
    if any(address.is_loopback for address in resolvers):
        resolvers.append(ip_address(FORWARDER))
    allowed = reachable(
        mode,
        computer=addresses_of_this_computer(),
        resolvers=[address for address in resolvers if not address.is_loopback],
        allowed=destinations(os.environ.get(ALLOWED_VARIABLE, "")),
    )
    return filter_messages(allowed, has_ipv6=os.path.exists(IPV6_ADDRESSES))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _is_loopback(address: str) -> bool:
    with suppress(ValueError):
        return ip_address(address).is_loopback
    return False


class WorkspaceNetwork:
    """A running network namespace, with its gateway and its `pasta`."""

    def __init__(
        self,
        folder: Path,
        user: int | None,
        environment: Mapping[str, str],
        mode: str,
        counters: Mapping[str, int] | None = None,
        *,
        name: str = NETWORK_SOCKET,
        loopback_ports: Iterable[int] = (),
    ) -> None:
        """`user` is the uid of the workspace, if it is not ours; `mode` says what it reaches.

        `counters` are the limits of the user namespace, if the programs run within it. `name` is
        the gateway's socket. `loopback_ports` lead to the same ports of this computer's loopback.
        """
        program = pasta()
        if program is None:
            raise NetworkUnavailable("`pasta` is not installed")
        self._folder, self._user, self._environment = folder, user, environment
        self.output_pipe = -1
        """The pipe with the output of `pasta`."""
        self.resting_device = -1
        """The descriptor that `rest` returned, until `wake`."""
        self._pasta, self._ended_at = 0, 0.0
        self._published: set[int] = set()
        self._loopback_ports = ",".join(map(str, loopback_ports)) or "none"
        self._is_ready, self._program, self._output = False, program, b""
        self._is_configured = self._is_resting = False
        self._diagnosis: socket.socket | None = None
        self._device: NetworkDevice | None = None  # without it, `pasta` never rests
        try:
            filter = configured_filter(mode)
            self._gateway = Gateway(folder, name, user, filter, counters or {})
        except OSError as error:
            raise NetworkUnavailable(f"no network namespace can be made: {error}") from error
        self._open_outside()

    @property
    def unfiltered(self) -> str:
        """Why its packets are not filtered; empty if they are."""
        return self._gateway.unfiltered

    @property
    def pids(self) -> set[int]:
        """The processes of the network, which do not belong to the workspace's programs."""
        return {self._gateway.pid, self._pasta} - {0}

    def enter(self) -> None:
        """Move this process, a new child, into the namespace."""
        if self._user is None:  # its owner may do so only inside of the user namespace
            syscalls.enter(self._gateway.user_namespace, syscalls.NEW_USER)
        syscalls.enter(self._gateway.network_namespace, syscalls.NEW_NETWORK)

    def wait(self, timeout: float = START_TIMEOUT) -> None:
        """Wait until `pasta` is ready; raises `NetworkUnavailable` if it fails."""
        until = time.monotonic() + timeout
        while not self._is_ready:
            if not select.select([self.output_pipe], [], [], max(until - time.monotonic(), 0))[0]:
                raise NetworkUnavailable(f"`pasta` is not ready after {timeout:.0f} s")
            output = os.read(self.output_pipe, 4096)
            self._output += output
            self._is_ready = any(line.isdigit() for line in self._output.split(b"\n")[:-1])
            if not output and not self._is_ready:
                words = last_words(self._output.decode(errors="replace"))
                raise NetworkUnavailable(words or "`pasta` ends at once")
        self._is_configured = True

    def tcp_socket(self, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
        """A new TCP socket of the namespace."""
        return self._gateway.ask(TCP_SOCKET[family], GATEWAY_TIMEOUT)

    @property
    def sources(self) -> set[int]:
        """What tells that somebody needs the gateway, which rests; empty while it runs."""
        return self._gateway.sources

    def start_gateway(self) -> None:
        """Start the gateway for somebody who connects; raises `OSError`."""
        self._gateway.start()

    def diagnosis(self) -> socket.socket:
        """A netlink socket for questions about the connections of the namespace.

        It is one socket for all samples: asking the gateway for another one would start it.
        """
        if self._diagnosis is None:
            self._diagnosis = self._gateway.ask(DIAGNOSIS, GATEWAY_TIMEOUT)
        with suppress(BlockingIOError):  # answers that nobody waited for
            while self._diagnosis.recv(MAX_DIAGNOSIS_BYTES, socket.MSG_DONTWAIT):
                pass
        return self._diagnosis.dup()

    def publish(self, preferred: int | None) -> int:
        """Forward a port of this computer to a port inside, for our user and root.

        Returns its number: the preferred one if that is free here and inside, else another.
        """
        for port in (preferred, 0, 0, 0) if preferred else (0, 0, 0):
            if port in self._published:
                if self._is_free(port):
                    return port
                continue
            try:
                listener = socket.create_server((HOST, port or 0), backlog=LISTEN_BACKLOG)
            except OSError:
                continue
            number: int = listener.getsockname()[1]
            if self._is_free(number):
                self._gateway.publish(listener, number, GATEWAY_TIMEOUT)
                self._published.add(number)
                return number
            listener.close()
        raise OSError(errno.EADDRINUSE, "no free port")

    def _is_free(self, port: int) -> bool:
        with self.tcp_socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
            return True

    def reaped(self, pid: int) -> None:
        """Note that a child process of ours has ended."""
        if pid == self._gateway.pid:
            self._gateway.reaped()
        if pid == self._pasta:
            self._pasta, self._ended_at = 0, time.monotonic()

    def restart_ended(self) -> bool:
        """Start `pasta` again if it has ended by itself; returns whether it had."""
        if self._pasta or self._is_resting or time.monotonic() < self._ended_at + RESTART_DELAY:
            return False
        self._start_pasta()
        return True

    def until_restart(self) -> float:
        """Seconds until `pasta` is to be started again."""
        if self._pasta or self._is_resting:
            return inf
        return self._ended_at + RESTART_DELAY - time.monotonic()

    def rest(self) -> int | None:
        """End `pasta` if nobody uses the network; a descriptor that is readable on its next use.

        The caller calls `wake` then. None if `pasta` has to stay.
        """
        if self._device is None or not self._pasta or not self._device.is_unused():
            return None
        self._end_pasta()
        try:
            self.resting_device = self._device.hold()
        except OSError:
            return None
        self._is_resting = True
        return self.resting_device

    def wake(self) -> bool:
        """Start `pasta` for the packets that have left; returns whether there were any."""
        assert self._device is not None, "only a network with a device rests"
        if not (frames := self._device.frames()):
            return False
        self._is_resting, self.resting_device, self.output_pipe = False, -1, -1
        self._device.release()
        try:
            self._start_pasta()
            self.wait(WAKE_TIMEOUT)
            self._device.send_again(frames)
        except (NetworkUnavailable, OSError):  # it is started again soon, and senders repeat
            self._end_pasta()
        return True

    def close(self) -> None:
        """End the network's processes; the namespace ends with the last of them."""
        self._gateway.close()
        if self._diagnosis is not None:
            self._diagnosis.close()
        if self._device is not None:
            self._device.close()
            self.resting_device = -1
        if self._pasta:
            with suppress(ProcessLookupError):
                os.kill(self._pasta, signal.SIGKILL)

    def _open_outside(self) -> None:
        with suppress(OSError):
            self._device = NetworkDevice(self._gateway.pid, self.enter)
        try:
            self._start_pasta()
        except OSError as error:
            self.close()
            raise NetworkUnavailable(f"`pasta` cannot be started: {error}") from error

    def _end_pasta(self) -> None:
        if self._pasta:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pasta, signal.SIGKILL)
                os.waitpid(self._pasta, 0)
            self._pasta, self._ended_at = 0, time.monotonic()

    def _start_pasta(self) -> None:
        self.tcp_socket().close()  # keeps the gateway, by which `pasta` finds the namespaces
        pid = self._gateway.pid
        within = ["--userns", f"/proc/{pid}/ns/user", "--netns", f"/proc/{pid}/ns/net"]
        if self._device:
            within += ["-I", DEVICE_NAME.decode()]
        if not (self._device and self._is_configured):  # else addresses and routes are there
            within.append("--config-net")
        argv = [self._program, *PASTA, "-T", self._loopback_ports, *within]
        self._is_ready, self._output = False, b""
        start = Start(argv, self._environment, Path("/"), self._become_its_user)
        self._pasta, self.output_pipe = spawn(start)

    def _become_its_user(self) -> None:
        """Drop all rights that the workspace does not have, before `pasta` starts."""
        if (user := self._user) is None:
            return
        os.fchown(1, user, user)  # `pasta` opens it again
        if os.stat(TUN).st_mode & EVERYBODY != EVERYBODY:
            _mount_tun()
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of the user resets it


def _mount_tun() -> None:
    """Make the network device available to every user, as it is on most systems."""
    syscalls.unshare(syscalls.NEW_MOUNTS)
    syscalls.make_mounts_private()
    syscalls.mount_memory(TUN_FOLDER)
    os.mknod(TUN, stat.S_IFCHR, TUN_DEVICE)
    os.chmod(TUN, stat.S_IFCHR | EVERYBODY)
