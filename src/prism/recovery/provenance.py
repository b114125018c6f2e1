"""The template, profile, budget and price of a machine, as far as this daemon knows them."""

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
from prism.profiles.providers import LOCAL, known_provider, provider_of, region_of, traits_of
from prism.profiles.service import ProfileService
from prism.recovery.model import FoundMachine
from prism.recovery.plan import Origin, names_profile
from prism.templates.model import Template
from prism.templates.service import TemplateService
from prism.workspaces.events import SYSTEM
from prism.workspaces.hooks import FundingPolicy, FundingSource, IdleMonitor
from prism.workspaces.model import Offer

Price = tuple[Micros | None, str | None]
UNKNOWN: Price = (None, None)


class ProvenanceReader:
    """Finds the names in a machine's tags, and notes what does not exist any more."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        templates: TemplateService,
        profiles: ProfileService,
        offer_of_profile: Callable[[Profile], Offer],
        funding: FundingPolicy,
        idle_monitor: IdleMonitor,
    ) -> None:
        self._db, self._clock, self._templates, self._profiles = db, clock, templates, profiles
        self._offer_of, self._funding, self._idle_monitor = offer_of_profile, funding, idle_monitor

    def of(self, tx: Tx, machine: FoundMachine, notes: list[str]) -> Origin:
        """Everything known about a machine's origin; adds what is missing to `notes`."""
        profile = self._profile(tx, machine, notes)
        resolved_template = self._template_of(machine, notes)
        offer = self._offer_at(profile, machine)
        hourly, source = self._price(offer, machine)
        if hourly is None:
            notes.append("its price is not known")
        if machine.instance_type is None:
            notes.append("its machine type is not known")
        return Origin(
            resolved_template=resolved_template,
            profile=profile.name,
            region=region_of(machine.location),
            expected_id=offer.expected_id(machine.key) if offer else None,
            hourly=hourly,
            price_source=source,
            fund=self._fund(tx.sql, machine, notes),
            idle_profile=self._idle_profile(tx.sql, machine, notes),
        )

    def price(self, machine: FoundMachine) -> Price:
        """The hourly price, by the machine's own profile or the current one."""
        with self._db.read() as sql:
            profile = self._known_profile(sql, machine)
        offer = self._offer_at(profile, machine) if profile else None
        return self._price(offer, machine)

    def _price(self, offer: Offer | None, machine: FoundMachine) -> Price:
        kind = TYPES.get(machine.instance_type or "")
        if offer is None or kind is None:
            return UNKNOWN
        return offer.price(kind, machine.spot, machine.unlimited)

    def _offer_at(self, profile: Profile, machine: FoundMachine) -> Offer | None:
        try:
            return self._offer_of(replace(profile, region=region_of(machine.location)))
        except Problem:  # this daemon does not serve that provider now
            return None

    def _known_profile(self, sql: Connection, machine: FoundMachine) -> Profile | None:
        """The profile of the launch, else the current one of the same provider."""
        provider = provider_of(machine.location)
        profile = profiles.named(sql, machine.profile)
        if profile is not None and profile.provider == provider:
            return profile
        current = self._profiles.current_in(sql)
        return current if current.provider == provider else None

    def _profile(self, tx: Tx, machine: FoundMachine, notes: list[str]) -> Profile:
        """The profile, which is made if it is missing: it names the key of the machine."""
        provider, known = provider_of(machine.location), self._known_profile(tx.sql, machine)
        if known is not None and known.name == (machine.profile or known.name):
            return known
        unfit = (
            not names_profile(machine.profile)
            or profiles.named(tx.sql, machine.profile) is not None
        )
        profile = Profile(
            name=_free_name(tx.sql, machine) if unfit else machine.profile,
            provider=known_provider(provider) or LOCAL,
            aws_profile=known.aws_profile if known else None,
            region=traits_of(machine.location).region or region_of(machine.location),
            host=region_of(machine.location) if traits_of(machine.location).has_host else None,
            created_at=whole(self._clock.now()),
        )
        profiles.add(tx, profile)
        tx.happened(ProfileCreated(actor=SYSTEM, subject=profile.name, provider=profile.provider))
        notes.append(f"its profile did not exist: {profile.name!r} was created")
        return profile

    def _template_of(self, machine: FoundMachine, notes: list[str]) -> Template:
        """Its template, as far as the machine knows it; the current one has the rest."""
        resolved_template = machine.resolved_template
        try:
            known = self._templates.named(machine.template)
        except Problem:
            if resolved_template is None:
                notes.append(
                    f"template {machine.template!r} does not exist: its services are not known"
                )
            return resolved_template or Template(name=machine.template or "unknown")
        if resolved_template is None:
            notes.append("it has the present version of its template")
            return known
        return replace(
            known,
            packages={**known.packages, **resolved_template.packages},
            services=resolved_template.services,
            environment=resolved_template.environment,
            post_install=resolved_template.post_install,
        )

    def _fund(self, sql: Connection, machine: FoundMachine, notes: list[str]) -> FundingSource:
        if machine.project is None:
            return FundingSource()
        for budget in dict.fromkeys((machine.budget, None)):
            try:
                fund = self._funding.fund(sql, machine.project, budget)
            except Problem:
                continue
            if budget != machine.budget:
                notes.append(f"budget {machine.budget!r} does not pay for its project any more")
            return fund
        notes.append(f"project {machine.project!r} does not exist: no budget pays for it")
        return FundingSource()

    def _idle_profile(
        self, sql: Connection, machine: FoundMachine, notes: list[str]
    ) -> str | None:
        if machine.idle_profile is None:
            return None
        try:
            self._idle_monitor.require_profile(sql, machine.idle_profile)
        except Problem:
            notes.append(f"idle profile {machine.idle_profile!r} does not exist: none was set")
            return None
        return machine.idle_profile


def _free_name(sql: Connection, machine: FoundMachine) -> str:
    """A free name for a profile, if its own cannot be used."""
    taken = {profile.name for profile in profiles.every(sql)}
    name = f"recovered-{region_of(machine.location)}"
    tries = (f"{name}{suffix}" for suffix in ("", *map(str, range(2, 999))))
    return next(tried for tried in tries if tried not in taken)
