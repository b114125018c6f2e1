"""Who owns a new workspace: who launches it, or a person whom an admin of the project names."""

from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.model import AccessVerb, PermissionDenied, Role, current
from prism.access.plan import allows
from prism.errors import ValidationFailed
from prism.invitations import store as invitations
from prism.projects import store as projects
from prism.workspaces.model import Workspace


def with_owner(
    sql: Connection, workspace: Workspace, owner: str | None, now: datetime, *, creation: str
) -> Workspace:
    """The new workspace with the owner that the request names; raises the refusal.

    An invited person enters it once they have accepted. Where everybody makes projects
    (`Settings.project_creation`), only the operator launches for people who have not: the
    workspace counts for their limits, and whoever launches it may be anybody.
    """
    person = (owner or workspace.owner).lower()
    if person == workspace.owner.lower():
        return workspace
    caller = current()
    if not caller.team or workspace.project is None:
        why = "needs a project" if caller.team else "needs a daemon that several people share"
        raise ValidationFailed.of(("owner", why))
    role_of_caller = caller.roles.get(workspace.project)
    if not caller.operator and not allows(role_of_caller, AccessVerb.MANAGE):
        raise PermissionDenied(
            "You may not launch workspaces for other people",
            details=f"only admins of {workspace.project_name!r} may",
            remediation="Leave the owner out, or ask an admin of the project",
        )
    is_invitation_enough = caller.operator or creation != "everybody"
    member = projects.present_member(sql, workspace.project, person, now)
    role = None if member is None else member.role
    if role is None and is_invitation_enough:
        role = _offered_role(sql, workspace.project, person, now)
    if not allows(role, AccessVerb.MANAGE_OWN):
        raise ValidationFailed.of(
            ("owner", f"{person} may not have workspaces in {workspace.project_name!r}"),
            remediation=(
                f"Invite them first: `prism invite send {workspace.project} {person}`"
                + ("" if is_invitation_enough else ", and launch once they have accepted")
            ),
        )
    return replace(workspace, owner=person)


def _offered_role(sql: Connection, project: str, person: str, now: datetime) -> Role | None:
    """The role in an open invitation."""
    for invitation in invitations.of_person(sql, person):
        ends = [at for at in (invitation.expires_at, invitation.until) if at is not None]
        is_open = invitation.answer is None and min(ends) > now
        if is_open and invitation.project == project:
            return invitation.role
    return None
