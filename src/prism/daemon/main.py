"""`prismd`: read the settings, open the sockets, build the application, serve until stopped."""

import asyncio
import fcntl
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import IO, cast

import uvicorn
from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError
from uvicorn.server import ServerState

from prism import __version__
from prism.daemon import logs
from prism.daemon.api import GRACE
from prism.daemon.app import App, build, public
from prism.daemon.database_lock import earlier_locations, hold_database
from prism.daemon.kept_access import keep_access
from prism.daemon.listeners import Listeners, open_default, open_listeners
from prism.daemon.memory import check_memory, limit_arenas
from prism.daemon.network_environment import prepare_environment
from prism.errors import Conflict, Problem, Unavailable
from prism.home import check_owner, default_port, environment, port_file
from prism.kit.clock import Clock, WallClock
from prism.kit.database.database_faults import diagnose
from prism.kit.database.disk_reserve import HINT, NO_ROOM, HomeDiskFull, Reserve
from prism.kit.gui_origin import new_gui_label
from prism.kit.idempotency import HandlerThreads
from prism.kit.limits import RequestLimits
from prism.kit.network.http_protocol import NORMAL, http_protocol, web_sockets
from prism.kit.network.peer_credentials import PeerCheck, SocketDiagnostics, peers_known
from prism.providers.local.location import settle_home
from prism.settings import Settings
from prism.workspaces.ports import Compute

log = logging.getLogger(__name__)
MESSAGE = 1024 * 1024  # bytes of a message that a WebSocket client may send
HANDSHAKE_SECONDS = 10  # seconds for a handshake of TLS
KEEP_ALIVE_SECONDS = 30  # seconds after which a connection without requests is closed


class AlreadyRunning(Conflict, code="ALREADY_RUNNING"):
    """A daemon of this home already runs."""


class _ServerState(ServerState):
    """The state that uvicorn's connections share, with the date header of answers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        super().__init__()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of every answer."""
        return _date_header(self._clock.now().replace(microsecond=0))

    @default_headers.setter
    def default_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Uvicorn sets it once, to nothing."""


@lru_cache(maxsize=1)
def _date_header(second: datetime) -> list[tuple[bytes, bytes]]:
    return [(b"date", format_datetime(second, usegmt=True).encode())]


class Server(uvicorn.Server):
    """A server that also ends its event streams, which would keep it open for ever."""

    def __init__(
        self, config: uvicorn.Config, application: App, tls: Sequence[socket.socket] = ()
    ) -> None:
        """`tls` are the listeners on which it speaks TLS."""
        self._application, self._tls = application, tls
        self._leave: Callable[[], object] = lambda: None  # set when the loop runs
        self._later: Callable[[float, Callable[[], object]], object] | None = None  # the same
        super().__init__(config)
        self.server_state = _ServerState(WallClock())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the threads of handlers, then serve."""
        asyncio.get_running_loop().set_default_executor(HandlerThreads())
        await super().startup(sockets)
        await self._listen_with_tls()
        log.info("ready")

    async def _listen_with_tls(self) -> None:
        """Serve the same on the listeners for TLS."""
        certificate = self._application.server_certificate
        if certificate is None:
            return
        protocol = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        make_protocol = partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for listener in self._tls:
            server = await asyncio.get_running_loop().create_server(
                make_protocol,
                sock=listener,
                ssl=certificate.context,
                backlog=self.config.backlog,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
            self.servers.append(server)

    async def main_loop(self) -> None:
        """Wait for the shutdown; uvicorn's own loop wakes ten times a second."""
        leaving, loop = asyncio.Event(), asyncio.get_running_loop()
        self._leave = lambda: loop.call_soon_threadsafe(leaving.set)
        self._later = lambda seconds, do: loop.call_soon_threadsafe(loop.call_later, seconds, do)
        if not self.should_exit:
            await leaving.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Close on SIGTERM or SIGINT; on the first SIGTERM only when proxies have noticed."""
        readiness, drain = self._application.readiness, self._application.settings.drain
        if drain and sig == signal.SIGTERM and self._later and not readiness.is_leaving:
            readiness.is_leaving = True
            log.info("told to stop; still serves for %s s", drain)
            self._later(drain, partial(self._exit, sig, frame))
        else:
            self._exit(sig, frame)

    def _exit(self, sig: int, frame: FrameType | None) -> None:
        self._application.end()
        super().handle_exit(sig, frame)
        self._leave()

    def stop(self) -> None:
        """Close after a request to shut down."""
        log.info("asked to shut down")
        self._application.end()
        self.should_exit = True
        self._leave()


def main(words: Sequence[str] | None = None) -> int:
    """Run a daemon; the exit code is 0 when it was told to stop, 1 when it could not start."""
    words = sys.argv[1:] if words is None else words
    overrides = _command_line(words) if words else {}
    try:
        os.environ.update(prepare_environment(os.environ))
        environ = {**os.environ, **{k: v for k, v in overrides.items() if v}}
        has_port = bool(environment(environ).get("PRISM_PORT"))
        return run(Settings.load(environ), has_port=has_port)
    except (Problem, OSError, SQLAlchemyError) as error:
        log.debug("cannot start", exc_info=error)
        if (problem := error if isinstance(error, Problem) else _start_problem(error)) is None:
            raise
        because = f" ({problem.details})" if problem.details else ""
        sys.stderr.write(f"error: {problem.message}{because}\n")
        if problem.remediation:
            sys.stderr.write(f"hint: {problem.remediation}\n")
        return 1


def _start_problem(error: OSError | SQLAlchemyError) -> Problem | None:
    """The problem that prevents a start; None for a bug."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return HomeDiskFull(details=str(error), remediation=HINT)
    if isinstance(error, OSError):
        return Unavailable(
            f"Cannot use {error.filename or 'the home'}",
            details=error.strerror or str(error),
            remediation="Choose a home that you may write to with PRISM_HOME",
        )
    return diagnose(error, writing=True)


def run(
    settings: Settings, computes: Mapping[str, Compute] | None = None, *, has_port: bool = True
) -> int:
    """Run a daemon with these settings, which serves `computes` instead of all providers.

    `has_port` is whether somebody chose the port.
    """
    os.umask(0o077)  # other users may not read the daemon's files
    limit_arenas()
    check_memory(resource.getrlimit(resource.RLIMIT_AS)[0])
    check_owner(str(settings.folder))
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    logs.begin(settings.log_level)
    Reserve(settings.folder).give_up()
    with ExitStack() as stack:
        lock = stack.enter_context(only_one(settings.folder))
        keep_access(settings)
        stack.enter_context(hold_database(settings.database, settings.folder))
        if moved := settle_home(settings.folder, partial(earlier_locations, settings.database)):
            log.warning("%s", moved)
        listeners = stack.enter_context(closing(_listen(settings, has_port=has_port)))
        settings = replace(settings, port=listeners.port)
        gui_label = new_gui_label()
        _write_owner(lock, settings.port, gui_label)
        _serve(settings, computes, listeners, gui_label)
    log.info("stopped; workspaces keep running")
    return 0


def _listen(settings: Settings, *, has_port: bool) -> Listeners:
    """Open the sockets; the port stays what was chosen, or what people reach from outside."""
    if has_port or public(settings):
        return open_listeners(
            settings.host,
            settings.port,
            settings.socket,
            beyond=public(settings),
            tls_port=settings.public_tls_port,
        )
    usual, file = int(default_port(str(settings.folder))), Path(port_file(str(settings.folder)))
    listeners = open_default(settings.host, usual, settings.socket)
    if listeners.port != usual:
        log.warning("port %s is taken; this home now uses %s", usual, listeners.port)
    if listeners.port != usual or not file.exists():
        new = file.with_suffix(".new")
        try:
            new.write_text(f"{listeners.port}\n", "ascii")
            new.replace(file)
        except OSError as error:  # such as a full disk
            log.warning("the port is not kept for the next start: %s", error)
    return listeners


def _serve(
    settings: Settings,
    computes: Mapping[str, Compute] | None,
    listeners: Listeners,
    gui_label: str,
) -> None:
    def stop() -> None:
        server.stop()

    sys.setswitchinterval(0.0005)  # with many threads, the default of 5 ms delays each of them
    with ExitStack() as stack:
        application = stack.enter_context(
            closing(build(settings, computes, stop=stop, gui_label=gui_label))
        )
        application.prepare()
        alone = settings.auth == "local" and peers_known()  # otherwise tokens identify the caller
        known = PeerCheck(stranger=application.of_a_workspace) if alone else None
        peers = stack.enter_context(closing(known)) if known else None
        diagnosis = stack.enter_context(closing(SocketDiagnostics())) if peers_known() else None
        limits = RequestLimits(
            connections=settings.connections, per_peer=settings.connections_per_peer
        )
        config = _config(application, peers, limits, diagnosis)
        server = Server(config, application, listeners.tls)
        gc.freeze()  # exempts these objects from collections, which would take 40 ms
        gc.enable()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn raises the signals again at its end
        log.info("pid %s listens at http://localhost:%s", os.getpid(), settings.port)
        server.run(listeners.sockets)


@contextmanager
def only_one(folder: Path) -> Iterator[IO[str]]:
    """Hold the home's lock, whose file names the daemon; raise if another daemon holds it."""
    with (folder / "daemon.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"A daemon already runs in {folder}",
                details=_describe_owner(lock.read()),
                remediation="Use it, or end it with `prism daemon stop`",
            ) from None
        _write_owner(lock, None)
        yield lock
        lock.truncate(0)


def _write_owner(lock: IO[str], port: int | None, gui_label: str = "") -> None:
    """Write the daemon's pid and address into the lock, for clients and a second daemon."""
    owner: dict[str, object] = {"pid": os.getpid(), "version": __version__}
    if port:
        owner |= {"port": port, "url": f"http://localhost:{port}"}
    if gui_label:
        owner["gui"] = f"http://{gui_label}.localhost:{port}"
    lock.truncate(0)
    lock.write(json.dumps(owner))
    lock.flush()


def _describe_owner(written: str) -> str:
    try:
        owner = json.loads(written)
        address = owner.get("url", "still starting")
        return f"pid {owner['pid']}, {address}, version {owner['version']}"
    except (ValueError, KeyError):
        return "its lock file cannot be read"


def _config(
    application: App,
    peers: PeerCheck | None,
    limits: RequestLimits = NORMAL,
    diagnosis: SocketDiagnostics | None = None,
) -> uvicorn.Config:
    return uvicorn.Config(
        application.app,
        access_log=False,
        http=http_protocol(peers, WallClock(), limits, diagnosis),
        lifespan="on",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ws=cast("type[asyncio.Protocol]", web_sockets),
        ws_max_size=MESSAGE,
    )


def _command_line(words: Sequence[str]) -> dict[str, str | None]:
    """The settings that the command line gives, by variable."""
    import argparse  # noqa: PLC0415  cold start

    parser = argparse.ArgumentParser(prog="prismd", description="Prism's daemon.")
    parser.add_argument("--host", help="the address to listen on (PRISM_HOST)")
    parser.add_argument("--port", help="the port to listen on; 0 finds a free one (PRISM_PORT)")
    parser.add_argument("--version", action="version", version=f"prismd {__version__}")
    arguments = parser.parse_args(words)
    return {"PRISM_HOST": arguments.host, "PRISM_PORT": arguments.port}


if __name__ == "__main__":
    sys.exit(main())
