"""Members over HTTP."""

from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.projects.members import MemberService
from prism.projects.model import DeletedProject, Member, NewMember, RoleChange

Members = NamedDependency[MemberService]
Id = FromPath[str]
Email = FromPath[str]


@get("", sync_to_thread=True)
def list_members(project_id: Id, members: Members) -> list[Member]:
    """Who belongs to a project, in the order of joining."""
    return members.every(project_id)


@post("", sync_to_thread=True)
def add_member(project_id: Id, data: JSONBody[NewMember], members: Members) -> Member:
    """Make somebody a member."""
    return members.add(project_id, data)


@get("/{email:str}", sync_to_thread=True)
def show_member(project_id: Id, email: Email, members: Members) -> Member:
    """One member."""
    return members.one(project_id, email)


@put("/{email:str}", sync_to_thread=True)
def change_member(
    project_id: Id, email: Email, data: JSONBody[RoleChange], members: Members
) -> Member:
    """Give a member another role; one owner always remains."""
    return members.change(project_id, email, data.role)


@delete("/{email:str}", status_code=200, sync_to_thread=True)
def remove_member(project_id: Id, email: Email, members: Members) -> DeletedProject:
    """Let a member go; one owner always remains."""
    return DeletedProject(
        f"Member {members.remove(project_id, email).email!r} removed successfully"
    )


router = Router(
    "/api/v1/projects/{project_id:str}/members",
    tags=["members"],
    route_handlers=[list_members, add_member, show_member, change_member, remove_member],
)
