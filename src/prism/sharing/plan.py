"""Whether a share lets somebody in, and why it has ended: pure functions."""

from datetime import datetime

from prism.access.model import AccessVerb, Caller, Role
from prism.access.plan import allows, scope_allows
from prism.errors import ValidationFailed
from prism.sharing.model import (
    FOR_EVERYBODY,
    LONGEST_SHARE,
    OF_PROJECT,
    NewShare,
    Share,
    ShareAudience,
    SharedThing,
    ShareImpossible,
)
from prism.templates.model import Service
from prism.workspaces.model import LifecycleVerb, Workspace


def end_reason(
    share: Share, workspace: Workspace | None, *, owner_may_enter: bool, now: datetime
) -> str | None:
    """Why a share has ended; None if it counts."""
    if workspace is None or workspace.verb is LifecycleVerb.TERMINATE or workspace.ended_at:
        return "the workspace was terminated"
    if now >= share.until:
        return "its time is over"
    if workspace.owner.lower() != share.owner.lower():
        return "the workspace has another owner"
    if not owner_may_enter:
        return "its owner may not enter the workspace any more"
    return None


def owner_may_enter(workspace: Workspace, role: Role | None, *, is_operator: bool) -> bool:
    """Whether the owner of a workspace has the rights of an owner there."""
    return is_operator or workspace.project is None or allows(role, AccessVerb.MANAGE_OWN)


def is_guest(share: Share, caller: Caller) -> bool:
    """Whether a share is for the caller, who needs a project on this daemon.

    A token for one project and a token that only reads are no guest's: what they allow is less.
    """
    if not caller.known or not (caller.operator or caller.roles):
        return False
    if caller.token_project is not None or not scope_allows(caller.scope, AccessVerb.USE):
        return False
    if share.audience is ShareAudience.PERSON:
        return caller.name.lower() == (share.guest or "").lower()
    if share.audience is ShareAudience.PROJECT:
        return share.guest in caller.roles
    return True


def shared_port(request: NewShare, workspace: Workspace, *, has_apps: bool) -> int | None:
    """The port of what is shared; null for a terminal. Raises what cannot be shared."""
    if (request.app is not None) == request.terminal:
        raise ValidationFailed.of(("app", "give exactly one of `app` and `terminal`"))
    if request.app is None:
        return None
    if not has_apps:
        raise ShareImpossible(
            "Apps cannot be shared on this daemon",
            details="guests open an app in a browser at an origin of its own, and this daemon has "
            "no domain for them",
            remediation="Ask its operator for one (PRISM_APPS_DOMAIN), or share the terminal: "
            f"`prism share {workspace.name} --terminal`",
        )
    service: Service | None = workspace.resolved_template.services.get(request.app)
    if service is None:
        names = ", ".join(workspace.resolved_template.services) or "none"
        raise ShareImpossible(
            f"Workspace {workspace.name!r} has no app {request.app!r}",
            details=f"its template has: {names}",
            remediation=f"See what answers there: `prism connect {workspace.name}`",
        )
    return service.port


def audience_of(guest: str) -> tuple[ShareAudience, str | None]:
    """With whom a request shares: the kind, and the person or the name of the project."""
    if guest == FOR_EVERYBODY:
        return ShareAudience.EVERYBODY, None
    if guest.startswith(OF_PROJECT):
        return ShareAudience.PROJECT, guest.removeprefix(OF_PROJECT)
    return ShareAudience.PERSON, guest.lower()


def require_end(until: datetime, now: datetime) -> None:
    """Raise unless a share ends later than now, and within a year."""
    if not now < until <= now + LONGEST_SHARE:
        raise ValidationFailed.of(("until", "must be later than now, and within 366 days"))


def what_is_shared(share: Share) -> str:
    """What is shared, within a sentence."""
    return share.service or "app" if share.kind is SharedThing.APP else "terminal"
