"""The rules that configure the double. Without any it answers fast and never fails."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0)]
# not tuple[Seconds, Seconds]: in a union with a number msgspec 0.22 reads past its end
Pair = Annotated[tuple[Seconds, ...], Meta(min_length=2, max_length=2)]
Span = Annotated[
    Seconds | Pair,
    Meta(description="Seconds, or [least, most]; the seed chooses between them."),
]
Count = Annotated[int, Meta(ge=0)]
Pattern = Annotated[str, Meta(min_length=1, description="A name, with * and ? as wildcards.")]


class Times(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long things take."""

    pending: Annotated[Span, Meta(description="From launch or start until running.")] = 0.2
    stopping: Annotated[Span, Meta(description="Until stopped.")] = 0.2
    hibernating: Annotated[Span, Meta(description="Until stopped, with the RAM written.")] = 0.2
    shutting_down: Annotated[Span, Meta(description="Until terminated.")] = 0.2
    remembered: Annotated[
        Span, Meta(description="How long a terminated machine is still described.")
    ] = 3600
    unseen: Annotated[
        Span,
        Meta(
            description="How long new things are not found: machines, volumes, snapshots, "
            "security groups and their entries, keys, spot requests."
        ),
    ] = (0, 1)
    tags: Annotated[Span, Meta(description="How long changed tags are described as before.")] = (
        0,
        1,
    )
    states: Annotated[
        Span,
        Meta(
            description="How long changed machines, volumes and spot requests are described as "
            "before, and deleted volumes and snapshots are still described."
        ),
    ] = (0, 1)
    iam: Annotated[
        Span, Meta(description="How long IAM itself does not find what was made in IAM.")
    ] = (0, 1)
    boot: Annotated[Span, Meta(description="From running until the user data is done.")] = 2
    console: Annotated[
        Span,
        Meta(
            description="From when a machine prints something until GetConsoleOutput shows it; "
            "until then it shows what was there before."
        ),
    ] = 0
    hibernation_ready: Annotated[
        Span, Meta(description="How long a machine must have run before it can hibernate.")
    ] = 0
    volume: Annotated[Span, Meta(description="Until a new volume is available.")] = 0
    attaching: Annotated[Span, Meta(description="Until a volume is attached, or detached.")] = 0
    snapshot: Annotated[Span, Meta(description="Until a snapshot or image is complete.")] = 0.2
    snapshot_again: Annotated[
        Span, Meta(description="From one snapshot of a volume until the next one is possible.")
    ] = 0
    file_system: Annotated[
        Span, Meta(description="Until a file system or mount target is available, or deleted.")
    ] = 0.2
    profile: Annotated[
        Span, Meta(description="Until EC2 knows a new instance profile of IAM.")
    ] = (0.5, 2)
    marked_for_stop: Annotated[
        Span,
        Meta(
            description="From stopped until the request of a spot machine is disabled and the "
            "machine can be started."
        ),
    ] = (0, 1)
    taken: Annotated[
        Span, Meta(description="After EC2 takes back a spot machine, until it may start it again.")
    ] = 60
    token: Annotated[
        Span,
        Meta(
            description="How long a client token is kept. That of a launch is kept this long "
            "after its machine has ended."
        ),
    ] = 86400


class Boot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the console shows of the user data, which is not run: only its markers are read."""

    marker: Annotated[
        str,
        Meta(
            description="A regular expression. Matches in the user data are printed to the "
            "console."
        ),
    ] = r"prism-boot: [\w.:/ -]+"
    failure: Annotated[
        str,
        Meta(
            description="A regular expression. Markers that match it are printed only if "
            "`fails` selects them."
        ),
    ] = r"fail"
    fails: Annotated[
        str, Meta(description="If set, boots end with the failure marker that contains this text.")
    ] = ""
    silent: Annotated[bool, Meta(description="Nothing is ever printed.")] = False
    machines: Annotated[
        str, Meta(description="Only machines with this text among their tags fail or are silent.")
    ] = ""


class Bucket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token bucket for each account and region, shared by the actions it names."""

    actions: Annotated[tuple[Pattern, ...], Meta(description="The actions that share the bucket.")]
    depth: Annotated[int, Meta(ge=1, description="How many tokens the bucket holds.")]
    refill: Annotated[float, Meta(gt=0, description="Tokens a second.")]
    counts: Annotated[
        Literal["requests", "resources"],
        Meta(description="requests: each request takes a token. resources: each machine does."),
    ] = "requests"
    each: Annotated[bool, Meta(description="One bucket for each action, not one for all.")] = False


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong with some calls."""

    action: Annotated[Pattern, Meta(description="Such as RunInstances, or ec2:Describe*.")] = "*"
    do: Annotated[
        Literal["error", "throttle", "drop", "lost", "late", "twice", "stale"],
        Meta(
            description="error: not done, the answer is an error. throttle: the same, with the "
            "error for too many requests. drop: not done, the connection ends. "
            "lost: done, the connection ends. late: done, answered after "
            "`seconds`. twice: the request arrives twice and is done twice. stale: "
            "not done, the last answer to the same request is repeated, if there "
            "was one."
        ),
    ]
    code: Annotated[str, Meta(description="The error's code.")] = "InternalError"
    status: Annotated[int, Meta(ge=400, le=599, description="Its HTTP status.")] = 500
    message: Annotated[str, Meta(description="The error's message.")] = (
        "An internal error has occurred"
    )
    seconds: Annotated[Seconds, Meta(description="The delay, in real time.")] = 0
    skip: Annotated[Count, Meta(description="How many matching calls succeed first.")] = 0
    times: Annotated[
        Count | None, Meta(description="How many of the following calls fail; null means all.")
    ] = 1
    chance: Annotated[
        float,
        Meta(ge=0, le=1, description="The share of these calls that fails, chosen by the seed."),
    ] = 1
    call: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Only the nth call of the account.")
    ] = None
    about: Annotated[
        str, Meta(description="Only calls with this text in one of their values.")
    ] = ""
    account: Annotated[Pattern, Meta(description="Only calls of this account.")] = "*"
    region: Annotated[Pattern, Meta(description="Only calls in this region.")] = "*"


class Capacity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many machines of a type may run."""

    type: Annotated[Pattern, Meta(description="Which instance types, such as t3.*.")]
    zone: Annotated[Pattern, Meta(description="Which availability zones.")] = "*"
    market: Annotated[
        Literal["any", "on-demand", "spot"], Meta(description="How they are bought.")
    ] = "any"
    left: Annotated[Count, Meta(description="How many may run at once in each zone.")] = 0


class Stuck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state that some machines do not leave by themselves."""

    state: Annotated[
        Literal["pending", "stopping", "shutting-down"],
        Meta(description="The state in which they stay."),
    ] = "stopping"
    machines: Annotated[
        str, Meta(description="Only machines with this text among their tags.")
    ] = ""
    seconds: Annotated[
        Seconds | None, Meta(description="How long; null means until a forced stop.")
    ] = None
    deaf: Annotated[
        bool, Meta(description="Even a forced stop does not help; only termination does.")
    ] = False


class Quotas(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many vCPUs may run in a region; null is no limit."""

    standard: Annotated[
        Count | None, Meta(description="vCPUs of A, C, D, H, I, M, R, T and Z types.")
    ] = None
    gpu: Annotated[Count | None, Meta(description="vCPUs of G and VT types.")] = None
    p: Annotated[Count | None, Meta(description="vCPUs of P types.")] = None
    spot: Annotated[Count | None, Meta(description="vCPUs of all spot machines.")] = None


class LaunchEnd(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why EC2 terminates a machine while it is pending, although it has accepted the launch."""

    reason: Annotated[
        Literal[
            "Client.InternalError",
            "Client.InvalidSnapshot.NotFound",
            "Client.VolumeLimitExceeded",
            "Server.InsufficientInstanceCapacity",
            "Server.InternalError",
        ],
        Meta(description="The code of its state reason."),
    ]
    machines: Annotated[
        str, Meta(description="Only machines with this text among their tags.")
    ] = ""


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be configured."""

    like: Annotated[
        Literal["calm", "aws", "consistent"],
        Meta(
            description="The set of defaults. calm: short times, no throttling. aws: AWS's own "
            "times and rate limits. consistent: like calm, and what was made or "
            "changed is found at once."
        ),
    ] = "calm"
    times: Annotated[Times, Meta(description="How long things take, in seconds.")] = Times()
    boot: Annotated[Boot, Meta(description="What the console shows.")] = Boot()
    throttle: Annotated[
        tuple[Bucket, ...], Meta(description="Token buckets. Without any, no call is throttled.")
    ] = ()
    faults: Annotated[tuple[Fault, ...], Meta(description="What goes wrong.")] = ()
    capacity: Annotated[
        tuple[Capacity, ...],
        Meta(description="Limits of capacity. Without any, there is always room."),
    ] = ()
    stuck: Annotated[tuple[Stuck, ...], Meta(description="States in which machines stay.")] = ()
    sleepless: Annotated[
        Pattern | None,
        Meta(
            description="A tag, such as Name=x. Machines with this tag fail to hibernate: EC2 "
            "reports success, but the next start is a cold boot."
        ),
    ] = None
    hangs: Annotated[
        str,
        Meta(description="Machines with this text among their tags hang when they resume."),
    ] = ""
    unreadable_memory: Annotated[
        str,
        Meta(
            description="Machines with this text among their tags cannot read their memory back "
            "when they resume: the kernel says so, and boots."
        ),
    ] = ""
    quotas: Annotated[
        Quotas,
        Meta(description="How many vCPUs may run in a region. Without a value there is no limit."),
    ] = Quotas()
    denied: Annotated[
        tuple[Pattern, ...], Meta(description="Actions that the caller has no permission for.")
    ] = ()
    organization: Annotated[
        tuple[Pattern, ...],
        Meta(description="Actions that a service control policy of the organization denies."),
    ] = ()
    ends: Annotated[
        tuple[LaunchEnd, ...], Meta(description="Machines that EC2 terminates at their launch.")
    ] = ()
    free_plan: Annotated[
        bool, Meta(description="Whether the account has the Free plan, with few instance types.")
    ] = False
    image_owners: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="The owners of images that the setting Allowed AMIs allows; null means "
            "that the setting is disabled."
        ),
    ] = None
    disk_key: Annotated[
        str, Meta(description="The KMS key with which EBS encrypts if a request names none.")
    ] = "alias/aws/ebs"
    timer: Annotated[
        str,
        Meta(
            description="A tag. If the user data names it, the machine powers itself off at "
            "the time in the tag: a time, or a duration since the launch in Go's "
            "format."
        ),
    ] = "prism:ttl"
    patience: Annotated[
        Seconds,
        Meta(
            description="How many seconds the timer waits before it powers off a machine that is "
            "to hibernate (`prism:expire-action`). In this time the daemon can "
            "hibernate it."
        ),
    ] = 120
    spot: Annotated[
        dict[str, Annotated[float, Meta(gt=0)]],
        Meta(
            description="Spot prices in USD per hour by type; others are 0.35 of the on-demand "
            "price."
        ),
    ] = {}
    slow_start: Annotated[
        bool,
        Meta(
            description="Whether a machine that begins without CPU credits boots at its baseline: "
            "T3, T3a and T4g with `standard` credits. `times.boot` is the time of one busy CPU."
        ),
    ] = False
    regions_off: Annotated[
        tuple[str, ...],
        Meta(
            description="Regions that the account has not enabled. Credentials are refused there."
        ),
    ] = ()
    retypes: Annotated[
        bool,
        Meta(
            description="Whether a machine that can hibernate can change its type; AWS's "
            "documents contradict each other."
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
    "console": [1, 20],
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
    "aws": {"times": AWS_TIMES, "throttle": AWS_THROTTLE, "slow_start": True},
}
