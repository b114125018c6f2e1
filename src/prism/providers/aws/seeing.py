"""From what EC2 shows to what workspaces call it: pure."""

from datetime import datetime, timedelta

from prism.providers.aws import tags as names
from prism.providers.aws.instance import HIBERNATED, Instance
from prism.providers.aws.ready import UNVERIFIED, Boot, Stage, tagged
from prism.workspaces.idleness import Idleness
from prism.workspaces.model import STOP_HANGS, Failure, Seen, memory_lost
from prism.workspaces.ports import Machine

SPOT = {"Server.SpotInstanceShutdown", "Server.SpotInstanceTermination"}
FULL = "Server.InsufficientInstanceCapacity"
BROKE = "Client.InternalError"  # its disk could not be read: a key is missing
NEVER_RAN = {FULL, BROKE}
FORCE_TAKES = timedelta(
    minutes=10
)  # EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues"
STATES = {
    "pending": Seen.STARTING,
    "stopping": Seen.STOPPING,
    "stopped": Seen.OFF,
    "shutting-down": Seen.STOPPING,
    "terminated": Seen.GONE,
}
RUNNING = {
    Stage.COMING: Seen.STARTING,
    Stage.READY: Seen.ON,
    Stage.UNVERIFIED: Seen.ON,
    Stage.FAILED: Seen.STOPPING,
}


def machine_of(
    it: Instance, boot: Boot, idle: Idleness | None = None, hanging: Failure | None = None
) -> Machine:
    """A machine of ours, with what is known of its boot if it runs; `hanging` is from `hangs`.

    EC2 charges for one that runs, however far its boot is, and for one that hibernates, until
    it has; not for what is pending, nor for any other stop. It says of a start when it was
    asked for (LaunchTime), and of going down when that began: so what runs has been on since
    its LaunchTime, which counts some seconds more than EC2 does, and when one that hibernated
    was asleep is not known.
    """
    seen = seen_of(it, boot)
    up, asleep = seen in {Seen.STARTING, Seen.ON}, seen is Seen.ASLEEP
    hibernating = it.state == "stopping" and it.reason == HIBERNATED
    return Machine(
        id=it.id,
        key=it.key,
        seen=seen,
        public_ip=it.public_ip,
        private_ip=it.private_ip,
        stage=_stage(seen, it, boot),
        progress=_progress(seen, it, boot),
        failure=failure_of(it, seen, boot) or _stuck(it, seen, boot) or hanging,
        charged=seen is not Seen.ON and (it.state == "running" or hibernating),
        since=it.launched if up else None if asleep else it.changed,
        dozed=it.changed if asleep else None,
        started=None if it.reason in NEVER_RAN else it.launched,
        idle=idle,
    )


def seen_of(it: Instance, boot: Boot) -> Seen:
    """What it is."""
    if it.state == "running":
        return RUNNING[boot.stage]
    if it.state != "stopped":
        return STATES[it.state]
    if it.asleep:
        return Seen.ASLEEP
    decided = tagged(it)
    return Seen.BROKEN if decided and decided.stage is Stage.FAILED else Seen.OFF


def failure_of(it: Instance, seen: Seen, boot: Boot) -> Failure | None:
    """Why it is broken, or why it is down although nobody asked."""
    name = it.tags.get(names.OUR_NAME, it.id)
    if seen is Seen.BROKEN:
        decided = tagged(it)
        return Failure(
            "BOOT_FAILED",
            f"Setting it up failed at: {decided.step if decided else 'boot'}; see why with "
            f"`prism logs {name}`, then `prism workspace start {name}` tries again",
        )
    if seen is Seen.ON and boot.lost:
        return memory_lost("EC2 could not put it to sleep and shut it down, so it has booted anew")
    return _taken_down(it, seen) if seen in {Seen.OFF, Seen.ASLEEP, Seen.GONE} else None


def woke(it: Instance) -> bool:
    """Whether this start was to wake it up, and nobody has heard yet that it did."""
    return bool(it.tags.get(names.ASLEEP)) and it.tags[names.ASLEEP] != it.boot


def hangs(it: Instance, since: datetime | None, now: datetime) -> Failure | None:
    """A machine that has been stopping for too long; `since` is when it began to.

    EC2 User Guide, "Troubleshoot Amazon EC2 instance stop issues": it can be stopped by force,
    which may lose what was not written, and if that takes more than ten minutes, too, EC2's own
    computer is broken.
    """
    if it.state != "stopping" or since is None:
        return None
    name, forced = it.tags.get(names.OUR_NAME, it.id), names.moment(it.tags.get(names.FORCED_OFF))
    if forced is not None and forced >= since:
        if now < forced + FORCE_TAKES:
            return None
        return Failure(
            "STOP_BY_FORCE_HANGS",
            "EC2 was told 10 minutes ago to stop it by force, and has not. Write to AWS; or end "
            f"it with `prism terminate {name} --yes`, which destroys its disk",
        )
    if now < since + UNVERIFIED:
        return None
    return Failure(
        STOP_HANGS,
        f"EC2 has been stopping it for {UNVERIFIED.seconds // 60} minutes. `prism stop {name}` "
        "stops it by force: what it has not written to its disk is lost then",
    )


def _stuck(it: Instance, seen: Seen, boot: Boot) -> Failure | None:
    """A machine that was to wake up and says nothing: its kernel may hang."""
    if seen is not Seen.ON or boot.stage is not Stage.UNVERIFIED or not woke(it):
        return None
    name = it.tags.get(names.OUR_NAME, it.id)
    return Failure(
        "RESUME_UNVERIFIED",
        "It was to wake up, and has said nothing for 15 minutes. If you cannot get in, "
        f"`prism stop {name}` switches it off by force and `prism start {name}` boots it: its "
        "memory is lost then, its disk is kept",
    )


def _taken_down(it: Instance, seen: Seen) -> Failure | None:
    """Why it is down although nobody asked."""
    if it.reason in SPOT:
        return Failure("SPOT_INTERRUPTED", _taken(seen))
    if it.reason == FULL:
        return Failure("CAPACITY_UNAVAILABLE", f"AWS had no room for it in {it.zone}")
    if it.reason.startswith("Server.") or it.reason == BROKE:
        return Failure("STOPPED_BY_AWS", f"AWS took it down: {it.reason}")
    return None


def _taken(seen: Seen) -> str:
    taken = "EC2 took the spot machine back"
    if seen is Seen.GONE:
        return f"{taken} for good"
    return f"{taken}; its disk is kept, and EC2 starts it again once there is room"


def _stage(seen: Seen, it: Instance, boot: Boot) -> str | None:
    if it.state == "pending":
        return "machine"
    if boot.stage is Stage.UNVERIFIED and seen is Seen.ON:
        return str(Stage.UNVERIFIED)
    return (boot.step or "boot") if seen is Seen.STARTING else None


def _progress(seen: Seen, it: Instance, boot: Boot) -> int | None:
    if seen is Seen.ON:
        return 100
    if seen is Seen.STARTING:
        return 5 if it.state == "pending" else boot.progress
    return None
