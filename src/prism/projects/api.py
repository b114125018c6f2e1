"""Projects over HTTP."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from prism.kit.routes import Routes
from prism.projects.model import DeletedProject, NewProject, ProjectChange, ProjectShown
from prism.projects.service import ProjectService

Projects = NamedDependency[ProjectService]
Id = FromPath[str]
router = Routes("/api/v1/projects", tags=["projects"])


@router.get(sync_to_thread=True)
def list_projects(projects: Projects) -> list[ProjectShown]:
    """Every project, with its money and its members."""
    return projects.every()


@router.post(sync_to_thread=True)
def create_project(data: JSONBody[NewProject], projects: Projects) -> ProjectShown:
    """Make a new project."""
    return projects.create(data)


@router.get("/{project_id:str}", sync_to_thread=True)
def show_project(project_id: Id, projects: Projects) -> ProjectShown:
    """One project, by id or name."""
    return projects.named(project_id)


@router.put("/{project_id:str}", sync_to_thread=True)
def change_project(
    project_id: Id, data: JSONBody[ProjectChange], projects: Projects
) -> ProjectShown:
    """Change the given fields of a project."""
    return projects.change(project_id, data)


@router.delete("/{project_id:str}", status_code=200, sync_to_thread=True)
def delete_project(project_id: Id, projects: Projects) -> DeletedProject:
    """Delete a project without workspaces and money; what it spent stays in the ledger."""
    return DeletedProject(f"Project {projects.delete(project_id).name!r} deleted successfully")
