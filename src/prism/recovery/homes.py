"""Which homes are served, and which rows belong to a home that no daemon serves.

The location of local workspaces and volumes is the identity of their home. A database may name
several homes: those of the daemons that share a PostgreSQL, and those that it was restored from.
Each daemon claims its home here at its start, and repeats that while it runs. Rows of a home that
nobody claims are unreachable: nothing can be done with them until a daemon serves the home again,
or the operator gives its rows to the home of this daemon.
"""

import secrets
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from msgspec import Struct
from sqlalchemy import Column, Connection, String, Table, func, select, update

from prism.errors import Conflict, NotFound
from prism.kit import journal
from prism.kit.clock import Clock
from prism.kit.db import Database, Tx
from prism.kit.events import Event
from prism.kit.tables import Utc, metadata
from prism.profiles.providers import traits_of
from prism.storage import store as storage
from prism.workspaces import store as workspaces

CLAIM_LIFETIME = timedelta(minutes=2)
"""After which a home in a shared database counts as not served."""
RELEASED = ""
"""The holder of a home whose daemon has ended by itself, not by a crash."""
WAY_OUT = (
    "Start the daemon of that home, or bring that home here. If it does not exist any more, take "
    "over its rows: `prism recover --adopt-home {location}`"
)
homes = Table(
    "homes",
    metadata,
    Column("location", String, primary_key=True),
    Column("folder", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("host", String, nullable=False),
    Column("holder", String, nullable=False),  # a random word of the daemon that serves it
    Column("claimed_at", Utc, nullable=False),
)
# A table with resources of a location: its columns with the id of a resource, and who has ended.
RESOURCES = {
    "workspaces": (workspaces.workspaces, ("machine_id", "expected_id"), workspaces.LIVE),
    "volumes": (storage.volumes, ("disk_id", "expected_id"), None),
    "snapshots": (storage.snapshots, ("copy_id",), None),
}


class Unreachable(Conflict, code="UNREACHABLE"):
    """No daemon serves the home of the workspace, volume or snapshot."""


class HomeServedElsewhere(Conflict, code="HOME_SERVED_ELSEWHERE"):
    """Another daemon serves a home with the same identity."""


class HomeNotFound(NotFound, code="HOME_NOT_FOUND"):
    """The database has nothing of that home, or a daemon serves it."""


class HomeAdopted(Event, frozen=True, kw_only=True):
    """The rows of another home belong to this one from now on."""

    event: ClassVar[str] = "home_adopted"
    location: str
    previous: str


class HomePlace(Struct, frozen=True):
    """A folder on a computer; `host` is the computer's name, for people."""

    folder: str
    machine: str
    host: str

    @classmethod
    def here(cls, folder: str, machine: str) -> "HomePlace":
        """A folder on this computer."""
        return cls(folder, machine, socket.gethostname())


class HomeClaim(Struct, frozen=True):
    """Who served a home last, and when."""

    place: HomePlace
    holder: str
    claimed_at: datetime

    def is_at(self, place: HomePlace) -> bool:
        """Whether the home was at that place."""
        return (self.place.folder, self.place.machine) == (place.folder, place.machine)


class UnservedHome(NamedTuple):
    """A home that no daemon serves: why, and how many resources of each kind it has."""

    reason: str
    counts: Mapping[str, int]


def is_ours(
    location: str,
    earlier: str,
    claim: HomeClaim | None,
    place: HomePlace,
    *,
    has_folders: bool,
    shared: bool,
) -> bool:
    """Whether rows of another location belong to the home of this daemon.

    They do if an older Prism wrote them here (`earlier`), or if their folders are here, unless
    another home in a shared database has them: then these folders are copies.
    """
    elsewhere = shared and claim is not None and not claim.is_at(place)
    return location == earlier or (has_folders and not elsewhere)


def is_served(claim: HomeClaim | None, now: datetime, *, shared: bool) -> bool:
    """Whether another daemon serves a home; a SQLite file has one daemon."""
    return shared and claim is not None and now - claim.claimed_at < CLAIM_LIFETIME


class HomeRegistry:
    """The homes in the database, and the claim of this daemon."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        served: Callable[[], Collection[str]],
        *,
        place: HomePlace,
        earlier: str,
        folder_ids: Callable[[], Collection[str]] | None,
    ) -> None:
        """`served` are the locations of this daemon, `folder_ids` the folders in its home.

        Without `folder_ids`, no rows are adopted.
        """
        self._db, self._clock, self._served = db, clock, served
        self._place, self._earlier, self._folder_ids = place, earlier, folder_ids
        self._holder = secrets.token_hex(8)
        self.changed: list[Callable[[], object]] = []
        """Called when a home is served again, or no more."""
        self.stranded: list[Callable[[Tx, str, datetime], object]] = []
        """Called with a location that no daemon serves, and when its rows were last current."""
        self.returned: list[Callable[[Tx, str], object]] = []
        """Called with a location of this daemon that got rows of another one."""
        self.unserved: Mapping[str, UnservedHome] = {}

    def begin(self) -> None:
        """Claim the home of this daemon, and adopt rows that belong to it."""
        with self._db.write() as tx:
            claims, now = _claims(tx.sql), self._clock.now()
            for location in self._locations():
                claim = claims.get(location)
                if is_served(claim, now, shared=self._db.shared) and claim is not None:
                    self._require_same_place(claim)
            self._adopt_ours(tx, claims)
            self._claim(tx, claims, now)
            self.unserved = self._find_unserved(tx.sql, claims, now)
            if not self._db.shared:
                for location in self.unserved:
                    at = journal.newest_at(tx.sql) or now
                    for listener in self.stranded:
                        listener(tx, location, at)

    def refresh(self) -> bool:
        """Repeat the claim in a shared database; False if another daemon has claimed the home."""
        if not self._db.shared:
            return True
        with self._db.write() as tx:
            claims, now = _claims(tx.sql), self._clock.now()
            if any(
                (claim := claims.get(location)) and claim.holder != self._holder
                for location in self._locations()
            ):
                return False
            self._claim(tx, claims, now)
            unserved = self._find_unserved(tx.sql, claims, now)
        self._show(unserved)
        return True

    def release(self) -> None:
        """Let a daemon in another place serve the home at once; until then it counts as served.

        A container that is replaced is another computer with the same home.
        """
        if not self._db.shared:
            return
        with self._db.write() as tx:
            ours = homes.c.holder == self._holder
            tx.sql.execute(update(homes).where(ours).values(holder=RELEASED))

    def adopt(self, location: str, actor: str, *, dry: bool) -> str:
        """Give the rows of a home that no daemon serves to this daemon's home; says what is."""
        if (home := self.unserved.get(location)) is None:
            known = ", ".join(sorted(self.unserved)) or "none"
            raise HomeNotFound(
                f"No home {location!r} waits for its daemon",
                details=f"homes that no daemon serves: {known}",
                remediation="See them with `prism daemon status`",
            )
        counts = _counted(home.counts)
        if dry:
            return f"{counts} of {location} would belong to this home"
        with self._db.write() as tx:
            self._adopt(tx, location, actor)
            unserved = self._find_unserved(tx.sql, _claims(tx.sql), self._clock.now())
        self._show(unserved)
        return f"{counts} of {location} belong to this home now; what is not here will say so"

    def reason(self, location: str) -> str | None:
        """Why nothing can be done in a location, for people; None if a daemon serves it."""
        home = self.unserved.get(location)
        return home and home.reason

    def refuse(self, location: str, name: str) -> None:
        """Raise `Unreachable` if no daemon serves the location of a resource."""
        if (reason := self.reason(location)) is not None:
            raise Unreachable(
                f"{name!r} is unreachable",
                details=reason,
                remediation=WAY_OUT.format(location=location),
            )

    def reasons(self) -> list[str]:
        """The reasons for the daemon's status."""
        return [
            f"{_counted(home.counts)} unreachable: {home.reason}. "
            f"{WAY_OUT.format(location=location)}"
            for location, home in sorted(self.unserved.items())
        ]

    def _locations(self) -> list[str]:
        return [location for location in self._served() if traits_of(location).in_home]

    def _require_same_place(self, claim: HomeClaim) -> None:
        if claim.is_at(self._place) or claim.holder == RELEASED:
            return  # it was restarted, or moved after its daemon had ended
        raise HomeServedElsewhere(
            f"A daemon of {claim.place.folder} on {claim.place.host} serves this home's identity",
            details=f"so {self._place.folder} is a copy of that home, and both use one database",
            remediation="End the other daemon if the home was moved: `prism daemon stop` there. "
            "For a second home, make a new one: set PRISM_HOME to an empty folder",
        )

    def _claim(self, tx: Tx, claims: dict[str, HomeClaim], now: datetime) -> None:
        claim = HomeClaim(self._place, self._holder, now)
        row: dict[str, Any] = {
            "folder": self._place.folder,
            "machine": self._place.machine,
            "host": self._place.host,
            "holder": self._holder,
            "claimed_at": now,
        }
        for location in self._locations():
            if location in claims:
                tx.sql.execute(update(homes).where(homes.c.location == location).values(row))
            else:
                tx.sql.execute(homes.insert().values(location=location, **row))
            claims[location] = claim

    def _adopt_ours(self, tx: Tx, claims: Mapping[str, HomeClaim]) -> None:
        if self._folder_ids is None:
            return
        ids: Collection[str] | None = None
        for location in self._others(tx.sql):
            if ids is None:
                ids = self._folder_ids()
            if is_ours(
                location,
                self._earlier,
                claims.get(location),
                self._place,
                has_folders=_has_any(tx.sql, location, ids),
                shared=self._db.shared,
            ):
                self._adopt(tx, location, "prism")

    def _adopt(self, tx: Tx, location: str, actor: str) -> None:
        [ours] = self._locations()
        for table in metadata.tables.values():
            if "location" in table.c and table is not homes:
                values: dict[str, Any] = {"location": ours}
                if "due_at" in table.c:
                    values["due_at"] = self._clock.now()
                tx.sql.execute(update(table).where(table.c.location == location).values(values))
        tx.sql.execute(homes.delete().where(homes.c.location == location))
        event = HomeAdopted(actor=actor, subject="home", location=ours, previous=location)
        tx.happened(event)
        for listener in self.returned:
            listener(tx, ours)

    def _others(self, sql: Connection) -> list[str]:
        """The homes in the rows that this daemon does not serve."""
        ours, locations = set(self._served()), set[str]()
        for table, _, condition in RESOURCES.values():
            query = select(table.c.location).distinct()
            locations |= set(
                sql.execute(query if condition is None else query.where(condition)).scalars()
            )
        return sorted(name for name in locations - ours if traits_of(name).in_home)

    def _find_unserved(
        self, sql: Connection, claims: Mapping[str, HomeClaim], now: datetime
    ) -> dict[str, UnservedHome]:
        return {
            location: UnservedHome(
                _why(location, claims.get(location), self._place), _counts(sql, location)
            )
            for location in self._others(sql)
            if not is_served(claims.get(location), now, shared=self._db.shared)
        }

    def _show(self, unserved: Mapping[str, UnservedHome]) -> None:
        before, self.unserved = self.unserved, unserved
        if before != unserved:
            for listener in self.changed:
                listener()


def _why(location: str, claim: HomeClaim | None, place: HomePlace) -> str:
    """Why nothing can be done with the rows of a home, for people."""
    if claim is not None:
        on = "this computer" if claim.place.machine == place.machine else claim.place.host
        since = f"{claim.claimed_at:%Y-%m-%d %H:%M} UTC"
        where = f"{claim.place.folder} on {on}, last served at {since}"
        return f"it is in another home ({where}), which no daemon serves"
    machine, _, folder = location.partition(":")[2].partition(":")
    on = "this computer" if machine == place.machine else "another computer"
    return f"it is in another home ({folder or location} on {on}), which no daemon serves"


def _claims(sql: Connection) -> dict[str, HomeClaim]:
    return {
        row.location: HomeClaim(
            HomePlace(row.folder, row.machine, row.host), row.holder, row.claimed_at
        )
        for row in sql.execute(select(homes))
    }


def _has_any(sql: Connection, location: str, ids: Collection[str]) -> bool:
    """Whether a resource of a location has one of these ids."""
    for table, columns, condition in RESOURCES.values():
        query = select(*(table.c[name] for name in columns)).where(table.c.location == location)
        for row in sql.execute(query if condition is None else query.where(condition)):
            if not set(row).isdisjoint(ids):
                return True
    return False


def _counts(sql: Connection, location: str) -> dict[str, int]:
    counts = {}
    for name, (table, _, condition) in RESOURCES.items():
        query = select(func.count()).where(table.c.location == location)
        counts[name] = sql.execute(
            query if condition is None else query.where(condition)
        ).scalar_one()
    return counts


def _counted(counts: Mapping[str, int]) -> str:
    """The counts in words, as `2 workspaces, 1 volume`."""
    words: Sequence[str] = [
        f"{count} {name[:-1] if count == 1 else name}" for name, count in counts.items() if count
    ]
    return ", ".join(words) or "nothing"
