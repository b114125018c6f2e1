"""Rebuilds the row of a workspace from its machine: pure functions."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct

from prism.kit.money import Micros
from prism.profiles.model import RESERVED_NAMES
from prism.recovery.model import FoundMachine
from prism.templates.model import Template
from prism.workspaces.hooks import FundingSource
from prism.workspaces.model import LifecycleVerb, Observed, Workspace

RECOVERED_NAME = re.compile(
    r"(?!.*--)(?!i-[0-9a-f]{8,17}$)(?!local-)[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?"
)
PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
UNFIT = re.compile(r"[^a-z0-9]+")
MAX_NAME_LENGTH = 48
COSTING_STATES = {Observed.STARTING, Observed.ON, Observed.STOPPING}
WAS_READY = {Observed.ON, Observed.OFF, Observed.ASLEEP, Observed.STOPPING}
ONE_HOUR = timedelta(hours=1)


class Origin(Struct, frozen=True, kw_only=True):
    """What this daemon knows about a machine's origin: payer, template, price."""

    resolved_template: Template
    profile: str
    region: str
    expected_id: str | None = None
    hourly: Micros | None = None
    price_source: str | None = None
    fund: FundingSource = FundingSource()
    idle_profile: str | None = None


def name_for(machine: FoundMachine, taken: Collection[str]) -> str:
    """A valid name that is not taken, similar to the machine's own."""
    own = machine.name.lower()
    if not RECOVERED_NAME.fullmatch(own):
        own = UNFIT.sub("-", own).strip("-")[:MAX_NAME_LENGTH].strip("-")
        own = own if RECOVERED_NAME.fullmatch(own) else "recovered"
    tail = UNFIT.sub("", machine.id.lower())[-6:]
    numbers = ("", *range(2, 1000))
    tries = (
        own,
        *(f"{own[: MAX_NAME_LENGTH - 12].rstrip('-')}-{tail}{number}" for number in numbers),
    )
    return next(name for name in tries if name not in taken)


def names_profile(name: str) -> bool:
    """Whether this is a valid name of a profile: tags can contain anything."""
    return PROFILE.fullmatch(name) is not None and name not in RESERVED_NAMES


def may_take(machine: FoundMachine, user: str, *, everybody: bool) -> str | None:
    """Why a recovery leaves a machine alone; None if it does not.

    Installations may share an account: if somebody else launched the machine and this home has no
    key to it, another Prism most likely uses it. A copy of a workspace's machine, such as one that
    AWS Backup restored, has its tags, and is nobody's.
    """
    if machine.twin_of is not None:
        return (
            f"it has the tags of {machine.twin_of}, and is another machine; to make a workspace "
            f"of it: `prism orphans adopt {machine.id}`; to destroy it: `prism orphans terminate "
            f"{machine.id}`"
        )
    if everybody or machine.at_home or machine.owner.lower() == user.lower():
        return None
    owner = machine.owner or "somebody unknown"
    return f"{owner} launched it elsewhere; to recover it: `prism orphans adopt {machine.id}`"


def cost_so_far(machine: FoundMachine, hourly: Micros | None, now: datetime) -> Micros | None:
    """The cost since the last start; None if unknown, or if the machine is off."""
    if hourly is None or machine.started_at is None or machine.observed not in COSTING_STATES:
        return None
    ran = max(now - machine.started_at, timedelta(0))
    return Micros(int(hourly * (ran / ONE_HOUR)))


def expiry_of(machine: FoundMachine) -> tuple[datetime | None, str | None]:
    """The expiry of a machine, and a note about that.

    A machine gets one time, the nearer of its expiry and of the end of its money. A time later
    than its expiry is an extension; if only money can have set the time, money is reserved anew.
    """
    until = machine.stops_at
    if until is None or (machine.ends_at is not None and until <= machine.ends_at):
        return machine.ends_at, None
    if machine.ends_at is not None or machine.project is None:
        return until, None
    return None, f"it had to stop at {until:%Y-%m-%dT%H:%M:%SZ}, most likely because of its budget"


def rebuilt(
    machine: FoundMachine, name: str, origin: Origin, verb: LifecycleVerb, now: datetime
) -> Workspace:
    """The row of the machine, to keep the machine as it is or to destroy it."""
    launched = machine.launched_at or machine.started_at or now
    workspace = Workspace(
        id=machine.key,
        name=name,
        owner=machine.owner,
        profile=origin.profile,
        location=machine.location,
        template=origin.resolved_template.name,
        resolved_template=origin.resolved_template,
        parameters=machine.parameters,
        instance_type=machine.instance_type or "unknown",
        region=origin.region,
        expected_id=origin.expected_id,
        spot=machine.spot,
        unlimited=machine.unlimited,
        hourly_rate=origin.hourly,
        price_source=origin.price_source,
        hibernation=machine.hibernation,
        root_gb=machine.root_gb or origin.resolved_template.root_gb,
        root_type=machine.root_type or "gp3",
        idle_profile=origin.idle_profile,
        launched_at=launched,
        verb=verb,
        requested_at=now,
        expires_at=expiry_of(machine)[0],
        observed=machine.observed,
        charged=machine.charged,
        observed_generation=_done(verb),
        attempted_generation=_done(verb),
        applied_expiry=machine.stops_at,
        ready_at=launched if machine.observed in WAS_READY else None,
        machine_id=machine.id,
        progress=100 if machine.observed is Observed.ON else 0,
        hibernated_at=now if machine.observed is Observed.ASLEEP else None,
    )
    return origin.fund.apply_to(workspace)


def _done(verb: LifecycleVerb) -> int:
    """The last request of a recovered row that is done; a termination is not yet."""
    return 0 if verb is LifecycleVerb.TERMINATE else 1
