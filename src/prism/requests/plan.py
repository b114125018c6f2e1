"""Who may answer a request for more, and what it says: pure functions."""

from msgspec.structs import asdict

from prism.access.model import AccessVerb, Caller, RouteRule, Subject
from prism.access.plan import may
from prism.errors import ValidationFailed
from prism.limits.model import LimitShown
from prism.projects.model import Project
from prism.requests.model import (
    Decider,
    MoreKind,
    MoreRequest,
    MoreRequestShown,
    MoreState,
    NewMoreRequest,
)

DECIDER_VERBS = {
    Decider.MANAGERS: AccessVerb.MANAGE,
    Decider.OWNERS: AccessVerb.BUDGET,
    Decider.OPERATOR: AccessVerb.SERVE,
}
NEEDED_FIELDS = {
    MoreKind.MONEY: ("usd", ("project", "limit")),
    MoreKind.TIME: ("hours", ("workspace",)),
    MoreKind.SIZE: ("size", ("workspace",)),
    MoreKind.WORKSPACES: ("count", ("limit",)),
    MoreKind.GPUS: ("count", ("limit",)),
}
AMOUNTS, OBJECTS = ("usd", "hours", "size", "count"), ("project", "limit", "workspace")
VALUE_OF_LIMIT = {
    MoreKind.MONEY: "monthly",
    MoreKind.WORKSPACES: "workspaces",
    MoreKind.GPUS: "gpus",
}


def check_fields(request: NewMoreRequest) -> None:
    """Raise unless a request has the amount of its kind, and the object that it is about."""
    amount, possible = NEEDED_FIELDS[request.kind]
    for name in AMOUNTS:
        if (getattr(request, name) is not None) is not (name == amount):
            why = f"`{request.kind}` needs it" if name == amount else "is of another kind"
            raise ValidationFailed.of((name, why))
    named_objects = [name for name in OBJECTS if getattr(request, name) is not None]
    if wrong := [name for name in named_objects if name not in possible]:
        raise ValidationFailed.of((wrong[0], "is of another kind"))
    if len(named_objects) > 1:
        raise ValidationFailed.of((named_objects[1], "give one object only"))
    if possible == ("workspace",) and not named_objects:
        raise ValidationFailed.of(("workspace", "is missing"))


def summary_of(request: NewMoreRequest, of: str) -> str:
    """What is requested, within a sentence; `of` names its object."""
    match request.kind:
        case MoreKind.MONEY:
            return f"${request.usd:,.2f} more for {of}"
        case MoreKind.TIME:
            return f"{request.hours:g} h more for {of}"
        case MoreKind.SIZE:
            return f"size {request.size} for {of}"
        case MoreKind.WORKSPACES:
            return f"{request.count} more workspaces at once for {of}"
        case MoreKind.GPUS:
            return f"{request.count} more GPUs at once for {of}"


def decider_of_budget(project: Project, *, has_own: bool) -> Decider:
    """Who may raise the money of a project: its owners only what they have set themselves."""
    is_owners = has_own and project.set_by_owner
    return Decider.OWNERS if is_owners else Decider.OPERATOR


def decider_of_limit(limit: LimitShown) -> Decider:
    """Who may raise a limit: who has set it."""
    return Decider.OPERATOR if limit.by_operator else Decider.OWNERS


def name_of_limit(limit: LimitShown, person: str) -> str:
    """Whose limit it is, within a sentence."""
    where = f" in {limit.project_name}" if limit.project_name else ""
    return f"token {limit.subject}" if limit.scope == "token" else f"{person}{where}"


def may_decide(caller: Caller, request: MoreRequest) -> bool:
    """Whether the caller may answer a request.

    A limit of a project's owners is raised by an owner: the operator's is another one.
    """
    rule = RouteRule(DECIDER_VERBS[request.decider])
    return may(caller, rule, Subject(request.project))


def shown_request(
    request: MoreRequest, project_name: str | None, caller: Caller
) -> MoreRequestShown:
    """A request in the API."""
    fields = asdict(request) | {"usd": None if request.usd is None else request.usd / 1e6}
    is_open = request.state is MoreState.PENDING
    return MoreRequestShown(
        **fields, project_name=project_name, may_decide=is_open and may_decide(caller, request)
    )
