"""What the owner of the double may order. Without any order it is a calm, obedient AWS."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0)]
# not tuple[Seconds, Seconds]: in a union with a number msgspec 0.22 reads past its end
Pair = Annotated[tuple[Seconds, ...], Meta(min_length=2, max_length=2)]
Span = Annotated[
    Seconds | Pair,
    Meta(description="Seconds, or [least, most], between which the seed decides."),
]
Count = Annotated[int, Meta(ge=0)]
Pattern = Annotated[str, Meta(min_length=1, description="A name, with * and ? as wildcards.")]


class Times(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long things take."""

    pending: Annotated[Span, Meta(description="From launch or start until running.")] = 0.2
    stopping: Annotated[Span, Meta(description="Until stopped.")] = 0.2
    hibernating: Annotated[Span, Meta(description="Until stopped, with the RAM written.")] = 0.2
    shutting_down: Annotated[Span, Meta(description="Until terminated.")] = 0.2
    remembered: Annotated[Span, Meta(description="A terminated one is still described.")] = 3600
    unseen: Annotated[
        Span,
        Meta(
            description="Nothing new is found so long: machines, volumes, snapshots, security "
            "groups and their entries, keys, spot requests."
        ),
    ] = (0, 1)
    tags: Annotated[Span, Meta(description="Changed tags are not described so long.")] = (0, 1)
    states: Annotated[
        Span,
        Meta(
            description="Machines, volumes and spot requests are described so long as they were "
            "before a call has changed them; deleted volumes and snapshots are still described."
        ),
    ] = (0, 1)
    iam: Annotated[
        Span, Meta(description="What is made in IAM is not found so long, by IAM itself.")
    ] = (0, 1)
    boot: Annotated[Span, Meta(description="From running until the user data is done.")] = 2
    hibernation_ready: Annotated[
        Span, Meta(description="A machine must have been up so long before it hibernates.")
    ] = 0
    volume: Annotated[Span, Meta(description="Until a new volume is available.")] = 0
    attaching: Annotated[Span, Meta(description="Until a volume is attached, or detached.")] = 0
    snapshot: Annotated[Span, Meta(description="Until a snapshot or image is complete.")] = 0.2
    snapshot_again: Annotated[
        Span, Meta(description="Until a volume can be copied once more after a snapshot of it.")
    ] = 0
    file_system: Annotated[
        Span, Meta(description="Until a file system or mount target is available, or gone.")
    ] = 0.2
    profile: Annotated[
        Span, Meta(description="Until EC2 knows a new instance profile of IAM.")
    ] = (0.5, 2)
    marked_for_stop: Annotated[
        Span,
        Meta(
            description="From stopped until the request of a spot machine is disabled, and the "
            "machine can be started."
        ),
    ] = (0, 1)
    taken: Annotated[
        Span, Meta(description="Until EC2 may start a spot machine again that it took back.")
    ] = 60
    token: Annotated[
        Span, Meta(description="A client token is remembered; launches: after termination.")
    ] = 86400


class Boot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the console shows of the user data. Nobody runs it here: its markers are read."""

    marker: Annotated[
        str, Meta(description="A regular expression; what it finds in the user data is printed.")
    ] = r"prism-boot: [\w.:/ -]+"
    failure: Annotated[
        str, Meta(description="Markers that this finds are printed only where `fails` says so.")
    ] = r"fail"
    fails: Annotated[
        str, Meta(description="Boots end with the failure marker that contains this text.")
    ] = ""
    silent: Annotated[bool, Meta(description="Nothing is ever printed.")] = False
    machines: Annotated[
        str, Meta(description="Only machines with this text among their tags fail or are silent.")
    ] = ""


class Bucket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket for each account and region, shared by the actions it names."""

    actions: Annotated[tuple[Pattern, ...], Meta(description="Those that it is shared by.")]
    depth: Annotated[int, Meta(ge=1, description="Tokens when it is full.")]
    refill: Annotated[float, Meta(gt=0, description="Tokens a second.")]
    counts: Annotated[
        Literal["requests", "resources"],
        Meta(description="What takes a token: each request, or each machine it is about."),
    ] = "requests"
    each: Annotated[bool, Meta(description="One bucket for each action, not one for all.")] = False


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong with some calls."""

    action: Annotated[Pattern, Meta(description="Such as RunInstances, or ec2:Describe*.")] = "*"
    do: Annotated[
        Literal["error", "throttle", "drop", "lost", "late", "twice", "stale"],
        Meta(
            description="error: answered, not done. throttle: the same, as the "
            "service does when it is asked too often. drop: the connection ends, not done. lost: "
            "done, the connection ends. late: done, answered after `seconds`. twice: the "
            "request arrives twice and is done twice. stale: not done, the last answer to the "
            "same request comes again (where there was one)."
        ),
    ]
    code: Annotated[str, Meta(description="The error's code.")] = "InternalError"
    status: Annotated[int, Meta(ge=400, le=599, description="Its HTTP status.")] = 500
    message: Annotated[str, Meta(description="Its sentence.")] = "An internal error has occurred"
    seconds: Annotated[Seconds, Meta(description="How late, in real time.")] = 0
    skip: Annotated[Count, Meta(description="So many matching calls go well first.")] = 0
    times: Annotated[Count | None, Meta(description="So many fail then; null is every one.")] = 1
    chance: Annotated[float, Meta(ge=0, le=1, description="Of those, decided by the seed.")] = 1
    call: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Only the nth call of the account.")
    ] = None
    about: Annotated[str, Meta(description="Only calls with this text among their values.")] = ""
    account: Annotated[Pattern, Meta(description="Only calls of this account.")] = "*"
    region: Annotated[Pattern, Meta(description="Only calls in this region.")] = "*"


class Capacity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many machines of a type there is room for."""

    type: Annotated[Pattern, Meta(description="Instance types, such as t3.*.")]
    zone: Annotated[Pattern, Meta(description="Availability zones.")] = "*"
    market: Annotated[
        Literal["any", "on-demand", "spot"], Meta(description="How they are bought.")
    ] = "any"
    left: Annotated[Count, Meta(description="So many may run at once, per zone.")] = 0


class Stuck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state that some machines do not leave by themselves."""

    state: Annotated[
        Literal["pending", "stopping", "shutting-down"], Meta(description="Where they stay.")
    ] = "stopping"
    machines: Annotated[str, Meta(description="Only those with this text among their tags.")] = ""
    seconds: Annotated[
        Seconds | None, Meta(description="How long; null is until a forced stop.")
    ] = None
    deaf: Annotated[
        bool, Meta(description="Not even a forced stop helps, only the end of the machine.")
    ] = False


class Quotas(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many vCPUs may run in a region; null is no limit."""

    standard: Annotated[Count | None, Meta(description="A, C, D, H, I, M, R, T, Z.")] = None
    gpu: Annotated[Count | None, Meta(description="G and VT.")] = None
    p: Annotated[Count | None, Meta(description="P.")] = None
    spot: Annotated[Count | None, Meta(description="All spot machines together.")] = None


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be ordered."""

    like: Annotated[
        Literal["calm", "aws", "consistent"],
        Meta(
            description="Where to start from: calm; with AWS's own times and buckets; or calm and "
            "consistent, as AWS is not: what was made or changed is found at once."
        ),
    ] = "calm"
    times: Annotated[Times, Meta(description="How long things take.")] = Times()
    boot: Annotated[Boot, Meta(description="What the console shows.")] = Boot()
    throttle: Annotated[
        tuple[Bucket, ...], Meta(description="Token buckets; without any, nobody is throttled.")
    ] = ()
    faults: Annotated[tuple[Fault, ...], Meta(description="What goes wrong.")] = ()
    capacity: Annotated[
        tuple[Capacity, ...], Meta(description="Where there is little room; else there is plenty.")
    ] = ()
    stuck: Annotated[tuple[Stuck, ...], Meta(description="States that are not left.")] = ()
    sleepless: Annotated[
        Pattern | None,
        Meta(
            description="Machines with a tag like this (Name=x) do not manage to hibernate: EC2 "
            "says that they did, and their next boot is a cold one."
        ),
    ] = None
    hangs: Annotated[
        str,
        Meta(description="Machines with this text among their tags never come back from sleep."),
    ] = ""
    quotas: Annotated[Quotas, Meta(description="How many vCPUs may run.")] = Quotas()
    denied: Annotated[
        tuple[Pattern, ...], Meta(description="Actions that the caller has no permission for.")
    ] = ()
    timer: Annotated[
        str,
        Meta(
            description="A tag. A machine whose user data speaks of it powers itself off when "
            "its value (Go duration text counted from the launch, or an instant) has passed."
        ),
    ] = "prism:ttl"
    patience: Annotated[
        Seconds,
        Meta(
            description="So much later does that timer act on a machine that is to hibernate "
            "(`prism:expire-action`): it leaves that to who can."
        ),
    ] = 120
    spot: Annotated[
        dict[str, Annotated[float, Meta(gt=0)]],
        Meta(description="Spot prices in USD an hour by type; others are 0.35 of on demand."),
    ] = {}
    regions_off: Annotated[
        tuple[str, ...],
        Meta(description="Regions that the account has not enabled: credentials are bad there."),
    ] = ()
    retypes: Annotated[
        bool,
        Meta(
            description="Whether a machine that may hibernate can become another type; AWS's "
            "documents say both."
        ),
    ] = False
    default_vpc: Annotated[bool, Meta(description="Whether accounts have a default VPC.")] = True


AWS_TIMES = {
    "pending": [5, 20],
    "stopping": [15, 45],
    "hibernating": [30, 90],
    "shutting_down": [15, 40],
    "unseen": [0, 3],
    "tags": [0, 3],
    "states": [0, 3],
    "iam": [0, 5],
    "boot": [60, 180],
    "hibernation_ready": 120,
    "volume": [1, 5],
    "attaching": [1, 5],
    "snapshot": [20, 90],
    "snapshot_again": 15,
    "file_system": [5, 20],
    "profile": [3, 12],
    "marked_for_stop": [20, 120],
}
AWS_THROTTLE = [
    {"actions": ["RunInstances"], "depth": 5, "refill": 2},
    {"actions": ["StartInstances"], "depth": 5, "refill": 2},
    {"actions": ["RunInstances"], "depth": 1000, "refill": 2, "counts": "resources"},
    {"actions": ["StartInstances"], "depth": 1000, "refill": 2, "counts": "resources"},
    {
        "actions": ["StopInstances", "TerminateInstances"],
        "depth": 1000,
        "refill": 20,
        "counts": "resources",
        "each": True,
    },
    {"actions": ["CreateTags", "DeleteTags"], "depth": 100, "refill": 10, "each": True},
    {"actions": ["Describe*", "Get*"], "depth": 100, "refill": 20, "each": True},
    {"actions": ["*"], "depth": 50, "refill": 5, "each": True},
]
CONSISTENT = {"unseen": 0, "tags": 0, "states": 0, "iam": 0, "profile": 0, "marked_for_stop": 0}
LIKE: dict[str, dict[str, Any]] = {
    "consistent": {"times": CONSISTENT},
    "aws": {"times": AWS_TIMES, "throttle": AWS_THROTTLE},
}
