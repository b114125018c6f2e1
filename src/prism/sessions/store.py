"""The tables of sessions, one-time codes and identities, and all SQL about them."""

from datetime import datetime

import msgspec
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    String,
    Table,
    and_,
    delete,
    not_,
    or_,
    select,
    update,
)

from prism.access.store import tokens
from prism.kit.db import Tx
from prism.kit.tables import Utc, metadata, select_struct, structs_of
from prism.sessions.model import (
    IDLE_LIMIT,
    TERMINAL_IDLE_LIMIT,
    AppSession,
    AppStage,
    BrowserSession,
    CodeKind,
    DeviceLogin,
    Identity,
    LoginCode,
    SessionMethod,
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("user", String, nullable=False, index=True),
    Column("hash", String(64), nullable=False),
    Column("method", String, nullable=False),
    Column("token", String, index=True),
    Column("created_at", Utc, nullable=False),
    Column("last_used", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("address", String, nullable=False),
    Column("browser", String, nullable=False),
    Column("issuer", String),
    Column("subject", String, index=True),
    Column("provider_session", String, index=True),
    Column("login", String(64), unique=True),
    Column("parent", String, index=True),
)
codes = Table(
    "login_codes",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("user", String, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("challenge", String),
    Column("computer", String),
    Column("parent", String),
)
device_logins = Table(
    "device_logins",
    metadata,
    Column("id", String, primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("user_code", String(64), nullable=False, unique=True),
    Column("computer", String, nullable=False),
    Column("address", String, nullable=False, index=True),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False),
    Column("polled_at", Utc),
    Column("interval", Integer, nullable=False),
    Column("allowed", Boolean),
    Column("parent", String),
)
identities = Table(
    "identities",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("user", String, nullable=False, index=True),
    Column("first_login", Utc, nullable=False),
    Column("last_login", Utc, nullable=False),
)
apps = Table(
    "app_sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("session", String, nullable=False, index=True),
    Column("workspace", String, nullable=False),
    Column("host", String, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("stage", String, nullable=False),
    Column("state", String(64), nullable=False),
    Column("expires_at", Utc, nullable=False),
)
SELECT_SESSIONS = select_struct(sessions, BrowserSession).order_by(
    sessions.c.last_used.desc(), sessions.c.id
)
CODES = select_struct(codes, LoginCode)
DEVICE_LOGINS = select_struct(device_logins, DeviceLogin)
IDENTITIES = select_struct(identities, Identity)
APPS = select_struct(apps, AppSession)


def by_id(sql: Connection, id: str) -> BrowserSession | None:
    """The session with that id."""
    return next(
        iter(structs_of(sql, BrowserSession, SELECT_SESSIONS.where(sessions.c.id == id))), None
    )


def living(sql: Connection, user: str | None, now: datetime) -> list[BrowserSession]:
    """The sessions of a person, or of everybody, that have not ended; the last used one first."""
    query = SELECT_SESSIONS.where(_lives(now))
    query = query if user is None else query.where(sessions.c.user == user)
    return structs_of(sql, BrowserSession, query)


def made_with(sql: Connection, id: str) -> list[BrowserSession]:
    """The sessions that began with a token, in a session, or with a link from there."""
    is_made = or_(sessions.c.parent == id, sessions.c.token == id)
    return structs_of(sql, BrowserSession, SELECT_SESSIONS.where(is_made))


def add(tx: Tx, session: BrowserSession) -> None:
    """Add a session."""
    tx.sql.execute(sessions.insert().values(**msgspec.structs.asdict(session)))


def remove(tx: Tx, id: str) -> None:
    """Delete a session, also at the origins of apps."""
    tx.sql.execute(delete(sessions).where(sessions.c.id == id))
    tx.sql.execute(delete(apps).where(apps.c.session == id))


def remove_alone(tx: Tx, id: str) -> None:
    """Delete a session, and keep what was made in it.

    That ends from now on with what the session would have ended with: a stolen token, for example,
    with which somebody made the link of this session, and then logged out.
    """
    session = by_id(tx.sql, id)
    maker = None if session is None else session.parent or session.token
    if maker is not None:
        is_link = and_(codes.c.parent == id, codes.c.kind == CodeKind.LINK)
        tx.sql.execute(update(codes).where(is_link).values(parent=maker))
        for table in (sessions, tokens):
            tx.sql.execute(update(table).where(table.c.parent == id).values(parent=maker))
    remove(tx, id)


def used(tx: Tx, id: str, at: datetime) -> None:
    """Record when it was used last."""
    tx.sql.execute(update(sessions).where(sessions.c.id == id).values(last_used=at))


def add_code(tx: Tx, code: LoginCode) -> None:
    """Add a one-time code."""
    tx.sql.execute(codes.insert().values(**msgspec.structs.asdict(code)))


def code_by_id(sql: Connection, id: str) -> LoginCode | None:
    """The one-time code with that id."""
    return next(iter(structs_of(sql, LoginCode, CODES.where(codes.c.id == id))), None)


def remove_code(tx: Tx, id: str) -> None:
    """Delete a one-time code: nobody can use it again."""
    tx.sql.execute(delete(codes).where(codes.c.id == id))


def app_by_id(sql: Connection, id: str) -> AppSession | None:
    """The session at an app, or the code for it, with that id."""
    return next(iter(structs_of(sql, AppSession, APPS.where(apps.c.id == id))), None)


def add_app(tx: Tx, app: AppSession) -> None:
    """Add a session at an app, or a code for it."""
    tx.sql.execute(apps.insert().values(**msgspec.structs.asdict(app)))


def remove_app(tx: Tx, id: str) -> bool:
    """Delete a session at an app, or a code; False if somebody else has done so."""
    return bool(tx.sql.execute(delete(apps).where(apps.c.id == id)).rowcount)


def remove_apps(tx: Tx, session: str, host: str) -> None:
    """Delete what a session has at one app."""
    is_it = (apps.c.session == session, apps.c.host == host, apps.c.stage == AppStage.ENTERED)
    tx.sql.execute(delete(apps).where(*is_it))


def remove_codes_of(tx: Tx, parent: str) -> None:
    """Delete the one-time codes that were made for an invitation, or in a session."""
    tx.sql.execute(delete(codes).where(codes.c.parent == parent))


def remove_links_of(tx: Tx, user: str) -> None:
    """Delete the one-time links that log a person in."""
    tx.sql.execute(delete(codes).where(codes.c.user == user, codes.c.kind == CodeKind.LINK))


def has_login(sql: Connection, login: str) -> bool:
    """Whether a session has begun with this login of a provider."""
    query = select(sessions.c.id).where(sessions.c.login == login)
    return sql.execute(query).first() is not None


def of_provider(sql: Connection, issuer: str) -> list[BrowserSession]:
    """The sessions that began at a provider."""
    return structs_of(sql, BrowserSession, SELECT_SESSIONS.where(sessions.c.issuer == issuer))


def identity(sql: Connection, issuer: str, subject: str) -> Identity | None:
    """The account of a provider."""
    is_it = (identities.c.issuer == issuer, identities.c.subject == subject)
    return next(iter(structs_of(sql, Identity, IDENTITIES.where(*is_it))), None)


def has_identity(sql: Connection, issuer: str, user: str) -> bool:
    """Whether a person has an account of a provider."""
    is_theirs = (identities.c.issuer == issuer, identities.c.user == user)
    return sql.execute(select(identities.c.user).where(*is_theirs)).first() is not None


def has_any_identity(sql: Connection, user: str) -> bool:
    """Whether a person has an account of any provider."""
    query = select(identities.c.user).where(identities.c.user == user)
    return sql.execute(query).first() is not None


def put_identity(tx: Tx, identity: Identity, *, is_new: bool) -> None:
    """Add an account, or record its last login."""
    if is_new:
        tx.sql.execute(identities.insert().values(**msgspec.structs.asdict(identity)))
        return
    is_it = (identities.c.issuer == identity.issuer, identities.c.subject == identity.subject)
    tx.sql.execute(update(identities).where(*is_it).values(last_login=identity.last_login))


def add_device(tx: Tx, device: DeviceLogin) -> None:
    """Add a login of a computer without a browser."""
    tx.sql.execute(device_logins.insert().values(**msgspec.structs.asdict(device)))


def device_by_id(sql: Connection, id: str) -> DeviceLogin | None:
    """The login of a computer with that id."""
    rows = structs_of(sql, DeviceLogin, DEVICE_LOGINS.where(device_logins.c.id == id))
    return next(iter(rows), None)


def device_by_code(sql: Connection, user_code: str) -> DeviceLogin | None:
    """The login of a computer whose user code has this hash."""
    rows = structs_of(
        sql, DeviceLogin, DEVICE_LOGINS.where(device_logins.c.user_code == user_code)
    )
    return next(iter(rows), None)


def change_device(tx: Tx, device: DeviceLogin) -> None:
    """Record who has polled, or what was answered."""
    values = msgspec.structs.asdict(device)
    is_it = device_logins.c.id == device.id
    tx.sql.execute(update(device_logins).where(is_it).values(**values))


def remove_device(tx: Tx, id: str) -> None:
    """Delete the login of a computer."""
    tx.sql.execute(delete(device_logins).where(device_logins.c.id == id))


def device_addresses(sql: Connection) -> list[str]:
    """From which addresses the logins of computers came that wait."""
    return [*sql.execute(select(device_logins.c.address)).scalars()]


def _lives(now: datetime) -> ColumnElement[bool]:
    is_terminal = sessions.c.method == SessionMethod.TERMINAL
    is_used = or_(
        sessions.c.last_used > now - IDLE_LIMIT,
        and_(is_terminal, sessions.c.last_used > now - TERMINAL_IDLE_LIMIT),
    )
    return and_(sessions.c.expires_at > now, is_used)


def prune(tx: Tx, now: datetime) -> None:
    """Delete what has ended by itself."""
    for id in tx.sql.execute(select(sessions.c.id).where(not_(_lives(now)))).scalars().all():
        remove_alone(tx, id)
    tx.sql.execute(delete(codes).where(codes.c.expires_at <= now))
    is_over = or_(apps.c.expires_at <= now, apps.c.session.not_in(select(sessions.c.id)))
    tx.sql.execute(delete(apps).where(is_over))
    tx.sql.execute(delete(device_logins).where(device_logins.c.expires_at <= now))
