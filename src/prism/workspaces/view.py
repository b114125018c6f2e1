"""Workspaces as the API shows them: pure functions of a row."""

from datetime import datetime, timedelta

from prism.catalog.plan import TYPES
from prism.kit.clock import whole
from prism.kit.money import Micros, amount, rate
from prism.profiles.providers import traits_of
from prism.storage.model import AttachedVolumes
from prism.workspaces.hooks import BudgetForecast
from prism.workspaces.model import (
    CapEstimate,
    HibernationStatus,
    IdleSummary,
    Instance,
    LastRequest,
    LaunchAnswer,
    LaunchEstimate,
    PriceTooHigh,
    Workspace,
    WorkspaceState,
)
from prism.workspaces.plan import state_of

HOUR, NOTHING, NO_OUTLOOK, NO_VOLUMES = 3600, Micros(0), BudgetForecast(), AttachedVolumes()


def instance(
    workspace: Workspace,
    spend: Micros | None = NOTHING,
    attached: AttachedVolumes = NO_VOLUMES,
    idle: IdleSummary | None = None,
) -> Instance:
    """A workspace as lists show it; `spend` is its cost at the last settlement."""
    return Instance(
        name=workspace.name,
        workspace=workspace.id,
        id=workspace.machine_id or workspace.expected_id,
        state=state_of(workspace),
        public_ip=workspace.public_ip,
        private_ip=workspace.private_ip,
        instance_type=workspace.instance_type,
        region=workspace.region,
        template=workspace.template,
        launch_time=workspace.launched_at,
        hourly_rate=None if workspace.hourly_rate is None else rate(workspace.hourly_rate),
        current_spend=None if spend is None else amount(spend),
        hibernation_capable=workspace.hibernation,
        attached_volumes=attached.efs,
        attached_ebs_volumes=attached.ebs,
        tags=_tags(workspace),
        profile=workspace.profile,
        launch_progress=launch_progress(workspace),
        progress=workspace.progress,
        stage=workspace.stage,
        expires_at=workspace.expires_at,
        failure=workspace.failure,
        idle=idle or IdleSummary(workspace.idle_profile),
        price_source=workspace.price_source,
        restart=workspace.restart,
        restarting=workspace.restarting,
        rolling_back=workspace.rollback_to is not None,
        machine=machine(workspace),
        owner=workspace.owner,
        launched_by=workspace.launched_by,
        last_request=_last_request(workspace),
    )


def machine(workspace: Workspace) -> str:
    """The machine in words. On this computer a type only sets limits, unless it has a price."""
    if not traits_of(workspace.location).in_home or workspace.hourly_rate:
        return workspace.instance_type
    if (kind := TYPES.get(workspace.instance_type)) is None:  # a newer version knows it
        return "this computer"
    cores = "1 core" if kind.vcpus == 1 else f"{kind.vcpus} cores"
    return f"this computer, at most {cores} and {kind.memory_gib} GiB of memory"


def _tags(workspace: Workspace) -> dict[str, str]:
    labels = {"Project": workspace.project_name, "Budget": workspace.budget}
    return {label: value for label, value in labels.items() if value}


def _last_request(workspace: Workspace) -> LastRequest:
    return LastRequest(
        verb=workspace.verb,
        at=workspace.requested_at,
        by=workspace.requested_by,
        reason=workspace.request_reason,
    )


def launch_progress(workspace: Workspace) -> int:
    """The progress of the launch, 0-100; it stays at 100 after the workspace was ready."""
    return 100 if workspace.ready_at else min(workspace.progress, 99)


def launched(workspace: Workspace, ready_at: datetime, notes: tuple[str, ...]) -> LaunchAnswer:
    """The answer to a launch."""
    return LaunchAnswer(
        name=workspace.name,
        workspace=workspace.id,
        instance_id=workspace.machine_id or workspace.expected_id,
        state=state_of(workspace),
        estimated_ready_time=ready_at,
        hourly_rate=None if workspace.hourly_rate is None else rate(workspace.hourly_rate),
        launch_progress=launch_progress(workspace),
        notes=notes,
        failure=workspace.failure,
    )


def require_price(workspace: Workspace, limit: float | None) -> None:
    """Refuse a launch that costs more than was agreed to; None agrees to any price."""
    if limit is None:
        return
    hourly = None if workspace.hourly_rate is None else rate(workspace.hourly_rate)
    if hourly is None or hourly > limit:
        now = "is not known" if hourly is None else f"is ${hourly:g}"
        raise PriceTooHigh(
            f"The price of {workspace.name!r} per hour {now}, and at most ${limit:g} was allowed",
            details=f"{workspace.instance_type} in {workspace.region}; nothing was launched",
            remediation="Look at the price again, with `prism launch --dry-run` or on the page",
            data={"hourly_rate": hourly, "max_hourly_rate": limit},
        )


def planned(
    workspace: Workspace,
    image: str,
    notes: tuple[str, ...],
    ready_in: tuple[timedelta, bool],
    outlook: BudgetForecast = NO_OUTLOOK,
) -> LaunchEstimate:
    """The answer to a dry run; a day has 24 hours, a month 720."""
    kind = TYPES.get(workspace.instance_type)
    return LaunchEstimate(
        instance_type=workspace.instance_type,
        machine=machine(workspace),
        profile=workspace.profile,
        region=workspace.region,
        vcpus=None if kind is None else kind.vcpus,
        memory_gib=None if kind is None else kind.memory_gib,
        gpus=None if kind is None else kind.gpus,
        image=image,
        hourly=None if workspace.hourly_rate is None else rate(workspace.hourly_rate),
        daily=_usd(workspace.hourly_rate, 24),
        monthly=_usd(workspace.hourly_rate, 720),
        budget=outlook.of or workspace.budget,
        notes=(*notes, *outlook.notes),
        price_source=workspace.price_source,
        disk_monthly=_usd(outlook.disk_month, 1),
        address_monthly=_usd(outlook.address_month, 1),
        reserves=_usd(outlook.needed, 1),
        leaves=_usd(outlook.left, 1),
        caps=_caps(outlook),
        lasts_until=outlook.lasts_until,
        ready_seconds=round(ready_in[0].total_seconds()),
        ready_measured=ready_in[1],
        creates=_created(workspace),
    )


def _caps(outlook: BudgetForecast) -> tuple[CapEstimate, ...]:
    return tuple(
        CapEstimate(cap=each.cap, reserves=amount(each.needed), leaves=amount(each.left))
        for each in outlook.caps
    )


def _created(workspace: Workspace) -> tuple[str, ...]:
    words = machine(workspace)
    if words != workspace.instance_type:  # no disk is reserved on this computer
        return (f"workspace {workspace.name} ({words})",)
    disk = f"{workspace.root_gb} GB {workspace.root_type} root disk"
    return (f"workspace {workspace.name} ({words}, {workspace.region})", disk)


def asleep_since(workspace: Workspace) -> datetime | None:
    """When the present sleep began; null if the workspace is awake."""
    return workspace.hibernated_at if state_of(workspace) is WorkspaceState.HIBERNATED else None


def hibernation(
    workspace: Workspace, now: datetime, saved: Micros | None = None
) -> HibernationStatus:
    """Whether a workspace can hibernate, since when it does, and the compute that this saved."""
    since = asleep_since(workspace)
    slept = max(now - since, timedelta(0)) if since else None
    seconds = int(slept.total_seconds()) if slept else 0
    longest = traits_of(workspace.location).longest_sleep_days
    resume_by = whole(since + timedelta(days=longest)) if since and longest else None
    return HibernationStatus(
        hibernation_supported=workspace.hibernation,
        current_state=state_of(workspace),
        hibernation_time=whole(since) if since else None,
        estimated_savings=_usd(saved, 1) if since else None,
        hibernation_duration=f"{seconds // HOUR}h {seconds % HOUR // 60}m" if since else None,
        resume_by=resume_by,
        note=None if longest is None or resume_by is None else _wake_note(longest, resume_by, now),
    )


def _wake_note(longest_days: int, resume_by: datetime, now: datetime) -> str:
    limit = f"AWS supports hibernation for at most {longest_days} days"
    if now >= resume_by:
        return f"{limit}, which ended on {resume_by:%Y-%m-%d}: resume it now"
    return f"{limit}: resume it by {resume_by:%Y-%m-%d}, and stop it if you do not use it then"


def _usd(amount: int | None, times: int) -> float | None:
    return None if amount is None else round(amount * times / 1_000_000, 2)
