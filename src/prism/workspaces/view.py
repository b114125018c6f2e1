"""How a workspace looks on the wire: pure functions of a row."""

from datetime import datetime, timedelta

from prism.kit.clock import whole
from prism.kit.money import Micros, amount, rate
from prism.storage.model import Attached
from prism.workspaces.model import (
    Hibernation,
    Idle,
    Instance,
    Launched,
    Plan,
    PlanCap,
    State,
    Workspace,
)
from prism.workspaces.plan import state_of
from prism.workspaces.upstairs import Outlook

# EC2 User Guide, "Prerequisites for Amazon EC2 instance hibernation" and "Limitations": not
# supported for longer than 60 days; whoever needs longer starts it, stops it and starts it.
LONGEST_SLEEP = {"aws": timedelta(days=60)}
HOUR, NOTHING, NO_OUTLOOK, NO_VOLUMES = 3600, Micros(0), Outlook(), Attached()


def instance(
    it: Workspace,
    spend: Micros | None = NOTHING,
    attached: Attached = NO_VOLUMES,
    idle: Idle | None = None,
    waiting: str | None = None,
) -> Instance:
    """A workspace as lists show it; `spend` is what it had cost by the last settlement."""
    labels = {"Project": it.project_name, "Budget": it.budget}
    return Instance(
        name=it.name,
        id=it.machine_id or it.expected_id,
        state=state_of(it),
        public_ip=it.public_ip,
        private_ip=it.private_ip,
        instance_type=it.instance_type,
        region=it.region,
        template=it.template,
        launch_time=it.launched_at,
        hourly_rate=None if it.hourly_rate is None else rate(it.hourly_rate),
        current_spend=None if spend is None else amount(spend),
        hibernation_capable=it.hibernation,
        attached_volumes=attached.efs,
        attached_ebs_volumes=attached.ebs,
        tags={label: value for label, value in labels.items() if value},
        profile=it.profile,
        launch_progress=launch_progress(it),
        progress=it.progress,
        stage=it.stage,
        expires_at=it.expires_at,
        failure=it.failure,
        idle=idle or Idle(it.idle_profile),
        price_source=it.price_source,
        restart=it.restart,
        restarting=it.restarting,
        owner=it.owner,
        waiting=waiting,
    )


def launch_progress(it: Workspace) -> int:
    """How far the launch is, 0-100; once it was ready, it stays launched."""
    return 100 if it.ready_at else min(it.progress, 99)


def launched(it: Workspace, ready_at: datetime, notes: tuple[str, ...]) -> Launched:
    """The answer to a launch."""
    return Launched(
        name=it.name,
        instance_id=it.machine_id or it.expected_id,
        state=state_of(it),
        estimated_ready_time=ready_at,
        hourly_rate=None if it.hourly_rate is None else rate(it.hourly_rate),
        launch_progress=launch_progress(it),
        notes=notes,
        failure=it.failure,
    )


def planned(
    it: Workspace,
    image: str,
    notes: tuple[str, ...],
    ready_in: tuple[timedelta, bool],
    outlook: Outlook = NO_OUTLOOK,
) -> Plan:
    """The answer to a launch that is only tried: a day has 24 hours, a month 720."""
    disk = f"{it.root_gb} GB {it.root_type} root disk"
    return Plan(
        instance_type=it.instance_type,
        image=image,
        hourly=None if it.hourly_rate is None else rate(it.hourly_rate),
        daily=_usd(it.hourly_rate, 24),
        monthly=_usd(it.hourly_rate, 720),
        budget=outlook.of or it.budget,
        notes=(*notes, *outlook.notes),
        price_source=it.price_source,
        disk_monthly=_usd(outlook.disk_month, 1),
        address_monthly=_usd(outlook.address_month, 1),
        reserves=_usd(outlook.needed, 1),
        leaves=_usd(outlook.left, 1),
        caps=tuple(
            PlanCap(cap=it.cap, reserves=amount(it.needed), leaves=amount(it.left))
            for it in outlook.caps
        ),
        lasts_until=outlook.lasts_until,
        ready_seconds=round(ready_in[0].total_seconds()),
        ready_measured=ready_in[1],
        creates=(f"workspace {it.name} ({it.instance_type}, {it.region})", disk),
    )


def asleep_since(it: Workspace) -> datetime | None:
    """When its present sleep began; null for what does not sleep."""
    return it.hibernated_at if state_of(it) is State.HIBERNATED else None


def hibernation(it: Workspace, now: datetime, saved: Micros | None = None) -> Hibernation:
    """Whether it can sleep, since when it does, and what compute would have cost meanwhile."""
    since = asleep_since(it)
    slept = max(now - since, timedelta(0)) if since else None
    seconds = int(slept.total_seconds()) if slept else 0
    longest = LONGEST_SLEEP.get(it.place.partition(":")[0])
    resume_by = whole(since + longest) if since and longest else None
    return Hibernation(
        hibernation_supported=it.hibernation,
        current_state=state_of(it),
        hibernation_time=whole(since) if since else None,
        estimated_savings=_usd(saved, 1) if since else None,
        hibernation_duration=f"{seconds // HOUR}h {seconds % HOUR // 60}m" if since else None,
        resume_by=resume_by,
        note=None if longest is None or resume_by is None else _no_longer(longest, resume_by, now),
    )


def _no_longer(longest: timedelta, resume_by: datetime, now: datetime) -> str:
    told = f"AWS supports no sleep of more than {longest.days} days"
    if now >= resume_by:
        return f"{told}, and that was over on {resume_by:%Y-%m-%d}: resume it now"
    return f"{told}: resume it by {resume_by:%Y-%m-%d}, and stop it then if it is to rest longer"


def _usd(amount: int | None, times: int) -> float | None:
    return None if amount is None else round(amount * times / 1_000_000, 2)
