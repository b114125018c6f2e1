"""Brings the session of a browser to the origin of an app, without a cookie that apps share.

The daemon gives the browser a code for the address of the entrance, which is no app's. There it
becomes a cookie that is sent to `ENTER_PATH` only, and which no page and no service worker can
read, and at the app's own origin the app's own cookie. Each is used once, for one session, one
workspace and one origin, and by the browser that began (docs/decisions/069).
"""

import hmac
import secrets
from datetime import timedelta
from typing import NamedTuple

from msgspec import Struct

from prism.access.model import Caller
from prism.access.service import NO_HASH, SECRET, hashed
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.sessions import store
from prism.sessions.model import ABSOLUTE_LIMIT, AppSession, AppStage
from prism.sessions.service import SessionService

CODE_SECONDS = 30


class AppVisit(Struct, frozen=True):
    """Who sends a request at the origin of an app, and the workspace that they have entered."""

    caller: Caller
    workspace: str


class AppWay(NamedTuple):
    """What a browser's way to an app is bound to: session, workspace, origin, and the browser."""

    session: str
    workspace: str
    host: str
    state: str


class AppSecret(Struct, frozen=True):
    """A stage of a browser on its way to an app, with the secret that only this browser gets."""

    app: AppSession
    secret: str

    @property
    def words(self) -> str:
        """What the browser shows."""
        return f"{self.app.id}.{self.secret}"


class AppSessions:
    """Makes and checks the sessions of browsers at apps."""

    def __init__(self, db: Database, clock: Clock, sessions: SessionService) -> None:
        self._db, self._clock, self._sessions = db, clock, sessions

    def ask(self, session: str, workspace: str, host: str, state: str) -> AppSecret:
        """A code for one app, whose rights the caller has checked."""
        with self._db.write() as tx:
            store.prune(tx, self._clock.now())
            return self._add(tx, AppStage.ASKED, AppWay(session, workspace, host, state))

    def guide(self, code: str) -> AppSecret | None:
        """Use up a code of `ask`; the secret is for the cookie of the entrance."""
        return self._advance(code, AppStage.ASKED, AppStage.GUIDED)

    def enter(self, words: str, host: str, state: str) -> AppSecret | None:
        """Use up what `guide` gave; the secret is for the app's own cookie."""
        return self._advance(words, AppStage.GUIDED, AppStage.ENTERED, host, state)

    def visit(self, cookie: str, host: str, *, is_use: bool) -> AppVisit | None:
        """Who has this cookie of an app; None if the session has ended."""
        with self._db.read() as sql:
            id, _, secret = cookie.partition(".")
            app = _matching(store.app_by_id(sql, id), secret, AppStage.ENTERED)
            if app is None or app.host != host or app.expires_at <= self._clock.now():
                return None
            living = self._sessions.by_id(sql, app.session)
        if living is None:
            return None
        session, caller = living
        if is_use:
            self._sessions.used(session)
        return AppVisit(caller, app.workspace)

    def _advance(
        self,
        words: str,
        stage: AppStage,
        next_stage: AppStage,
        host: str | None = None,
        state: str | None = None,
    ) -> AppSecret | None:
        """The next stage; the former is used up, also by a browser that may not go on."""
        id, _, secret = words.partition(".")
        with self._db.write() as tx:
            app = _matching(store.app_by_id(tx.sql, id), secret, stage)
            if app is None or not store.remove_app(tx, id):
                return None
            way = AppWay(app.session, app.workspace, app.host, app.state)
            is_expected = host in {None, way.host} and state in {None, way.state}
            is_alive = app.expires_at > self._clock.now()
            if not (is_expected and is_alive and self._sessions.by_id(tx.sql, way.session)):
                return None
            if next_stage is AppStage.ENTERED:
                store.remove_apps(tx, way.session, way.host)
            return self._add(tx, next_stage, way)

    def _add(self, tx: Tx, stage: AppStage, way: AppWay) -> AppSecret:
        now, secret = self._clock.now(), secrets.token_urlsafe(SECRET)
        life = ABSOLUTE_LIMIT if stage is AppStage.ENTERED else timedelta(seconds=CODE_SECONDS)
        app = AppSession(
            id=sortable_id("app", now),
            session=way.session,
            workspace=way.workspace,
            host=way.host,
            hash=hashed(secret),
            stage=stage,
            state=way.state,
            expires_at=now + life,
        )
        store.add_app(tx, app)
        return AppSecret(app, secret)


def _matching(app: AppSession | None, secret: str, stage: AppStage) -> AppSession | None:
    """The row, if this is its secret and its stage."""
    matches = hmac.compare_digest(hashed(secret), app.hash if app else NO_HASH)
    return app if app is not None and matches and app.stage is stage else None
