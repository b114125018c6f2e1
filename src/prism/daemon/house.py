"""The composition root: routes, middleware and loops around the parts of `rooms.py`."""

import itertools
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

from litestar.di import Provide

from prism.access import api as tokens
from prism.access.doors import Recognition, Rights, asker
from prism.access.model import Finder as Sought
from prism.access.model import Subject
from prism.audit import api as audit
from prism.budgets import api as budgets
from prism.connections import api as consoles
from prism.connections import live as connections
from prism.costs import api as costs
from prism.daemon import api as daemon
from prism.daemon import aws, cleaning, docs, doctor
from prism.daemon.hold import HoldDestruction
from prism.daemon.places import GATHER
from prism.daemon.room import RoomNeeded
from prism.daemon.rooms import Rooms
from prism.daemon.schemas import Structs
from prism.daemon.website import Website
from prism.errors import NotFound
from prism.files import live as files
from prism.idle import api as idleness
from prism.invitations import api as invitations
from prism.invitations import store as invitation_rows
from prism.kit import idempotency, journal, stream
from prism.kit.clock import Clock, WallClock
from prism.kit.db import Database
from prism.kit.gate import App, Gate
from prism.kit.http import Api, Intake, StrictRequest, problems
from prism.kit.idempotency import Idempotency
from prism.kit.migrate import upgrade
from prism.kit.reconcile import Loop
from prism.logs import live as logs
from prism.profiles import api as profiles
from prism.profiles.aws_config import config_file, sections
from prism.profiles.service import ProfileService
from prism.projects import api as projects
from prism.projects import members_api as members
from prism.projects import store as project_rows
from prism.recovery import api as recovery
from prism.settings import Settings
from prism.storage import api as storage
from prism.storage import store as storage_rows
from prism.storage.copies import SnapshotService
from prism.storage.ports import Volumes
from prism.templates import api as templates
from prism.workspaces import api as workspaces
from prism.workspaces import live
from prism.workspaces import store as workspace_rows
from prism.workspaces.ports import Compute
from prism.workspaces.reconciler import WorkspaceReconciler
from prism.workspaces.service import WorkspaceService
from prism.workspaces.snapshot import Snapshot
from prism.workspaces.waiting import Waiting

MIGRATIONS = Path(__file__).with_name("migrations")
TIDY_EVERY = timedelta(hours=1)
RESERVE_EVERY = timedelta(seconds=30)
WHO = 5.0  # seconds in which AWS says who we are
ROUTES: list[Any] = [
    workspaces.router,
    live.connect,
    idleness.router,
    logs.router,
    files.router,
    connections.router,
    consoles.aws_console,
    profiles.router,
    projects.router,
    budgets.router,
    costs.router,
    members.router,
    tokens.router,
    invitations.router,
    audit.audit,
    audit.events_of_instance,
    storage.volumes,
    storage.snapshots,
    templates.router,
    recovery.router,
    *stream.routes,
    daemon.router,
    cleaning.router,
    doctor.router,
    aws.router,
    docs.description,
]
WITHOUT_SECRETS = {
    tokens.CREATE: tokens.without_token,
    f"{invitations.PATH}/send": invitations.without_token,
}
"""How an answer is kept for a repeat, by the path of what answers with a secret."""


@dataclass(frozen=True)
class House:
    """Everything that is alive in a daemon."""

    app: App
    rooms: Rooms

    @property
    def db(self) -> Database:
        """State."""
        return self.rooms.db

    @property
    def loop(self) -> Loop[Any]:
        """What makes workspaces what is wanted."""
        return self.rooms.loop

    @property
    def reconciler(self) -> WorkspaceReconciler:
        """What that loop runs."""
        return self.rooms.reconciler

    @property
    def profiles(self) -> ProfileService:
        """Where launches go."""
        return self.rooms.profiles

    @property
    def workspaces(self) -> WorkspaceService:
        """The verbs of workspaces."""
        return self.rooms.workspaces

    @property
    def snapshot(self) -> Snapshot:
        """What reads of workspaces are answered from."""
        return self.rooms.snapshot

    @property
    def storage(self) -> SnapshotService:
        """The verbs of volumes and snapshots."""
        return self.rooms.storage

    def prepare(self) -> None:
        """Bring the database to today's schema, and make what a first start makes."""
        upgrade(self.db.url, MIGRATIONS)
        self.db.check()
        self.rooms.generation.begin()
        self.profiles.first_start(sections(config_file(os.environ)))
        self.rooms.reserve.keep()

    def settle(self, rounds: int = 20) -> None:
        """Patrol, and reconcile until nothing is due. For tests and demonstrations."""
        self.rooms.aws.look(WHO)
        joined = [it for place in self.rooms.aws.connected for it in self.rooms.join(place)]
        loops = [*self.rooms.loops, *joined]
        for loop in loops:
            loop.patrol()
        while rounds and sum(loop.once() for loop in loops):
            rounds -= 1

    def tidy(self) -> None:
        """Forget what has been kept long enough."""
        now = self.rooms.clock.now()
        with self.db.write() as tx:
            journal.prune(tx.sql, now)
            idempotency.prune(tx.sql, now)

    def end(self) -> None:
        """The daemon begins to shut down: streams end, and nothing lasting is begun."""
        self.db.bus.close()
        for place in self.rooms.volumes.values():
            place.end()

    def close(self) -> None:
        """Stop working and let go of everything; machines keep running."""
        self.rooms.aws.stop()
        joined = chain.from_iterable(self.rooms.joined_loops.values())
        for loop in [*self.rooms.loops, *joined]:
            loop.stop()
        self.rooms.aws.close()
        for place in self.rooms.volumes.values():
            place.close()
        self.db.close()


def build(
    settings: Settings,
    computes: Mapping[str, Compute] | None = None,
    clock: Clock | None = None,
    stop: Callable[[], object] = lambda: None,
    volumes: Mapping[str, Volumes] | None = None,
) -> House:
    """Put the parts together.

    `computes` are the places that this daemon serves, by name, and `volumes` what keeps data
    there; `stop` is what to do when somebody asks it to shut down.
    """
    rooms = Rooms(settings, computes, clock or WallClock(), stop, volumes)
    app = Api(
        ROUTES,
        dependencies={name: _given(part) for name, part in _parts(rooms).items()},
        exception_handlers=problems(rooms.clock),  # type: ignore[arg-type]
        lifespan=[
            lambda _: _running(house),
            lambda _: rooms.content.open(rooms.db.bus),
            lambda _: rooms.shells.open(),
            *([lambda _: rooms.lasting.open()] if rooms.team else []),
            *rooms.gates,
        ],
        logging_config=None,
        middleware=_middleware(rooms),
        openapi_config=docs.config(),
        plugins=[Structs()],
        request_class=StrictRequest,
    )
    house = House(_gate(cast("App", app), rooms), rooms)
    return house


def public(settings: Settings) -> bool:
    """Whether others than the owner of this login may come, by an address of their own."""
    return settings.auth == "tokens" and bool(settings.public_url)


def _parts(rooms: Rooms) -> dict[str, object]:
    """What routes may ask for, by the name of their parameter."""
    return {
        "budgets": rooms.budgets,
        "cleaning": rooms.cleaning,
        "clock": rooms.clock,
        "consoles": rooms.desk,
        "content": rooms.content,
        "costs": rooms.costs,
        "daemon": rooms.itself,
        "db": rooms.db,
        "desk": rooms.desk,
        "doctor": rooms.doctor,
        "doors": rooms.finder.doors,
        "finder": rooms.finder,
        "idleness": rooms.idleness,
        "files": rooms.files,
        "logs": rooms.logs,
        "invitations": rooms.invitations,
        "log": rooms.audit,
        "members": rooms.members,
        "money": rooms.purse,
        "moving": rooms.moving,
        "profiles": rooms.profiles,
        "recovery": rooms.rescue,
        "projects": rooms.projects,
        "resizing": rooms.resizing,
        "shells": rooms.shells,
        "sights": rooms.sights,
        "snapshot": rooms.snapshot,
        "storage": rooms.storage,
        "templates": rooms.templates,
        "tokens": rooms.tokens,
        "workspaces": rooms.workspaces,
    }


def _middleware(rooms: Rooms) -> list[Any]:
    """From the outside in: who asks, for how long it waits, what is said, once, and by right."""
    actor, db, clock = rooms.settings.actor, rooms.db, rooms.clock
    return [
        Recognition(actor, rooms.tokens.recognised if rooms.team else None, clock),
        lambda app: Waiting(app, rooms.snapshot, db.bus),
        Intake(),
        RoomNeeded(rooms.room),
        Idempotency(db, clock, asker, WITHOUT_SECRETS),
        HoldDestruction(rooms.generation.refuse),
        Rights(_sought(rooms), clock, rooms.lasting),
    ]


def _gate(app: App, rooms: Rooms) -> Gate:
    settings = rooms.settings
    address = settings.public_url.rstrip("/") if public(settings) else ""
    return Gate(
        Website(app, rooms.clock),
        settings.port,
        rooms.clock,
        content=rooms.content,
        hosts=[address.partition("://")[2]] if address else [],
        origins=[address] if address else [],
    )


def _sought(rooms: Rooms) -> dict[str, Sought]:
    """What the table of routes calls a workspace, a project: how to find it."""

    def workspace(name: str) -> Subject | None:
        try:
            it = rooms.snapshot.pages.named(name).workspace
        except NotFound:
            return None
        return Subject(it.project, it.owner)

    def project(name: str) -> Subject | None:
        with rooms.db.read() as sql:
            it = project_rows.recalled(sql, name)  # its report outlives it
        return None if it is None else Subject(it.id)

    def volume(name: str) -> Subject | None:
        with rooms.db.read() as sql:
            it = storage_rows.find_volume(sql, name)
        return None if it is None else Subject(it.project, it.owner)

    def kept(name: str) -> Subject | None:
        with rooms.db.read() as sql:
            it = storage_rows.find_snapshot(sql, name)
        return None if it is None else Subject(it.project, it.owner)

    def invitation(id: str) -> Subject | None:
        with rooms.db.read() as sql:
            it = invitation_rows.find(sql, id)
        return None if it is None else Subject(it.project, it.email, personal=True)

    return {
        "invitation": Sought(invitation, invitation_rows.not_found),
        "workspace": Sought(workspace, workspace_rows.not_found),
        "project": Sought(project, project_rows.not_found),
        "volume": Sought(volume, storage_rows.no_volume),
        "snapshot": Sought(kept, storage_rows.no_snapshot),
    }


def _given(part: object) -> Provide:
    return Provide(lambda: part, use_cache=True, sync_to_thread=False)


@asynccontextmanager
async def _running(house: House) -> AsyncIterator[None]:
    """Every loop at work, and a thread that tidies up now and then."""
    db, ended = house.db, threading.Event()
    with ExitStack() as stack:
        if db.shared:
            from prism.kit.listen import Listener  # noqa: PLC0415  cold start: it brings psycopg

            listener = Listener(db)
            listener.start()
            stack.callback(listener.stop)
        tidying = threading.Thread(target=_tidy_now_and_then, args=(house, ended), name="tidy")
        tidying.start()
        stack.callback(tidying.join)
        stack.callback(ended.set)
        for loop in house.rooms.loops:
            _start(stack, db, loop)
        _start_aws(stack, house)
        yield


def _start_aws(stack: ExitStack, house: House) -> None:
    """Whatever is in use of AWS joins, now and later; each place with loops of its own."""
    rooms, db = house.rooms, house.db
    stack.callback(rooms.aws.close)  # at the end, when nobody works there any more
    joined = stack.enter_context(ExitStack())

    def join(place: str) -> None:
        for loop in rooms.join(place):
            _start(joined, db, loop, GATHER)

    rooms.aws.told.append(join)
    stack.enter_context(db.bus.listening(rooms.aws.ring))
    stack.callback(rooms.aws.stop)  # first: nothing joins any more
    rooms.aws.start()


def _start(stack: ExitStack, db: Database, loop: Loop[Any], gather: float = 0.1) -> None:
    stack.enter_context(db.bus.listening(loop.wake))
    # Whoever held a lease on our own file is dead.
    run = partial(loop.run, gather=gather, inherit=not db.shared)
    thread = threading.Thread(target=run, name="reconcile")
    thread.start()
    stack.callback(thread.join)
    stack.callback(loop.stop)


def _tidy_now_and_then(house: House, ended: threading.Event) -> None:
    every = int(TIDY_EVERY / RESERVE_EVERY)
    for count in itertools.count(1):
        if ended.wait(RESERVE_EVERY.total_seconds()):
            return
        house.rooms.reserve.keep()
        if count % every == 0:
            house.tidy()
