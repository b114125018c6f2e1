"""The lab servers in use; each is a location, named after the words that log in to it."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from prism.errors import Problem
from prism.profiles.model import Profile
from prism.profiles.providers import LAB_SERVER
from prism.providers.local.ssh.gate import SshGate, SshSource
from prism.providers.provider import Location, Login
from prism.providers.ssh.compute import LabCompute
from prism.providers.ssh.files import LabFiles
from prism.providers.ssh.logs import LabLogs
from prism.providers.ssh.model import KnownServer, NotOnServers, ServerFacts, distinct
from prism.providers.ssh.offer import LabOffer, LabStorageOffer
from prism.providers.ssh.server import LabServer
from prism.providers.tunnels.forwards import Forwards
from prism.recovery.model import SurveyedLocation

if TYPE_CHECKING:
    from asyncssh import SSHServerSession

log = logging.getLogger(__name__)
MARKS = "servers-used"  # a file for each server that may have files of Prism
LOOK_EVERY = 15.0  # seconds
SURVEY_THREADS = 4  # requests to one server at a time; its `MaxSessions` is often 10


class ServersInUse(Struct, frozen=True, kw_only=True):
    """Active profiles of servers, and the locations that have rows.

    `stored` are all profiles, also those that nobody has switched to; None while unknown.
    """

    profiles: tuple[Profile, ...] = ()
    locations: tuple[str, ...] = ()
    stored: tuple[Profile, ...] | None = None


class ServerParts(Struct, frozen=True):
    """One connected server."""

    server: LabServer
    compute: LabCompute
    forwards: Forwards
    files: LabFiles


class LabServers:
    """Implements `providers.provider.Provider`; mappings are never changed, only replaced."""

    def __init__(
        self,
        home: Path,
        usage: Callable[[], ServersInUse],
        gate: SshGate,
        *,
        remembered: timedelta,
        stranger: Callable[[int], bool],
        is_shared: bool = False,
        minute: float = 60,
    ) -> None:
        """`gate` serves SSH into the workspaces; `stranger` tells who may use no tunnel.

        A daemon that is `is_shared` has no right to use the login of its operator for others.
        """
        self._is_shared = is_shared
        self._ports, self._usage, self._gate = home / "ssh" / "servers", usage, gate
        self._remembered, self._stranger, self._minute = remembered, stranger, minute
        self.locations: Mapping[str, Location] = {}
        self.in_use: Set[str] = frozenset()
        self._parts: dict[str, ServerParts] = {}
        self._connected: Callable[[str], object] = lambda location: None
        self._rung, self._closed = threading.Event(), threading.Event()
        self._worker: threading.Thread | None = None
        self._lock = threading.Lock()

    # ------------------------------------------------------------ for requests
    def offer(self, profile: Profile, *, wait: float) -> LabOffer:
        """The offer of a profile's servers; makes no call."""
        self._refuse_sharing()
        return LabOffer(profile, distinct([*map(self._known_server, hosts_of(profile))]))

    def _known_server(self, host: str) -> KnownServer:
        location = location_of(host)
        if (parts := self._parts.get(location)) is None:
            return KnownServer(host=host, location=location)
        parts.server.enter()
        compute, facts = parts.compute, parts.server.known
        return KnownServer(
            host=host,
            location=location,
            facts=facts,
            room=compute.room,
            identity=compute.identity or (facts.identity if facts else None),
            is_away=compute.is_away,
        )

    def storage_offer(self, location: str) -> LabStorageOffer:
        """The storage offer, which refuses."""
        return LabStorageOffer(location)

    def login(self, location: str) -> Login:
        """Who is logged in to a server, if it was asked."""
        parts = self._parts.get(location)
        known = parts.server.known if parts else None
        return Login(identity=known.user if known else None)

    def delay(self, location: str) -> str | None:
        """Calls to a server do not wait for others."""
        return None

    def unreadable(self) -> Sequence[str]:
        """What cannot be read is logged."""
        return ()

    def profiles_without_location(self) -> Mapping[str, Problem]:
        """Every profile names its server."""
        return {}

    def unsurveyed_locations(self) -> Sequence[SurveyedLocation]:
        """The servers in use."""
        return [SurveyedLocation(location) for location in sorted(self.in_use)]

    def facts(self, host: str, accepted: str | None) -> tuple[ServerFacts, str]:
        """Try a server, for a new profile: what it offers, and why it cannot fetch packages.

        `accepted` is the fingerprint of a host key to accept.
        """
        self._refuse_sharing()
        server = LabServer(host, accepted)
        try:
            facts = server.facts()
            refusal = server.call("registry", kind=str, uv=server.uv(), seconds=60)
        finally:
            server.close()
        for parts in [*self._parts.values()]:
            if parts.server.name == host:
                parts.server.reset_backoff()
        return facts, refusal

    # ------------------------------------------------------------ behind the scenes
    def look(self, wait: float) -> None:
        """Find the servers in use; a connection is opened by the first request."""
        usage = self._usage()
        hosts = {host for profile in usage.profiles for host in hosts_of(profile)}
        used = {*map(location_of, hosts), *usage.locations}
        with self._lock:
            fresh = [] if self._closed.is_set() else sorted(used - self._parts.keys())
            for location in fresh:
                self._parts[location] = self._connect(location)
            self.locations = {
                at: Location(
                    compute=parts.compute,
                    logs=LabLogs(parts.server),
                    files=parts.files,
                    threads=SURVEY_THREADS,
                )
                for at, parts in self._parts.items()
            }
            self.in_use = frozenset(used)
            for location in used:
                self._mark(location)
        for location in fresh:
            self._connected(location)
        if usage.stored is not None:
            stored = {
                location_of(host)
                for profile in usage.stored
                if profile.provider == LAB_SERVER
                for host in hosts_of(profile)
            }
            for location in sorted(self._marked() - used - stored):
                self._leave(location)

    def start(self, connected: Callable[[str], object]) -> None:
        """Look now, regularly, and soon after each `wake`."""
        self._connected = connected
        self._worker = threading.Thread(target=self._watch, name="lab servers", daemon=True)
        self._worker.start()

    def wake(self) -> None:
        """Look soon; does not wait."""
        self._rung.set()

    def stop(self) -> None:
        """Add no more servers."""
        self._closed.set()
        self.wake()
        if self._worker is not None:
            self._worker.join(10)

    def close(self) -> None:
        """Disconnect; machines keep running."""
        self.stop()
        for parts in self._parts.values():
            parts.forwards.close()
            parts.server.close()

    def _mark(self, location: str) -> None:
        """Note that Prism may have files there, for a daemon that starts later."""
        self._parts[location].server.enter()
        mark = self._ports.with_name(MARKS) / _short(location)
        if not mark.exists():
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.write_text(location)

    def _marked(self) -> set[str]:
        folder = self._ports.with_name(MARKS)
        return {mark.read_text() for mark in folder.iterdir()} if folder.is_dir() else set()

    def _leave(self, location: str) -> None:
        """Remove Prism from a server that no profile and no workspace uses any more."""
        parts = self._parts.get(location)
        server = parts.server if parts else LabServer(location.partition(":")[2])
        try:
            remains = server.leave()
        except Problem as problem:  # it is tried again at the next look
            log.info("%s still has Prism's folder: %s", server.name, problem.message)
            return
        finally:
            if parts is None:
                server.close()
        if remains:
            log.info("%s keeps what others use: %s", server.name, ", ".join(remains)[:300])
        (self._ports.with_name(MARKS) / _short(location)).unlink(missing_ok=True)

    def _refuse_sharing(self) -> None:
        if self._is_shared:
            raise NotOnServers(
                "A shared daemon uses no lab servers yet",
                details="it would log in with the key of its operator, for everybody",
                remediation="Run Prism on your own computer for this, with `prism daemon start`",
            )

    def _watch(self) -> None:
        while not self._closed.is_set():
            self._rung.clear()
            self.look(0)
            self._rung.wait(LOOK_EVERY)
            self._closed.wait(0.2)  # one look for a burst of commits

    def _connect(self, location: str) -> ServerParts:
        server = LabServer(location.partition(":")[2])
        forwards = Forwards(server, stranger=self._stranger)
        ports = self._ports / _short(location)
        compute = LabCompute(
            server,
            self._gate,
            ports,
            remembered=self._remembered,
            forwards=forwards,
            minute=self._minute,
        )

        def session(id: str) -> "SSHServerSession[bytes]":
            from prism.providers.ssh.session import LabSession  # noqa: PLC0415  cold start

            return LabSession(server, id)

        self._gate.add(
            SshSource(
                running=compute.running,
                may_reach=compute.target,
                folder=ports,
                session=session,
            )
        )
        return ServerParts(server, compute, forwards, LabFiles(server))


def _short(location: str) -> str:
    """The name of a file for a location."""
    return sha256(location.encode()).hexdigest()[:16]


def hosts_of(profile: Profile) -> list[str]:
    """The servers of a profile."""
    if profile.host is None:
        raise NotOnServers(f"Profile {profile.name!r} names no server")
    return profile.host.split(",")


def location_of(host: str) -> str:
    """The location of a server."""
    return f"{LAB_SERVER}:{host}"
