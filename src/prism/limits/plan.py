"""Which limits apply to whom, and whether something more may run: pure functions."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from prism.access.plan import request_hint
from prism.budgets.model import Cap, Holder, Pool
from prism.catalog.plan import TYPES
from prism.kit.money import Micros
from prism.limits.events import VALUES
from prism.limits.model import EVERYBODY, Limit, LimitReached
from prism.workspaces.model import Observed, Workspace
from prism.workspaces.plan import ACTIVE, state_of

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


class HeldLimit(Struct, frozen=True):
    """A limit, and whose costs and workspaces count against it."""

    limit: Limit
    holder: Holder


class Running(Struct, frozen=True):
    """How many workspaces and GPUs run."""

    workspaces: int = 0
    gpus: int = 0


def applicable(
    limits: Iterable[Limit],
    owner: str,
    project: str | None,
    *,
    role: str | None,
    tokens: Collection[str],
) -> list[HeldLimit]:
    """The limits of what an owner has in a project, made or woken with these tokens.

    A limit of the person replaces a default for everybody or for a role in the same place, if
    the same authority has set both: an owner of a project cannot replace one of the operator.
    """
    rows = [limit for limit in limits if limit.project in {None, project}]
    own = {(row.project, row.by_operator) for row in rows if _is_of(row, owner)}
    held = []
    for row in rows:
        if row.scope == "token":
            if row.subject in tokens:
                held.append(HeldLimit(row, Holder("token", row.subject)))
            continue
        is_default = row.subject == EVERYBODY or (row.scope == "role" and row.subject == role)
        if _is_of(row, owner) or (is_default and (row.project, row.by_operator) not in own):
            where = project if row.scope == "role" else row.project
            launches = row.subject != EVERYBODY
            held.append(HeldLimit(row, Holder("person", owner, where, launches)))
    return held


def applicable_to_launcher(
    limits: Iterable[Limit], launcher: str, project: str | None, *, role: str | None
) -> list[HeldLimit]:
    """The limits of who launched a workspace for its owner: by name, and of the own role.

    A default for everybody says what each owner may have, and the owner is counted. With it, a
    teacher could not launch for a class.
    """
    held = applicable(limits, launcher, project, role=role, tokens=())
    return [row for row in held if row.limit.subject != EVERYBODY]


def in_place_of(
    limit: Limit, limits: Iterable[Limit], person: str, roles: Collection[str]
) -> Limit:
    """What counts for a person where a limit is: their own limit, else the lowest defaults.

    A limit of the person replaces all defaults in its place, so one that raises a default has to
    repeat the others. `roles` are those of the person there.
    """
    place = limit.project, limit.by_operator
    rows = [
        row for row in limits if row.scope != "token" if (row.project, row.by_operator) == place
    ]
    if own := next((row for row in rows if _is_of(row, person)), None):
        return own
    defaults = [
        row
        for row in rows
        if row.subject == EVERYBODY or (row.scope == "role" and row.subject in roles)
    ]
    lowest = {
        name: min(
            (value for row in defaults if (value := getattr(row, name)) is not None), default=None
        )
        for name in VALUES
    }
    return replace(limit, **lowest)


def _is_of(limit: Limit, owner: str) -> bool:
    return limit.scope == "person" and limit.subject.lower() == owner.lower()


def limit_cap(held: HeldLimit, name: str) -> Cap | None:
    """A limit in dollars as a cap of each month; null if dollars are not limited."""
    limit, holder = held.limit, held.holder
    if limit.monthly is None:
        return None
    months = Pool(
        id=limit.id,
        name=name,
        total=limit.monthly,
        period="monthly",
        start_date=BEGIN,
        created_by=limit.set_by,
        created_at=limit.set_at,
        updated_at=limit.set_at,
    )
    return Cap(
        column=holder.scope,
        id=f"{limit.id} {holder.subject} {holder.project or ''}",
        name=name,
        amount=Micros(limit.monthly),
        pool=months,
        alert=1.0,
        holder=holder,
    )


def holder_name(holder: Holder, project: str | None, token: str | None) -> str:
    """Whose limit it is, within a sentence; `project` and `token` are names."""
    name = f"token {token!r}" if holder.scope == "token" else holder.subject
    return name if holder.project is None else f"{name} in project {project!r}"


def is_running(workspace: Workspace) -> bool:
    """Whether a workspace runs, comes up or goes down."""
    return workspace.observed is Observed.ON or state_of(workspace) in ACTIVE


def gpus_of(workspace: Workspace) -> int | None:
    """The GPUs of its machine type; null if the catalog does not know the type."""
    kind = TYPES.get(workspace.instance_type)
    return None if kind is None else kind.gpus


def running(workspaces: Sequence[Workspace]) -> Running:
    """What runs of these; a GPU that is not known counts as none."""
    on = [workspace for workspace in workspaces if is_running(workspace)]
    return Running(len(on), sum(gpus_of(workspace) or 0 for workspace in on))


def refusal(
    held: HeldLimit, name: str, workspace: Workspace, besides: Sequence[Workspace]
) -> LimitReached | None:
    """The refusal to run a workspace besides these; null if the limit allows it."""
    limit, now, more = held.limit, running(besides), gpus_of(workspace)
    if limit.workspaces is not None and now.workspaces + 1 > limit.workspaces:
        hint = request_hint("workspaces", 1, subject=held.holder.subject)
        return _reached(name, "workspaces", limit.workspaces, now.workspaces, hint)
    if limit.gpus is None or more == 0:
        return None
    if more is None:
        return LimitReached(
            f"How many GPUs {workspace.instance_type} has is not known",
            details=f"{name} may use at most {limit.gpus} GPUs at once",
            remediation="Choose another type, or ask who set the limit: `prism limit mine`",
        )
    if now.gpus + more > limit.gpus:
        hint = request_hint("gpus", now.gpus + more - limit.gpus, subject=held.holder.subject)
        return _reached(name, "GPUs", limit.gpus, now.gpus, hint)
    return None


def _reached(name: str, kind: str, most: int, now: int, hint: str) -> LimitReached:
    return LimitReached(
        f"The limit of {name} is {most} {kind} at once",
        details=f"{now} of them are running",
        remediation=f"Stop a workspace that you do not need; see `prism limit mine`{hint}",
        data={"limit": most, "running": now, "of": kind},
    )
