"""Updates the prices of living workspaces every hour."""

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.catalog.plan import TYPES
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.kit.money import Micros
from prism.profiles import store as profiles
from prism.profiles.model import Profile
from prism.workspaces import store
from prism.workspaces.model import Offer, PricedKind
from prism.workspaces.service import WorkspaceService

EVERY = timedelta(hours=1)


class PriceWatch:
    """Compares booked prices with those of the provider every hour."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        offer: Callable[[Profile], Offer],
        requests: WorkspaceService,
        is_current: Callable[[Connection, str], bool],
    ) -> None:
        """`is_current` says whether a recent survey has seen the workspaces that run."""
        self._db, self._clock, self._offer, self._requests = db, clock, offer, requests
        self._is_current = is_current
        self._due: datetime | None = None

    def look_soon(self) -> None:
        """Compare at the next `look`, because a machine has another type than Prism had booked."""
        self._due = None

    def look(self) -> int:
        """Reprice workspaces whose price has changed; return their number.

        A workspace that no recent survey has shown may have stopped at the old price, so it waits
        for a survey.
        """
        now = self._clock.now()
        if self._due is not None and now < self._due <= now + EVERY:  # else the clock was set back
            return 0
        self._due = now + EVERY
        with self._db.read() as sql:
            kinds = store.priced(sql)
            of = {profile.name: profile for profile in profiles.every(sql)}
        prices = {priced: self._price(priced, of.get(priced.profile)) for priced in kinds}
        with self._db.read() as sql:
            repriced = {
                id: (priced, price)
                for priced, price in prices.items()
                if price[0] is not None and price[0] != priced.hourly_rate
                for id in store.priced_so(sql, priced)
            }
            current = {id for id in repriced if self._is_current(sql, id)}
        changed = 0
        for id, (priced, (hourly, source)) in sorted(repriced.items()):
            if id not in current:
                self._due = None
                continue
            changed += self._requests.reprice(id, hourly, source, priced)
        return changed

    def _price(
        self, priced: PricedKind, profile: Profile | None
    ) -> tuple[Micros | None, str | None]:
        """The current hourly price; None, and no change, if no provider here knows it."""
        kind = TYPES.get(priced.instance_type)
        if profile is None or kind is None:
            return None, None
        try:
            offer = self._offer(replace(profile, region=priced.region))
            return offer.price(kind, priced.spot, priced.unlimited)
        except Problem:  # this daemon does not serve that provider
            return None, None
