"""The accounts and regions of AWS that are in use, connected in the background.

A location is in use if it belongs to an active profile, or rows are in it. Its name contains the
account, so the location of a profile is unknown until AWS has told the profile's identity. Until
then, and while credentials are missing, calls to a location raise the reason. AWS is not called
before an aws profile is used.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from msgspec import Struct

from prism.catalog.plan import PriceBook
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.profiles.model import Profile
from prism.profiles.providers import AWS
from prism.providers.aws.account.identity import (
    AccountCloud,
    AwsIdentity,
    Identities,
    location_of,
    of_another,
    parts_of,
    region_of,
)
from prism.providers.aws.account.permissions import Permissions
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import credentials_missing
from prism.providers.aws.api.rate_limits import RateLimiter
from prism.providers.aws.offer import AwsOffer, Known
from prism.providers.aws.prerequisites.free_plan import free_types
from prism.providers.aws.prices.price_list import Prices
from prism.providers.aws.storage.offer import AwsStorageOffer
from prism.providers.aws.unavailable import UnavailableProvider
from prism.providers.provider import Location, Login
from prism.recovery.model import SurveyedLocation

log = logging.getLogger(__name__)

CHECK_EVERY, CHECK_SOON = 15.0, 0.2  # seconds between two checks; and after `wake`
PRICES_EVERY = 2.0  # seconds between two checks whether prices are due
PLAN_EVERY = timedelta(hours=6)
SHUTDOWN_TIMEOUT = 10.0  # seconds that a check gets to end at shutdown
IDENTITY_TIMEOUT = 5.0  # seconds that a request waits for an identity


class LocationsInUse(Struct, frozen=True, kw_only=True):
    """Active profiles, locations of rows with their profiles, and all profiles by name."""

    active: tuple[Profile, ...] = ()
    rows: tuple[tuple[str, str | None], ...] = ()
    profiles: Mapping[str, Profile] = {}


class LoginCheck(Struct, frozen=True, kw_only=True):
    """The permissions that a login lacked at its last check."""

    at: datetime
    missing: tuple[str, ...]


class AwsLocationParts(Location, frozen=True, kw_only=True):
    """All parts that serve a connected location."""

    cloud: AccountCloud
    image: Known = lambda base, built: None
    note: Callable[[], str | None] = lambda: None
    close: Callable[[], object] = lambda: None


Assemble = Callable[[AccountCloud], AwsLocationParts]


class AwsLocations:
    """Implements `providers.provider.Provider`; mappings are never changed, only replaced."""

    def __init__(
        self,
        home: Path,
        clock: Clock,
        usage: Callable[[], LocationsInUse],
        assemble: Assemble,
        identities: Identities | None = None,
        *,
        price_book: PriceBook,
    ) -> None:
        self._clock, self._usage, self._assemble = clock, usage, assemble
        self.identities = identities or Identities(clock)
        self.prices = Prices(home / "prices", clock, price_book)
        self.locations: Mapping[str, Location] = {}
        self.connected: Mapping[str, AwsLocationParts] = {}
        self.troubles: Mapping[str, Problem] = {}
        """Active profiles whose location is unknown, by name, and why."""
        self.in_use: Set[str] = frozenset()
        """The locations in use at the last look."""
        self.listeners: list[Callable[[str], object]] = []
        """Called with the name of each new location."""
        self._checked: dict[tuple[str, str | None], LoginCheck] = {}  # by location and login
        self._rate_limiters: dict[str, RateLimiter] = {}
        self._included: dict[str, frozenset[str] | None] = {}  # by location, once it is known
        self._plan_due: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._rung, self._closed = threading.Event(), threading.Event()
        self._workers: list[threading.Thread] = []

    # ------------------------------------------------------------ for requests
    def offer(self, profile: Profile, *, wait: float = IDENTITY_TIMEOUT) -> AwsOffer:
        """The offer of a profile's location; raises if that location is not known yet."""
        location, _ = self._location_of(profile, wait)
        included = partial(self._included.get, location)
        terms = partial(AwsOffer, clock=self._clock, included=included)
        offer = partial(terms, location, parts_of(location)[1], self.prices)
        parts = self.connected.get(location)
        return offer(parts.image, parts.note) if parts else offer()

    def cloud_of(self, profile: Profile) -> tuple[AccountCloud, AwsIdentity]:
        """The cloud and the identity of a profile; raises if it has none."""
        location, identity = self._location_of(profile, IDENTITY_TIMEOUT)
        parts = self.connected.get(location)
        if parts is not None and parts.cloud.aws_profile == profile.aws_profile:
            return parts.cloud, identity
        return self._new_cloud(location, profile.aws_profile), identity

    def administrator(self, profile: Profile) -> Cloud:
        """A cloud that may call only `SETUP_ACTIONS`, with the credentials of a profile."""
        self.cloud_of(profile)  # raises without an identity
        return Cloud(
            region_of(profile), profile.aws_profile, actions=SETUP_ACTIONS, agent="prism-setup"
        )

    def storage_offer(self, location: str) -> AwsStorageOffer:
        """The storage offer of a location."""
        return AwsStorageOffer(location, parts_of(location)[1], self.prices)

    def login(self, location: str) -> Login:
        """The user or role of a connected location, and the permissions that it lacked."""
        if (parts := self.connected.get(location)) is None:
            return Login()
        identity = self.identities.known(parts.cloud.aws_profile).identity
        checked = self._checked.get((location, parts.cloud.aws_profile))
        return Login(
            identity=identity.arn if identity else None,
            missing=checked.missing if checked else None,
            checked_at=checked.at if checked else None,
        )

    def delay(self, location: str) -> str | None:
        """Why calls to AWS wait, for example because AWS throttles them."""
        parts = self.connected.get(location)
        return parts.cloud.pending.reason() if parts else None

    def unreadable(self) -> Sequence[str]:
        """One sentence per resource whose description cannot be read."""
        return [
            why for parts in self.connected.values() for why in parts.cloud.unreadable.reasons()
        ]

    def profiles_without_location(self) -> Mapping[str, Problem]:
        """Active profiles whose location is unknown, by name, and why."""
        return self.troubles

    def unsurveyed_locations(self) -> Sequence[SurveyedLocation]:
        """Locations that are unavailable, and the locations of active profiles, known or not."""
        looked = [
            SurveyedLocation(location, None, parts.away.message)
            for location, parts in self.locations.items()
            if parts.away is not None
        ]
        for profile in self._usage().active:
            login = self.identities.known(profile.aws_profile)
            trouble = login.problem or self.troubles.get(profile.name)
            if login.identity is None or trouble is not None:
                why = None if trouble is None else trouble.message
                looked.append(SurveyedLocation(nameless(profile.name), None, why))
            else:
                looked.append(
                    SurveyedLocation(location_of(login.identity.account, region_of(profile)))
                )
        return looked

    def note(self, cloud: AccountCloud, identity: AwsIdentity, permissions: Permissions) -> None:
        """Record the permissions of a login in the location of its cloud.

        Somebody asks what has changed in the account: perhaps its plan, which is asked again.
        """
        login = location_of(identity.account, cloud.region), cloud.aws_profile
        self._plan_due.pop(login[0], None)
        self._checked[login] = LoginCheck(at=self._clock.now(), missing=permissions.missing)

    def wake(self) -> None:
        """Check soon whether another location has come into use; does not wait."""
        self._rung.set()

    # ------------------------------------------------------------ behind the scenes
    def start(self, connected: Callable[[str], object]) -> None:
        """Check now, regularly, and soon after each `wake`, until closed."""
        self.listeners.append(connected)
        self.identities.listeners.append(self.wake)
        for work, name in ((self._watch_usage, "aws usage"), (self._watch_prices, "aws prices")):
            worker = threading.Thread(target=work, name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def stop(self) -> None:
        """Connect no more locations and make no more calls; machines keep running."""
        self._closed.set()
        self.wake()
        for parts in self.connected.values():
            parts.cloud.close()
        for worker in self._workers:
            worker.join(SHUTDOWN_TIMEOUT)

    def close(self) -> None:
        """Close every location; call it after the locations' users have stopped."""
        self.stop()
        for parts in self.connected.values():
            parts.close()

    def look(self, wait: float = 0.0) -> None:
        """Find the locations in use and connect them; waits for identities at most that long."""
        usage = self._usage()
        rows = {location: self._candidates(location, usage) for location, _ in usage.rows}
        profiles = [*usage.active, *(profile for own in rows.values() for profile in own)]
        for done in [
            self.identities.begin(name) for name in {profile.aws_profile for profile in profiles}
        ]:
            done.wait(wait)
        leading = self._locations_of_active(usage.active)
        self.in_use = frozenset({*leading, *rows})
        for at in sorted(self.in_use):
            self._connect_or_explain(at, [*leading.get(at, ()), *rows.get(at, ())])

    def look_at_prices(self) -> None:
        """Fetch prices that are due, for each region in use."""
        for location in self.in_use & self.connected.keys():
            if not self._closed.is_set():
                self.prices.look(self.connected[location].cloud)
                self._look_at_plan(location)

    def _look_at_plan(self, location: str) -> None:
        """Ask which machine types the plan of the account includes, a few times a day."""
        now = self._clock.now()
        if now < self._plan_due.get(location, now):
            return
        self._plan_due[location] = now + PLAN_EVERY
        try:
            self._included[location] = free_types(self.connected[location].cloud)
        except Problem as problem:  # not known: EC2 refuses a type that it does not include
            log.info("%s: the plan of the account is not known: %s", location, problem)

    def _watch_usage(self) -> None:
        while not self._closed.is_set():
            self._rung.clear()
            _run_in_thread(self.look)
            self._rung.wait(CHECK_EVERY)
            self._closed.wait(CHECK_SOON)  # one check for a burst of commits

    def _watch_prices(self) -> None:
        while not self._closed.wait(PRICES_EVERY):
            if self.in_use & self.connected.keys():
                _run_in_thread(self.look_at_prices)

    def _candidates(self, location: str, usage: LocationsInUse) -> list[Profile]:
        """Profiles that may belong to a location: those of its rows, else others of the region."""
        account, region = parts_of(location)
        names = dict.fromkeys(name for at, name in usage.rows if at == location and name)
        own = [usage.profiles[name] for name in names if name in usage.profiles]
        identities = [self.identities.known(profile.aws_profile).identity for profile in own]
        if any(known is None or known.account == account for known in identities):
            return own
        return own + [
            profile
            for profile in usage.profiles.values()
            if profile.provider == AWS and profile.region in {None, region} and profile not in own
        ]

    def _locations_of_active(self, active: Iterable[Profile]) -> dict[str, list[Profile]]:
        """The active profiles by location; those without a location are in `troubles`."""
        by_location: dict[str, list[Profile]] = {}
        troubles: dict[str, Problem] = {}
        for profile in active:
            login = self.identities.known(profile.aws_profile)
            try:
                region = region_of(profile)
            except Problem as problem:
                troubles[profile.name] = problem
                continue
            if login.identity is not None:
                location = location_of(login.identity.account, region)
                by_location.setdefault(location, []).append(profile)
            elif login.problem is not None:
                troubles[profile.name] = login.problem
        self.troubles = troubles
        return by_location

    def _connect_or_explain(self, location: str, profiles: Iterable[Profile]) -> None:
        """Connect a location with the first profile that leads to it, or record why that fails."""
        account, region = parts_of(location)
        why: Problem | None = None
        logins: list[str | None] = []
        for profile in profiles:
            login = self.identities.known(profile.aws_profile)
            if login.identity is not None and login.identity.account == account:
                logins.append(profile.aws_profile)
            elif why is None and login.identity is not None:
                why = of_another(profile.aws_profile, account, login.identity.account)
            elif why is None:
                why = login.problem
        if (parts := self.connected.get(location)) is not None:
            if logins and parts.cloud.aws_profile not in logins:
                parts.cloud.use(logins[0])
        elif logins:
            self._connect(location, logins[0])
        else:
            missing = credentials_missing(f"no profile leads to account {account} in {region}")
            self._mark_away(location, why or missing)

    def _location_of(self, profile: Profile, wait: float) -> tuple[str, AwsIdentity]:
        """The location to which a profile leads, and its identity; raises if they are unknown."""
        region = region_of(profile)
        identity = self.identities.of(profile.aws_profile, wait)
        return location_of(identity.account, region), identity

    def _new_cloud(self, location: str, aws_profile: str | None) -> AccountCloud:
        """A cloud of the location; all clouds of a location share its rate limits."""
        rate_limiter, clock = self._rate_limiters.setdefault(location, RateLimiter()), self._clock
        login = *parts_of(location), aws_profile, self.identities.fresh
        return AccountCloud(*login, rate_limiter=rate_limiter, clock=clock)

    def _connect(self, location: str, aws_profile: str | None) -> None:
        self.prices.open(parts_of(location)[1])
        parts = self._assemble(self._new_cloud(location, aws_profile))
        with self._lock:
            if self._closed.is_set():
                return
            self.connected = {**self.connected, location: parts}
            self.locations = {**self.locations, location: parts}
        log.info("%s: connected", location)
        for listener in self.listeners:
            listener(location)

    def _mark_away(self, location: str, why: Problem) -> None:
        away = UnavailableProvider(why)
        with self._lock:
            parts = Location(compute=away, logs=away, files=away, away=why)
            self.locations = {**self.locations, location: parts}


def _run_in_thread(work: Callable[[], object]) -> None:
    """Run in a new thread: an exception is logged and ends that thread, not the loop."""
    thread = threading.Thread(target=work, name="aws", daemon=True)
    thread.start()
    thread.join()


def nameless(profile: str) -> str:
    """Stands for the location of a profile while its account is unknown."""
    return f"{AWS}:{profile}"
