"""What a machine's tags say of it, for a daemon that has lost its rows: pure."""

from prism.providers.aws import tags as names
from prism.providers.aws.instance import Instance
from prism.recovery.model import Found
from prism.workspaces.model import Seen
from prism.workspaces.ports import Machine

RUNS = {Seen.STARTING, Seen.ON, Seen.STOPPING}


def found_of(it: Instance, machine: Machine, *, at_home: bool) -> Found:
    """A machine without a row; what it was made with that no tag holds stays unknown."""
    tags = it.tags
    size, _, kind = tags.get(names.ROOT_DISK, "").partition(" ")
    return Found(
        id=it.id,
        key=it.key,
        seen=machine.seen,
        charged=machine.charged,
        name=tags.get(names.OUR_NAME) or tags.get(names.NAME, ""),
        owner=tags.get(names.USER, ""),
        profile=tags.get(names.PROFILE, ""),
        template=tags.get(names.TEMPLATE, ""),
        parameters=names.parameters_of(tags),
        instance_type=it.type,
        spot=it.spot_request is not None,
        unlimited=names.CREDITS in tags,
        root_gb=int(size) if size.isdecimal() else None,
        root_type=kind or None,
        hibernation=it.hibernates,
        project=tags.get(names.PROJECT) or None,
        budget=tags.get(names.BUDGET) or None,
        idle_profile=tags.get(names.IDLE_PROFILE) or None,
        launched_at=names.moment(tags.get(names.LAUNCHED_AT)),
        started_at=it.launched if machine.seen in RUNS else None,
        ends_at=names.moment(tags.get(names.ENDS_AT)),
        told_until=names.expires_at(tags),
        at_home=at_home,
    )
