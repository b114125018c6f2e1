"""The accounts and regions of AWS that are in use, connected behind the scenes.

In use is where the active profile of somebody leads, and where rows live. A place is known
by its account, so nobody can say where a profile leads before AWS has said who it is. Until
then, and while credentials are away, a place says why to whoever asks. Nothing here asks AWS
before an aws profile is used.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from prism.catalog.plan import PriceBook
from prism.errors import Problem
from prism.kit.clock import Clock
from prism.profiles.model import Profile
from prism.profiles.providers import AWS
from prism.providers.aws.account.identity import (
    AwsIdentity,
    Identities,
    OwnCloud,
    of_another,
    parts_of,
    place_of,
    region_of,
)
from prism.providers.aws.account.permissions import Permissions
from prism.providers.aws.api.actions import SETUP_ACTIONS
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import credentials_missing
from prism.providers.aws.api.rate_limits import RateLimiter
from prism.providers.aws.machine.files import FilesAway
from prism.providers.aws.offer import AwsOffer, Known
from prism.providers.aws.prices.price_list import Prices
from prism.providers.aws.storage.offer import AwsStorageOffer
from prism.providers.aws.unavailable import UnavailableProvider
from prism.providers.provider import Location, Login
from prism.recovery.model import Looked

log = logging.getLogger(__name__)

EVERY, SOON = 15.0, 0.2  # seconds between two looks; and after somebody rang
SHOPPING = 2.0  # seconds between two looks at what is due of prices
GOING_HOME = 10.0  # seconds that a look has to end
WAIT = 5.0  # seconds for who we are, where a look may wait


class PlacesInUse(Struct, frozen=True, kw_only=True):
    """What is in use: active profiles, places of rows with their profiles, and all profiles."""

    active: tuple[Profile, ...] = ()
    rows: tuple[tuple[str, str | None], ...] = ()
    profiles: Mapping[str, Profile] = {}


class Checked(Struct, frozen=True, kw_only=True):
    """What a login lacked of the permissions that Prism needs, when somebody looked last."""

    at: datetime
    missing: tuple[str, ...]


class Parts(Location, frozen=True, kw_only=True):
    """What serves a connected place."""

    cloud: OwnCloud
    image: Known = lambda base, built: None
    note: Callable[[], str | None] = lambda: None
    close: Callable[[], object] = lambda: None


Assemble = Callable[[OwnCloud], Parts]


class AwsPlaces:
    """Implements `providers.provider.Provider`; mappings are never changed, only replaced."""

    def __init__(
        self,
        home: Path,
        clock: Clock,
        usage: Callable[[], PlacesInUse],
        assemble: Assemble,
        identities: Identities | None = None,
        *,
        price_book: PriceBook,
    ) -> None:
        self._clock, self._usage, self._assemble = clock, usage, assemble
        self.identities = identities or Identities(clock)
        self.prices = Prices(home / "prices", clock, price_book)
        self.locations: Mapping[str, Location] = {}
        self.connected: Mapping[str, Parts] = {}
        self.troubles: Mapping[str, Problem] = {}
        """Active profiles that lead nowhere yet, by name, and why."""
        self.in_use: Set[str] = frozenset()
        """What was in use at the last look."""
        self.told: list[Callable[[str], object]] = []
        """Called with the name of each place that was connected."""
        self._checked: dict[tuple[str, str | None], Checked] = {}  # by place and login
        self._budgets: dict[str, RateLimiter] = {}
        self._lock = threading.Lock()
        self._rung, self._closed = threading.Event(), threading.Event()
        self._workers: list[threading.Thread] = []

    # ------------------------------------------------------------ for requests
    def offer(self, profile: Profile, *, wait: float = WAIT) -> AwsOffer:
        """What the place says where a profile leads; raises why nobody knows where that is."""
        region = region_of(profile)
        identity = self.identities.of(profile.aws_profile, wait)
        place = place_of(identity.account, region)
        parts = self.connected.get(place)
        known = parts.image if parts else lambda base, built: None
        return AwsOffer(place, region, self.prices, known, parts.note if parts else lambda: None)

    def cloud_of(self, profile: Profile) -> tuple[OwnCloud, AwsIdentity]:
        """A way to ask AWS as a profile, and who that is; raises why there is none."""
        region = region_of(profile)
        identity = self.identities.of(profile.aws_profile, WAIT)
        place = place_of(identity.account, region)
        parts = self.connected.get(place)
        if parts is not None and parts.cloud.aws_profile == profile.aws_profile:
            return parts.cloud, identity
        return self._cloud(place, profile.aws_profile), identity

    def administrator(self, profile: Profile) -> Cloud:
        """A way to make what an account needs once, as a profile; it may call nothing else."""
        self.cloud_of(profile)  # raises where nobody knows who that is
        return Cloud(
            region_of(profile), profile.aws_profile, actions=SETUP_ACTIONS, agent="prism-setup"
        )

    def storage_offer(self, place: str) -> AwsStorageOffer:
        """What a place says of storage."""
        return AwsStorageOffer(place, parts_of(place)[1], self.prices)

    def login(self, place: str) -> Login:
        """The user or role that a connected place takes us for, and what it lacked."""
        if (parts := self.connected.get(place)) is None:
            return Login()
        found = self.identities.known(parts.cloud.aws_profile).identity
        checked = self._checked.get((place, parts.cloud.aws_profile))
        return Login(
            identity=found.arn if found else None,
            missing=checked.missing if checked else None,
            checked_at=checked.at if checked else None,
        )

    def delay(self, place: str) -> str | None:
        """Why calls to AWS wait, as for its throttling."""
        parts = self.connected.get(place)
        return parts.cloud.pending.reason() if parts else None

    def unreadable(self) -> Sequence[str]:
        """What AWS has described and nobody here can read."""
        return [
            why for parts in self.connected.values() for why in parts.cloud.unreadable.reasons()
        ]

    def nowhere(self) -> Mapping[str, Problem]:
        """Active profiles that lead nowhere yet, by name, and why."""
        return self.troubles

    def unseen(self) -> Sequence[Looked]:
        """Places that are away, and where active profiles lead or cannot lead yet."""
        away = {
            place: location.away
            for place, location in self.locations.items()
            if location.away is not None
        }
        found = [Looked(place, None, why.message) for place, why in away.items()]
        for profile in self._usage().active:
            who = self.identities.known(profile.aws_profile)
            trouble = who.problem or self.troubles.get(profile.name)
            if who.identity is None or trouble is not None:
                why = None if trouble is None else trouble.message
                found.append(Looked(nameless(profile.name), None, why))
            else:
                found.append(Looked(place_of(who.identity.account, region_of(profile))))
        return found

    def note(self, cloud: OwnCloud, identity: AwsIdentity, found: Permissions) -> None:
        """Somebody has looked what a login may do where its cloud is."""
        login = place_of(identity.account, cloud.region), cloud.aws_profile
        self._checked[login] = Checked(at=self._clock.now(), missing=found.missing)

    def ring(self) -> None:
        """Something may be in use that was not; waits for nobody."""
        self._rung.set()

    # ------------------------------------------------------------ behind the scenes
    def start(self, connected: Callable[[str], object]) -> None:
        """Look now, and whenever somebody rings, until closed."""
        self.told.append(connected)
        self.identities.told.append(self.ring)
        for work, name in ((self._run, "aws places"), (self._shop, "aws prices")):
            worker = threading.Thread(target=work, name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def stop(self) -> None:
        """Connect nothing and ask nothing any more; machines keep running."""
        self._closed.set()
        self.ring()
        for parts in self.connected.values():
            parts.cloud.close()
        for worker in self._workers:
            worker.join(GOING_HOME)

    def close(self) -> None:
        """Let go of every place; who works there has stopped before."""
        self.stop()
        for parts in self.connected.values():
            parts.close()

    def look(self, wait: float = 0.0) -> None:
        """See what is in use, and connect what can be; waits for who we are if it may."""
        usage = self._usage()
        rows = {place: self._candidates(place, usage) for place, _ in usage.rows}
        asked = [*usage.active, *(profile for found in rows.values() for profile in found)]
        for done in [
            self.identities.begin(name) for name in {profile.aws_profile for profile in asked}
        ]:
            done.wait(wait)
        leading = self._leading(usage.active)
        self.in_use = frozenset({*leading, *rows})
        for place in sorted(self.in_use):
            self._serve(place, [*leading.get(place, ()), *rows.get(place, ())])

    def look_at_prices(self) -> None:
        """Fetch what is due, for each region that is in use."""
        for place in self.in_use & self.connected.keys():
            if not self._closed.is_set():
                self.prices.look(self.connected[place].cloud)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._rung.clear()
            _apart(self.look)
            self._rung.wait(EVERY)
            self._closed.wait(SOON)  # a burst of commits is no burst of looks

    def _shop(self) -> None:
        while not self._closed.wait(SHOPPING):
            if self.in_use & self.connected.keys():
                _apart(self.look_at_prices)

    def _candidates(self, place: str, usage: PlacesInUse) -> list[Profile]:
        """Profiles that may lead to a place: those of its rows, else others of the region."""
        account = parts_of(place)[0]
        names = dict.fromkeys(name for at, name in usage.rows if at == place and name)
        own = [usage.profiles[name] for name in names if name in usage.profiles]
        who = [self.identities.known(profile.aws_profile).identity for profile in own]
        if any(aws_identity is None or aws_identity.account == account for aws_identity in who):
            return own
        region = parts_of(place)[1]
        return own + [
            profile
            for profile in usage.profiles.values()
            if profile.provider == AWS and profile.region in {None, region} and profile not in own
        ]

    def _leading(self, active: Iterable[Profile]) -> dict[str, list[Profile]]:
        """Where the active profiles lead; those that lead nowhere yet are troubles."""
        found: dict[str, list[Profile]] = {}
        troubles: dict[str, Problem] = {}
        for profile in active:
            who = self.identities.known(profile.aws_profile)
            try:
                region = region_of(profile)
            except Problem as problem:
                troubles[profile.name] = problem
                continue
            if who.identity is not None:
                found.setdefault(place_of(who.identity.account, region), []).append(profile)
            elif who.problem is not None:
                troubles[profile.name] = who.problem
        self.troubles = troubles
        return found

    def _serve(self, place: str, profiles: Iterable[Profile]) -> None:
        """Connect a place by the first profile that leads there, else say why it is away."""
        account = parts_of(place)[0]
        why: Problem | None = None
        fit: list[str | None] = []
        for profile in profiles:
            who = self.identities.known(profile.aws_profile)
            if who.identity is not None and who.identity.account == account:
                fit.append(profile.aws_profile)
            elif why is None and who.identity is not None:
                why = of_another(profile.aws_profile, account, who.identity.account)
            elif why is None:
                why = who.problem
        if (parts := self.connected.get(place)) is not None:
            if fit and parts.cloud.aws_profile not in fit:
                parts.cloud.use(fit[0])
        elif fit:
            self._connect(place, fit[0])
        else:
            account, region = parts_of(place)
            nobody = credentials_missing(f"no profile leads to account {account} in {region}")
            self._away(place, why or nobody)

    def _cloud(self, place: str, aws_profile: str | None) -> OwnCloud:
        """A cloud of the place; all of a place spend from one budget of calls."""
        budget, who = self._budgets.setdefault(place, RateLimiter()), self.identities.fresh
        return OwnCloud(*parts_of(place), aws_profile, who, budget=budget, clock=self._clock)

    def _connect(self, place: str, aws_profile: str | None) -> None:
        self.prices.open(parts_of(place)[1])
        parts = self._assemble(self._cloud(place, aws_profile))
        with self._lock:
            if self._closed.is_set():
                return
            self.connected = {**self.connected, place: parts}
            self.locations = {**self.locations, place: parts}
        log.info("%s: connected", place)
        for tell in self.told:
            tell(place)

    def _away(self, place: str, why: Problem) -> None:
        away = UnavailableProvider(why)
        with self._lock:
            here = Location(compute=away, logs=away, files=FilesAway(why), away=why)
            self.locations = {**self.locations, place: here}


def _apart(work: Callable[[], object]) -> None:
    """Do it in a thread of its own: a bug ends that one, is told, and the next look comes."""
    thread = threading.Thread(target=work, name="aws", daemon=True)
    thread.start()
    thread.join()


def nameless(profile: str) -> str:
    """What stands for the place of a profile while nobody knows its account."""
    return f"{AWS}:{profile}"
