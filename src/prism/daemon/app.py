"""The composition root: the routes, middleware and loops of a daemon."""

import itertools
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any, cast

from litestar.di import Provide

from prism.access import api as tokens
from prism.access.middleware import Authentication, Authorization, answer_owner
from prism.access.model import ResourceLookup, Subject
from prism.access.rules import SHARE_OF_GUEST
from prism.audit import api as audit
from prism.budgets import api as budgets
from prism.connections import routes as connections
from prism.connections import share_routes
from prism.connections.visible_visits import VisibleVisits, may_enter
from prism.copies import api as copies
from prism.copies import routes as remote_copies
from prism.costs import api as costs
from prism.daemon import api as daemon
from prism.daemon import aws, cleaning, docs, doctor, gui_settings, migrations, servers
from prism.daemon.disk_reserve import (
    DiskSpaceGuard,
    DiskSpaceRelease,
    frees_space,
    takes_space,
)
from prism.daemon.hold import HoldDestruction, RefuseUnreachable, destroys, needs_a_home
from prism.daemon.schemas import StructSchemas
from prism.daemon.watching import api as watching
from prism.daemon.watching.probes import Probes
from prism.daemon.website import Website
from prism.daemon.wiring.core import Wiring
from prism.daemon.wiring.providers import GATHER
from prism.errors import NotFound
from prism.files import routes as files
from prism.idle import api as idleness
from prism.invitations import api as invitations
from prism.invitations import store as invitation_rows
from prism.kit import idempotency, journal, stream
from prism.kit.clock import Clock, WallClock
from prism.kit.database.migrate import revisions, upgrade
from prism.kit.db import Database
from prism.kit.gate import AsgiApp, Gate
from prism.kit.http import Api, RequestValidation, StrictRequest, problems
from prism.kit.idempotency import Idempotency, takes_key
from prism.kit.network.trusted_proxies import TrustedProxies
from prism.kit.reconcile import Loop, errors_logged
from prism.kit.routes import RouteMiddleware, Routes
from prism.kit.struct_types import prepare_types
from prism.limits import api as limits
from prism.logs import routes as logs
from prism.notices import api as notices
from prism.profiles import api as profiles
from prism.profiles.aws_config import config_file, sections
from prism.projects import api as projects
from prism.projects import members_api as members
from prism.projects import store as project_rows
from prism.recovery import api as recovery
from prism.requests import api as requests
from prism.requests import store as request_rows
from prism.sessions import api as sessions
from prism.sessions import terminal_api as terminals
from prism.settings import Settings
from prism.sharing import api as sharing
from prism.sharing import store as share_rows
from prism.storage import api as storage
from prism.storage import store as storage_rows
from prism.storage.model import Snapshot, Volume, VolumeOrSnapshot
from prism.storage.ports import Volumes
from prism.templates import api as templates
from prism.visits import api as visits
from prism.workspaces import api as workspaces
from prism.workspaces import routes as machine_routes
from prism.workspaces import store as workspace_rows
from prism.workspaces.ports import Compute
from prism.workspaces.surveys.first_survey_wait import FirstSurveyWait
from prism.workspaces.waiting import WaitMiddleware, may_wait

log = logging.getLogger(__name__)
TIDY_EVERY = timedelta(hours=1)
RESERVE_EVERY = timedelta(seconds=30)
CALM = 5.0  # seconds that a row may be late after the clock was set or the computer slept
IDENTITY_TIMEOUT = 5.0  # seconds to wait for AWS to answer with our identity
ROUTES = [
    Routes(
        "/",
        [
            machine_routes.connect,
            audit.audit,
            audit.events_of_instance,
            *stream.routes,
            docs.description,
            watching.show_metrics,
        ],
    ),
    workspaces.router,
    idleness.router,
    logs.router,
    files.router,
    connections.router,
    share_routes.router,
    sharing.router,
    visits.router,
    profiles.router,
    projects.router,
    budgets.router,
    costs.router,
    limits.router,
    notices.router,
    requests.router,
    members.router,
    tokens.router,
    sessions.router,
    sessions.pages,
    terminals.router,
    invitations.router,
    storage.volumes,
    storage.snapshots,
    copies.router,
    remote_copies.router,
    templates.router,
    recovery.router,
    daemon.router,
    cleaning.router,
    doctor.router,
    gui_settings.router,
    aws.router,
    servers.router,
]
HANDLER_PARTS = (
    *(
        "app_origins",
        "audit",
        "aws_access",
        "lab_servers",
        "budgets",
        "cleaning",
        "clock",
        "connection_reader",
        "control",
    ),
    *("copies", "costs", "db", "doctor", "event_ids", "files", "gui_settings", "idleness"),
    *(
        "invitations",
        "limits",
        "login",
        "logs",
        "members",
        "metrics",
        "more_requests",
        "notices",
        "port_router",
        "profiles",
        "projects",
    ),
    *("read_model", "recovery", "remote_copies", "rollbacks", "sessions"),
    *(
        "shares",
        "shells",
        "spending",
        "storage",
        "templates",
        "terminal_logins",
        "tokens",
        "visibility",
        "visits",
    ),
    *("workspace_proxy", "workspaces"),
)
"""The parts that handlers get as parameters; each is an attribute of `App`."""

WITHOUT_SECRETS = {
    tokens.CREATE: tokens.without_token,
    f"{invitations.INVITATIONS_PATH}/send": tokens.without_token,
    sessions.LINKS: sessions.without_url,
    notices.WEBHOOKS_PATH: notices.without_secret,
}
"""How to store the answers of routes that contain a secret, by path."""

WAITING_ROUTES = ("/api/v1/instances/launch", "/api/v1/storage/volumes/create")
"""The path templates of routes that may wait until a provider knows a profile's account."""


class App(Wiring):
    """A daemon: its parts, and the ASGI application that serves them."""

    app: AsgiApp

    def prepare(self) -> None:
        """Migrate the database, and create what a first start needs."""
        upgrade(self.db.url, migrations.MIGRATIONS_FOLDER)
        self.db.revision = revisions(migrations.MIGRATIONS_FOLDER)[-1]
        self.db.check()
        self.homes.begin()
        self.generation.begin()
        self.profiles.first_start(sections(config_file(os.environ)))
        self.reserve.keep()
        # Before the loops, whose first steps would delay the first requests.
        self.read_model.refresh()

    def settle(self, rounds: int = 20) -> None:
        """Mark due rows, and reconcile until nothing is due. For tests and demonstrations."""
        for provider in self.providers.values():
            provider.look(IDENTITY_TIMEOUT)
        loops = [*self.loops, *self.join_all()]
        for loop in loops:
            loop.mark_due()
        while rounds and sum(loop.once() for loop in loops):
            rounds -= 1

    def keep_home(self) -> None:
        """Repeat the claim of the home; end if another daemon has claimed it meanwhile."""
        if not self.homes.refresh():
            log.error("another daemon serves this home's identity now, so this one ends")
            self._stop()

    def tidy(self) -> None:
        """Remove old events and idempotency keys."""
        now = self.clock.now()
        self.notice_parts.collector.collect()  # before the events are removed
        with self.db.write() as tx:
            self.notice_parts.collector.prune(tx, now)
            journal.prune(tx.sql, now)
            idempotency.prune(tx.sql, now)

    def end(self) -> None:
        """Begin to shut down: end streams, and start no more long operations."""
        self.db.bus.close()
        for volumes in self.volumes.values():
            volumes.end()

    def close(self) -> None:
        """Stop the loops and close everything; machines keep running."""
        providers = self.providers.values()
        for provider in providers:
            provider.stop()
        joined = chain.from_iterable(self.joined_loops.values())
        for loop in [*self.loops, *joined]:
            loop.stop()
        for provider in providers:
            provider.close()
        for volumes in self.volumes.values():
            volumes.close()
        self.readiness.close()
        self.db.close()


def build(
    settings: Settings,
    computes: Mapping[str, Compute] | None = None,
    clock: Clock | None = None,
    stop: Callable[[], object] = lambda: None,
    volumes: Mapping[str, Volumes] | None = None,
    *,
    gui_label: str = "",
) -> App:
    """Build the application; `stop` is called at a request to shut down.

    `computes` and `volumes`, by the name of their location, are served instead of all providers.
    `gui_label` names the only origin from which browsers may use the API.
    """
    application = App(settings, computes, clock or WallClock(), stop, volumes)
    api = Api(
        ROUTES,
        dependencies={name: _provide(getattr(application, name)) for name in HANDLER_PARTS},
        exception_handlers=problems(application.clock),
        lifespan=[
            lambda _: _running(application),
            lambda _: application.workspace_proxy.open(application.db.bus),
            lambda _: application.shells.open(),
            *_of_a_shared_daemon(application),
            *application.gates,
        ],
        logging_config=None,
        middleware=_middleware(application),
        openapi_config=docs.config(),
        plugins=[StructSchemas()],
        request_class=StrictRequest,
    )
    application.app = _gate(cast("AsgiApp", api), application, gui_label)
    return application


def _of_a_shared_daemon(application: App) -> list[Callable[[Any], Any]]:
    """What runs while a daemon serves several people."""
    parts: list[Callable[[Any], Any]] = []
    if application.team:
        parts.append(lambda _: application.long_requests.open())
    if (certificate := application.server_certificate) is not None:
        parts.append(lambda _: certificate.watched())
    return parts


def public(settings: Settings) -> bool:
    """Whether several people share the daemon, under a public address."""
    return settings.auth == "tokens" and bool(settings.public_url)


def _middleware(wiring: Wiring) -> list[Any]:
    """From the outside in.

    Caller, first survey, waiting, body and parameters, disk, repeats, hold, rights, visits, homes.
    Only the caller, body and parameters, and the rights concern every route.
    """
    actor, db, clock = wiring.settings.actor, wiring.db, wiring.clock
    return [
        Authentication(actor, wiring.authenticator if wiring.team else None, clock),
        RouteMiddleware(
            lambda app: FirstSurveyWait(app, wiring.first_surveys, wiring.read_model),
            FirstSurveyWait.concerns,
        ),
        RouteMiddleware(lambda app: WaitMiddleware(app, wiring.read_model, db.bus), may_wait),
        RequestValidation(),
        RouteMiddleware(DiskSpaceGuard(wiring.home_disk), takes_space),
        RouteMiddleware(DiskSpaceRelease(wiring.home_disk), frees_space),
        RouteMiddleware(_repeats(wiring), takes_key),
        RouteMiddleware(HoldDestruction(wiring.generation.refuse), destroys),
        Authorization(_resource_lookups(wiring), clock, wiring.long_requests),
        RouteMiddleware(VisibleVisits(wiring.visits, wiring.read_model, clock), may_enter),
        RouteMiddleware(
            RefuseUnreachable(lambda: bool(wiring.homes.unserved), _location_checks(wiring)),
            needs_a_home,
        ),
    ]


def _repeats(wiring: Wiring) -> Idempotency:
    waits = dict.fromkeys(WAITING_ROUTES, wiring.wait_for_offer)
    return Idempotency(wiring.db, wiring.clock, answer_owner, WITHOUT_SECRETS, waits)


def _gate(app: AsgiApp, wiring: Wiring, gui_label: str) -> AsgiApp:
    settings, read_model = wiring.settings, wiring.read_model
    surveyed = partial(
        FirstSurveyWait,
        first_surveys=wiring.first_surveys,
        read_model=read_model,
        every_path=True,
    )
    apps = wiring.port_router.apps
    address = settings.public_url.rstrip("/") if public(settings) else ""
    gate = Gate(
        Website(app, wiring.clock),
        settings.port,
        wiring.clock,
        content=surveyed(wiring.workspace_proxy),
        hosts=[address.partition("://")[2]] if address else [],
        origins=[address] if address else [],
        team=wiring.team,
        gui=gui_label,
        apps=surveyed(wiring.app_origins) if apps else None,
        apps_suffix=apps.host("") if apps else "",
        https_only=bool(settings.tls_cert or settings.trusted_proxies),
        probes=Probes(wiring.readiness),
    )
    networks = settings.proxy_networks
    return wiring.request_counts.around(TrustedProxies(gate, networks) if networks else gate)


def _resource_lookups(wiring: Wiring) -> dict[str, ResourceLookup]:
    """How to find the resources that the table of routes names."""

    def workspace(name: str) -> Subject | None:
        try:
            row = wiring.read_model.pages.named(name).workspace
        except NotFound:
            return None
        return Subject(row.project, row.owner)

    def project(name: str) -> Subject | None:
        with wiring.db.read() as sql:
            row = project_rows.find_ever(sql, name)  # a deleted project still has reports
        return None if row is None else Subject(row.id)

    def stored(kind: type[VolumeOrSnapshot], name: str) -> Subject | None:
        with wiring.db.read() as sql:
            row = storage_rows.find(sql, kind, name)
        return None if row is None else Subject(row.project, row.owner)

    def invitation(id: str) -> Subject | None:
        with wiring.db.read() as sql:
            row = invitation_rows.find(sql, id)
        return None if row is None else Subject(row.project, row.email, personal=True)

    return {
        "share": ResourceLookup(wiring.shares.subject, share_rows.not_found),
        SHARE_OF_GUEST: ResourceLookup(wiring.shares.guest_subject, share_rows.not_found),
        "invitation": ResourceLookup(invitation, invitation_rows.not_found),
        "request": ResourceLookup(partial(_request, wiring), request_rows.not_found),
        "workspace": ResourceLookup(workspace, workspace_rows.not_found),
        "project": ResourceLookup(project, project_rows.not_found),
        "volume": ResourceLookup(partial(stored, Volume), partial(storage_rows.not_found, Volume)),
        "snapshot": ResourceLookup(
            partial(stored, Snapshot), partial(storage_rows.not_found, Snapshot)
        ),
    }


def _request(wiring: Wiring, id: str) -> Subject | None:
    with wiring.db.read() as sql:
        row = request_rows.find(sql, id)
    return None if row is None else Subject(row.project, row.person, personal=True)


def _location_checks(wiring: Wiring) -> dict[str, Callable[[str], None]]:
    """By the kind of a resource: what raises if no daemon serves its home."""

    def workspace(name: str) -> None:
        row = wiring.read_model.pages.named(name).workspace
        wiring.homes.refuse(row.location, row.name)

    def stored(kind: type[VolumeOrSnapshot], name: str) -> None:
        with wiring.db.read() as sql:
            row = storage_rows.find(sql, kind, name)
        if row is not None:
            wiring.homes.refuse(row.location, name)

    return {
        "workspace": workspace,
        "volume": partial(stored, Volume),
        "snapshot": partial(stored, Snapshot),
    }


def _provide(part: object) -> Provide:
    return Provide(lambda: part, use_cache=True, sync_to_thread=False)


@asynccontextmanager
async def _running(application: App) -> AsyncIterator[None]:
    """Run every loop, and a thread that tidies up periodically."""
    db, ended = application.db, threading.Event()
    prepare_types()
    with errors_logged("give handles to owners"):
        application.give_handles()
    application.first_surveys.begin(application.read_model.known.locations)
    with ExitStack() as stack:
        if db.shared:
            from prism.kit.database.pg_notify import CommitListener  # noqa: PLC0415  cold start: it brings psycopg

            listener = CommitListener(db)
            listener.start()
            stack.callback(listener.stop)
        stack.callback(_release_home, application)
        tidying = threading.Thread(
            target=_tidy_periodically, args=(application, ended), name="tidy"
        )
        tidying.start()
        stack.callback(tidying.join)
        stack.callback(ended.set)
        for loop in application.loops:
            _start(stack, db, loop)
        _start_providers(stack, application)
        yield


def _release_home(application: App) -> None:
    with errors_logged("release the home"):
        application.homes.release()


def _start_providers(stack: ExitStack, application: App) -> None:
    """Start the loops of each location that is in use, now or later."""
    db = application.db
    for provider in application.providers.values():
        stack.callback(provider.close)  # runs last, after its loops have ended
    joined = stack.enter_context(ExitStack())

    def join(location: str) -> None:
        for loop in application.join(location):
            _start(joined, db, loop, GATHER)

    for provider in application.providers.values():
        stack.enter_context(db.bus.listening(provider.wake))
        stack.callback(provider.stop)  # runs first: no location is added any more
        provider.start(join)


def _start(stack: ExitStack, db: Database, loop: Loop[Any], gather: float = 0.1) -> None:
    stack.enter_context(db.listening(loop.rows, loop.wake))
    # In a SQLite file, all leases are from a daemon that has ended, and each write wakes the loop.
    calm = None if db.shared else CALM
    run = partial(loop.run, gather=gather, calm=calm, inherit=not db.shared)
    thread = threading.Thread(target=run, name="reconcile")
    thread.start()
    stack.callback(thread.join)
    stack.callback(loop.stop)


def _tidy_periodically(application: App, ended: threading.Event) -> None:
    rounds = int(TIDY_EVERY / RESERVE_EVERY)
    for count in itertools.count(1):
        if ended.wait(RESERVE_EVERY.total_seconds()):
            return
        with errors_logged("keep the disk reserve"):
            application.reserve.keep()
        with errors_logged("claim the home"):
            application.keep_home()
        if count % rounds == 0:
            with errors_logged("remove old events"):
                application.tidy()
