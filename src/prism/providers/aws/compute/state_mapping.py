"""Maps EC2's state of a machine to the state that workspaces use: pure."""

from datetime import datetime, timedelta

from prism.providers.aws.api import tags as names
from prism.providers.aws.compute.instance import HIBERNATED, Ec2Instance
from prism.providers.aws.compute.readiness import UNVERIFIED, BootStage, BootStatus, tagged, woke
from prism.workspaces.idleness import Idleness
from prism.workspaces.model import (
    SPOT_INTERRUPTED,
    STOP_HANGS,
    Observed,
    WorkspaceFailure,
    memory_lost,
)
from prism.workspaces.ports import Machine

SPOT = {"Server.SpotInstanceShutdown", "Server.SpotInstanceTermination"}
FULL = "Server.InsufficientInstanceCapacity"
DISK_UNREADABLE = "Client.InternalError"  # EC2 could not read its disk: a key is missing
# EC2 API Reference, "StateReason", and EC2 User Guide, "Troubleshoot Amazon EC2 instance launch
# issues": EC2 accepts a launch and terminates the machine while it is pending.
AT_LAUNCH = {
    DISK_UNREADABLE: "usually the AWS credentials may not use the KMS key with which the account "
    "encrypts disks; `prism aws check` names the key",
    "Client.InvalidSnapshot.NotFound": "the snapshot of its disk or image is gone",
    "Client.VolumeLimitExceeded": "the account has reached its quota of EBS storage in the "
    "region: choose a smaller `--disk`, or ask AWS for more at "
    "https://console.aws.amazon.com/servicequotas",
    "Server.InternalError": "the fault is AWS's: launch it again",
}
NEVER_RAN = {FULL, *AT_LAUNCH}
# EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues".
FORCE_TAKES = timedelta(minutes=10)
STATES = {
    "pending": Observed.STARTING,
    "stopping": Observed.STOPPING,
    "stopped": Observed.OFF,
    "shutting-down": Observed.STOPPING,
    "terminated": Observed.GONE,
}
RUNNING = {
    BootStage.COMING: Observed.STARTING,
    BootStage.READY: Observed.ON,
    BootStage.UNVERIFIED: Observed.ON,
    BootStage.FAILED: Observed.STOPPING,
}


def machine_of(
    instance: Ec2Instance,
    boot: BootStatus,
    idle: Idleness | None = None,
    hanging: WorkspaceFailure | None = None,
) -> Machine:
    """A machine of ours, with its boot status if it runs; `hanging` is from `hangs`.

    EC2 charges for a machine from `running` on, also during its boot, and while it hibernates;
    not for one that is pending, nor for any other stop. LaunchTime is when a start was requested,
    and the time of a stop is when it began. So `since` of a running machine counts some seconds
    more than EC2 does, and the moment at which hibernation was complete is unknown.
    """
    observed = seen_of(instance, boot)
    up, asleep = observed in {Observed.STARTING, Observed.ON}, observed is Observed.ASLEEP
    hibernating = instance.state == "stopping" and instance.reason == HIBERNATED
    return Machine(
        id=instance.id,
        key=instance.key,
        observed=observed,
        public_ip=instance.public_ip,
        private_ip=instance.private_ip,
        stage=_stage(observed, instance, boot),
        progress=_progress(observed, instance, boot),
        failure=failure_of(instance, observed, boot)
        or _hung_resume(instance, observed, boot)
        or hanging,
        charged=observed is not Observed.ON and (instance.state == "running" or hibernating),
        since=instance.launched if up else None if asleep else instance.changed,
        dozed=instance.changed if asleep else None,
        started=None if instance.reason in NEVER_RAN else instance.launched,
        idle=idle,
        type=instance.type,
    )


def seen_of(instance: Ec2Instance, boot: BootStatus) -> Observed:
    """The state in the terms of workspaces."""
    if instance.state == "running":
        return RUNNING[boot.stage]
    if instance.state != "stopped":
        return STATES[instance.state]
    if instance.asleep:
        return Observed.ASLEEP
    decided = tagged(instance)
    return Observed.BROKEN if decided and decided.stage is BootStage.FAILED else Observed.OFF


def failure_of(
    instance: Ec2Instance, observed: Observed, boot: BootStatus
) -> WorkspaceFailure | None:
    """Why a machine is broken, has lost its memory, or is off although nobody asked for that."""
    name = instance.tags.get(names.OUR_NAME, instance.id)
    if observed is Observed.BROKEN:
        decided = tagged(instance)
        return WorkspaceFailure(
            "BOOT_FAILED",
            f"Setting it up failed at: {decided.step if decided else 'boot'}; see why with "
            f"`prism logs {name}`, then `prism workspace start {name}` tries again; if it "
            f"was never ready, `prism start {name} --template-again` uses a corrected template",
        )
    if observed is Observed.ON and boot.lost:
        return memory_lost("EC2 shut it down instead of hibernating it, so it has booted anew")
    is_taken = observed is Observed.STOPPING and instance.reason in SPOT
    if is_taken or observed in {Observed.OFF, Observed.ASLEEP, Observed.GONE}:
        return _shutdown_failure(instance, observed)
    return None


def hangs(instance: Ec2Instance, since: datetime | None, now: datetime) -> WorkspaceFailure | None:
    """The failure of a machine that has been stopping for too long, which began at `since`.

    EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues": it can be stopped by force,
    which may lose unwritten data; if that takes more than ten minutes, EC2's host is broken.
    """
    if instance.state != "stopping" or since is None:
        return None
    name = instance.tags.get(names.OUR_NAME, instance.id)
    forced = names.moment(instance.tags.get(names.FORCED_OFF))
    if forced is not None and forced >= since:
        if now - forced < FORCE_TAKES:
            return None
        return WorkspaceFailure(
            "STOP_BY_FORCE_HANGS",
            "EC2 was told 10 minutes ago to stop it by force, and has not. Contact AWS; or end "
            f"it with `prism terminate {name} --yes`, which destroys its disk",
        )
    if now - since < UNVERIFIED:
        return None
    return WorkspaceFailure(
        STOP_HANGS,
        f"EC2 has been stopping it for {UNVERIFIED.seconds // 60} minutes. `prism stop {name}` "
        "stops it by force: what it has not written to its disk is lost then",
    )


def _hung_resume(
    instance: Ec2Instance, observed: Observed, boot: BootStatus
) -> WorkspaceFailure | None:
    """The failure of a machine that has not said that it resumed: its kernel may hang."""
    if observed is not Observed.ON or boot.stage is not BootStage.UNVERIFIED or not woke(instance):
        return None
    name = instance.tags.get(names.OUR_NAME, instance.id)
    return WorkspaceFailure(
        "RESUME_UNVERIFIED",
        "It should have resumed, and for 15 minutes it has not said that it did. If you cannot "
        "log in, "
        f"`prism stop {name}` switches it off by force and `prism start {name}` boots it: its "
        "memory is lost then, its disk is kept",
    )


def _shutdown_failure(instance: Ec2Instance, observed: Observed) -> WorkspaceFailure | None:
    """Why a machine is off although nobody asked for that."""
    if instance.reason in SPOT:
        return WorkspaceFailure(SPOT_INTERRUPTED, _interruption_message(observed))
    if instance.reason == FULL:
        return WorkspaceFailure(
            "CAPACITY_UNAVAILABLE", f"AWS had no capacity for it in {instance.zone}"
        )
    text = f"{instance.reason}: {instance.why}" if instance.why else instance.reason
    advice = f"; {AT_LAUNCH[instance.reason]}" if instance.reason in AT_LAUNCH else ""
    if observed is Observed.GONE and instance.reason in AT_LAUNCH:
        return WorkspaceFailure("ENDED_AT_LAUNCH", f"AWS ended it at its launch: {text}{advice}")
    if instance.reason.startswith("Server.") or instance.reason == DISK_UNREADABLE:
        return WorkspaceFailure("STOPPED_BY_AWS", f"AWS stopped it: {text}{advice}")
    return None


def _interruption_message(observed: Observed) -> str:
    message = "EC2 reclaimed the spot machine"
    if observed is Observed.GONE:
        return f"{message} for good"
    return f"{message}; its disk is kept, and EC2 starts it again once it has capacity"


def _stage(observed: Observed, instance: Ec2Instance, boot: BootStatus) -> str | None:
    if instance.state == "pending":
        return "machine"
    if boot.stage is BootStage.UNVERIFIED and observed is Observed.ON:
        return str(BootStage.UNVERIFIED)
    return (boot.step or "boot") if observed is Observed.STARTING else None


def _progress(observed: Observed, instance: Ec2Instance, boot: BootStatus) -> int | None:
    if observed is Observed.ON:
        return 100
    if observed is Observed.STARTING:
        return 5 if instance.state == "pending" else boot.progress
    return None
