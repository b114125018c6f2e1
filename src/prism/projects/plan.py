"""Makes and changes projects, and builds answers: pure functions."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import UNSET, structs, to_builtins

from prism.access.model import PermissionDenied, Role, current
from prism.access.plan import visible
from prism.errors import ValidationFailed
from prism.kit.look_alike_names import look_alike, require_honest_address, why_deceptive
from prism.kit.money import amount, of_usd
from prism.projects.model import (
    Budget,
    Leftover,
    Member,
    MemberChange,
    NewBudget,
    NewMembership,
    NewProject,
    Project,
    ProjectChange,
    ProjectExists,
    ProjectShown,
    Spending,
    WorkspaceCounts,
)

MAX_MEMBERSHIP = timedelta(days=3660)
NO_MONEY = 1  # micro-dollar: the smallest cap, since shares of a cap of 0 have no value


def first_members(request: NewProject, creator: str, at: datetime) -> list[Member]:
    """The first members: those named, and the creator if none of them is an owner."""
    emails = [member.email.lower() for member in request.members]
    for position, email in enumerate(emails):
        require_honest_address(email, [creator.lower(), *emails[:position]])
    if twice := sorted({email for email in emails if emails.count(email) > 1}):
        raise ValidationFailed.of(("members", f"{', '.join(twice)}: named more than once"))
    members = [Member(member.email.lower(), member.role, at) for member in request.members]
    if any(member.role is Role.OWNER for member in members):
        return members
    rest = [member for member in members if member.email != creator.lower()]
    return [Member(creator.lower(), Role.OWNER, at), *rest]


def membership_until(
    before: Member, change: MemberChange | NewMembership, now: datetime
) -> Member:
    """The membership with the end that a request gives it; raises what is no good end.

    Without a choice, workspaces stop then: nothing is lost, and nothing runs that nobody uses.
    """
    until = before.until if change.until is UNSET else change.until
    at_end = before.at_end if change.at_end in {UNSET, None} else change.at_end
    to = before.to if change.to is UNSET else change.to
    if until is None:
        if change.at_end not in {UNSET, None} or change.to not in {UNSET, None}:
            raise ValidationFailed.of(
                ("at_end", "needs `until`: a membership without an end has none to plan for")
            )
        return structs.replace(before, until=None, at_end=None, to=None)
    if until != before.until and not now < until <= now + MAX_MEMBERSHIP:
        raise ValidationFailed.of(
            ("until", f"must be later than now ({now:%Y-%m-%d %H:%M} UTC), and within ten years"),
            remediation="To end it now, remove the member",
        )
    at_end = at_end or Leftover.STOP
    if at_end is not Leftover.HAND_OVER:
        if change.to not in {UNSET, None}:
            raise ValidationFailed.of(("to", "needs at_end=hand_over"))
        to = None
    return structs.replace(before, until=until, at_end=at_end, to=to)


def handled_at_end(member: Member, *, heir_may: bool) -> Leftover:
    """What happens to the workspaces when the time comes.

    If whoever was to get them may not have workspaces there any more, they stop.
    """
    at_end = member.at_end or Leftover.STOP
    return Leftover.STOP if at_end is Leftover.HAND_OVER and not heir_may else at_end


def new_project(request: NewProject, id: str, creator: str, at: datetime) -> Project:
    """The new project that a request describes."""
    money = request.budget or NewBudget()
    return checked(
        Project(
            id=id,
            name=request.name,
            description=request.description,
            cap=None if money.total_allocated is None else of_usd(money.total_allocated),
            alert_threshold=money.alert_threshold,
            auto_hibernate_threshold=money.auto_hibernate_threshold,
            prevent_launch_threshold=money.prevent_launch_threshold,
            created_by=creator,
            created_at=at,
        )
    )


def require_founder(creation: str) -> None:
    """Raise if the caller may not make projects on this daemon."""
    caller = current()
    if caller.team and not caller.operator and creation == "operator":
        raise PermissionDenied(
            "Only the operator of this daemon may make projects",
            details="PRISM_PROJECT_CREATION is `operator`",
            remediation="Ask the operator for a project, and to make you its owner",
        )


def require_acceptance(creation: str, added: Iterable[str]) -> None:
    """Raise if people would become members unasked where everybody makes projects.

    What is launched for a project counts for limits of its members, and its owner may be anybody.
    """
    caller = current()
    strangers = sorted({email.lower() for email in added} - {caller.name.lower()})
    if strangers and caller.team and not caller.operator and creation == "everybody":
        raise PermissionDenied(
            f"{strangers[0]} must agree to become a member",
            details="everybody may make projects here, so only the operator adds people unasked",
            remediation=f"Invite them: `prism invite send PROJECT {strangers[0]}`",
        )


def require_honest_name(name: str, other_projects: Sequence[Project]) -> None:
    """Raise if people of a shared daemon can take the name for another name."""
    if why := why_deceptive(name):
        raise ValidationFailed.of(
            ("name", why), remediation="Leave that character out, or type the word in one script"
        )
    for other in other_projects:
        if look_alike(name, other.name):
            seen = visible(other.id, None)
            raise ProjectExists(
                f"The name {name!r} looks like the name of another project"
                + (f", {other.name!r}" if seen else ""),
                remediation="Choose a name that nobody takes for that of another project",
            )


def without_money(project: Project) -> Project:
    """The project of a person who has no money to give: nothing that has a price fits."""
    if project.cap is not None:
        raise PermissionDenied(
            "Only the operator of this daemon may give a new project a budget",
            details="you make the project, so nobody has given it money yet",
            remediation="Leave the budget out, and ask the operator for one",
        )
    return structs.replace(project, cap=NO_MONEY)


def given(before: Project, request: ProjectChange) -> Project:
    """The project after a change; raises if the caller has no money to give for its budget.

    On a shared daemon only the operator has money to give. An owner may lower its budget, or set
    one where there is none, which owners may change until the operator sets another one.
    """
    after, caller = with_change(before, request), current()
    if request.budget is UNSET:
        return after
    if caller.team and not caller.operator and before.cap is not None and not before.set_by_owner:
        _require_lower_thresholds(before, after)
    if request.budget.total_allocated is UNSET:
        return after
    if not caller.team or caller.operator:
        return structs.replace(after, set_by_owner=False)
    if before.cap is None or before.set_by_owner:
        return structs.replace(after, set_by_owner=after.cap is not None)
    if after.cap is None or after.cap > before.cap:
        raise PermissionDenied(
            f"Only the operator of this daemon may raise or remove the budget of {before.name!r}",
            details=f"the budget is ${before.cap / 1e6:,.2f}; an owner may lower it",
            remediation="Ask the operator for a larger budget",
        )
    return after


def _require_lower_thresholds(before: Project, after: Project) -> None:
    """Raise if an owner would raise or remove a threshold of the operator's budget."""
    for label, old, new in (
        ("prevent-launch", before.prevent_launch_threshold, after.prevent_launch_threshold),
        ("auto-hibernate", before.auto_hibernate_threshold, after.auto_hibernate_threshold),
    ):
        if old is not None and (new is None or new > old):
            raise PermissionDenied(
                f"Only the operator of this daemon may raise or remove the {label} threshold of "
                f"{before.name!r}",
                details=f"the threshold is {old:g} %; an owner may lower it",
                remediation="Ask the operator for a higher one",
            )


def with_change(before: Project, request: ProjectChange) -> Project:
    """The project after a change."""
    fields = to_builtins(request)  # without what was not given
    limits = fields.pop("budget", {})
    if "total_allocated" in limits:
        total = limits.pop("total_allocated")
        limits["cap"] = None if total is None else of_usd(total)
    return checked(structs.replace(before, **fields, **limits))


def checked(project: Project) -> Project:
    """The project; raises if its cap is less than a micro-dollar."""
    if project.cap is not None and project.cap <= 0:
        raise ValidationFailed.of(("budget.total_allocated", "less than a micro-dollar"))
    return project


def shown(
    project: Project, members: Sequence[Member], money: Spending, counts: WorkspaceCounts
) -> ProjectShown:
    """A project for the wire."""
    return ProjectShown(
        id=project.id,
        name=project.name,
        description=project.description,
        budget=Budget(
            total_allocated=None if money.allocated is None else amount(money.allocated),
            current_spend=None if money.spent is None else amount(money.spent),
            remaining=None if money.remaining is None else amount(money.remaining),
            spent=None if money.used is None else amount(money.used),
            reserved=amount(money.reserved),
            left=None if money.left is None else amount(money.left),
            monthly_burn_rate=None if money.monthly is None else amount(money.monthly),
            alert_threshold=project.alert_threshold,
            auto_hibernate_threshold=project.auto_hibernate_threshold,
            prevent_launch_threshold=project.prevent_launch_threshold,
        ),
        members=tuple(members),
        active_instances=counts.active,
        total_instances=counts.total,
        created_at=project.created_at,
    )
