"""Members over HTTP."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.kit.routes import Routes
from prism.projects.members import MemberService
from prism.projects.model import Leftover, Member, MemberChange, NewMembership, RemovedMember

Members = NamedDependency[MemberService]
Id = FromPath[str]
Email = FromPath[str]
LeftoverParameter = Annotated[
    Leftover,
    QueryParameter(
        name="workspaces", description="`keep` them as they are, `stop` them, or `hand_over`"
    ),
]
Heir = Annotated[
    str | None,
    QueryParameter(description="who gets them with `hand_over`: a member; else whoever asks"),
]
router = Routes("/api/v1/projects/{project_id:str}/members", tags=["members"])


@router.get(sync_to_thread=True)
def list_members(project_id: Id, members: Members) -> list[Member]:
    """List the members of a project, in the order of joining."""
    return members.every(project_id)


@router.post(sync_to_thread=True)
def add_member(project_id: Id, data: JSONBody[NewMembership], members: Members) -> Member:
    """Make somebody a member, forever or until a time."""
    return members.add(project_id, data)


@router.get("/{email:str}", sync_to_thread=True)
def show_member(project_id: Id, email: Email, members: Members) -> Member:
    """One member."""
    return members.member(project_id, email)


@router.put("/{email:str}", sync_to_thread=True)
def change_member(
    project_id: Id, email: Email, data: JSONBody[MemberChange], members: Members
) -> Member:
    """Give a member another role, or the membership another end.

    One owner without an end always remains.
    """
    return members.change(project_id, email, data)


@router.delete("/{email:str}", status_code=200, sync_to_thread=True)
def remove_member(
    project_id: Id,
    email: Email,
    members: Members,
    leftover: LeftoverParameter = Leftover.KEEP,
    to: Heir = None,
) -> RemovedMember:
    """Remove a member from a project; one owner without an end always remains.

    `workspaces` says what happens to the workspaces that this member launched in the project.
    """
    return members.remove(project_id, email, leftover, to)
