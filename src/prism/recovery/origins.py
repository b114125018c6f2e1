"""Where a machine came from, as far as this daemon knows: recipe, profile, money, price."""

from collections.abc import Callable

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.catalog.plan import TYPES
from prism.errors import Problem
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.money import Micros
from prism.profiles import store as profiles
from prism.profiles.events import ProfileCreated
from prism.profiles.model import Profile
from prism.profiles.service import ProfileService
from prism.recovery.model import Found
from prism.recovery.plan import Origin, names_profile, region_of
from prism.templates.model import Template
from prism.templates.service import TemplateService
from prism.workspaces.events import SYSTEM
from prism.workspaces.model import Terms
from prism.workspaces.upstairs import Fund, Treasury, Watcher

Price = tuple[Micros | None, str | None]
UNKNOWN: Price = (None, None)


class Origins:
    """Puts together what a machine's tags only name; what is not here any more is said."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        templates: TemplateService,
        profiles: ProfileService,
        terms: Callable[[Profile], Terms],
        treasury: Treasury | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._db, self._clock, self._templates, self._profiles = db, clock, templates, profiles
        self._terms, self._treasury, self._watcher = terms, treasury, watcher

    def of(self, tx: Tx, it: Found) -> tuple[Origin, tuple[str, ...]]:
        """Everything that is known of it, and notes on what is not."""
        notes: list[str] = []
        profile = self._profile(tx, it, notes)
        recipe = self._recipe(it, notes)
        terms = self._terms_of(profile, it)
        hourly, source = self._priced(terms, it)
        if hourly is None:
            notes.append("what it costs is not known")
        if it.instance_type is None:
            notes.append("its machine type is not known")
        origin = Origin(
            recipe=recipe,
            profile=profile.name,
            region=region_of(it.place),
            expected_id=terms.expected_id(it.key) if terms else None,
            hourly=hourly,
            price_source=source,
            fund=self._fund(tx.sql, it, notes),
            idle_profile=self._idle_profile(tx.sql, it, notes),
        )
        return origin, tuple(notes)

    def price(self, it: Found) -> Price:
        """What an hour of it costs, by the profile it came from or the current one."""
        with self._db.read() as sql:
            profile = self._known(sql, it)
        return UNKNOWN if profile is None else self._priced(self._terms_of(profile, it), it)

    def _priced(self, terms: Terms | None, it: Found) -> Price:
        kind = TYPES.get(it.instance_type or "")
        return (
            UNKNOWN if terms is None or kind is None else terms.price(kind, it.spot, it.unlimited)
        )

    def _terms_of(self, profile: Profile, it: Found) -> Terms | None:
        try:
            return self._terms(replace(profile, region=region_of(it.place)))
        except Problem:  # this daemon does not serve that provider now
            return None

    def _known(self, sql: Connection, it: Found) -> Profile | None:
        """The profile it was launched with, else one that leads to the same provider."""
        provider = it.place.partition(":")[0]
        own = profiles.named(sql, it.profile)
        if own is not None and own.provider == provider:
            return own
        current = self._profiles.current_in(sql)
        return current if current.provider == provider else None

    def _profile(self, tx: Tx, it: Found, notes: list[str]) -> Profile:
        """The profile of its name, made where it is missing: it names the key to the machine."""
        provider, known = it.place.partition(":")[0], self._known(tx.sql, it)
        if known is not None and known.name == (it.profile or known.name):
            return known
        unfit = not names_profile(it.profile) or profiles.named(tx.sql, it.profile) is not None
        made = Profile(
            name=_free(tx.sql, it) if unfit else it.profile,
            provider="aws" if provider == "aws" else "local",
            aws_profile=known.aws_profile if known else None,
            region=region_of(it.place),
            created_at=whole(self._clock.now()),
        )
        profiles.add(tx, made)
        tx.happened(ProfileCreated(actor=SYSTEM, subject=made.name, provider=made.provider))
        notes.append(f"its profile was missing: {made.name!r} is new")
        return made

    def _recipe(self, it: Found, notes: list[str]) -> Template:
        """What it was made of, where that is known; the rest as the template says today."""
        made = it.recipe
        try:
            known = self._templates.named(it.template)
        except Problem:
            if made is None:
                notes.append(f"template {it.template!r} is not here: its services are not known")
            return made or Template(name=it.template or "unknown")
        if made is None:
            notes.append("its recipe is the template as it is today")
            return known
        return replace(
            known,
            packages={**known.packages, **made.packages},
            services=made.services,
            environment=made.environment,
            post_install=made.post_install,
        )

    def _fund(self, sql: Connection, it: Found, notes: list[str]) -> Fund:
        if it.project is None or self._treasury is None:
            return Fund()
        for budget in dict.fromkeys((it.budget, None)):
            try:
                fund = self._treasury.fund(sql, it.project, budget)
            except Problem:
                continue
            if budget != it.budget:
                notes.append(f"budget {it.budget!r} does not pay for its project any more")
            return fund
        notes.append(f"project {it.project!r} is not here: nobody's budget pays for it")
        return Fund()

    def _idle_profile(self, sql: Connection, it: Found, notes: list[str]) -> str | None:
        if it.idle_profile is None or self._watcher is None:
            return None
        try:
            self._watcher.know(sql, it.idle_profile)
        except Problem:
            notes.append(f"idle profile {it.idle_profile!r} is not here: nobody watches it")
            return None
        return it.idle_profile


def _free(sql: Connection, it: Found) -> str:
    """A name for a profile whose own is not usable."""
    taken = {profile.name for profile in profiles.every(sql)}
    name = f"recovered-{region_of(it.place)}"
    tries = (f"{name}{more}" for more in ("", *map(str, range(2, 999))))
    return next(tried for tried in tries if tried not in taken)
