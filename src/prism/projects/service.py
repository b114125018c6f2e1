"""The verbs of projects."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from prism.access.model import current
from prism.access.plan import visible
from prism.kit.actor import Who
from prism.kit.clock import Clock, whole
from prism.kit.database.versions import VersionedValue
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.tables import changed_fields
from prism.projects import store
from prism.projects.events import (
    MemberJoined,
    ProjectChanged,
    ProjectCreated,
    ProjectDeleted,
    about,
)
from prism.projects.model import (
    Member,
    MembershipListener,
    NewProject,
    Project,
    ProjectChange,
    ProjectDependent,
    ProjectExists,
    ProjectInUse,
    ProjectShown,
    Spending,
    SpendingReader,
    WorkspaceCounts,
)
from prism.projects.plan import (
    first_members,
    given,
    new_project,
    require_acceptance,
    require_founder,
    require_honest_name,
    shown,
    without_money,
)

LIMIT_FIELDS = ("cap", "alert_threshold", "auto_hibernate_threshold", "prevent_launch_threshold")


class ProjectService:
    """Requests about projects; other packages give costs and check dependents.

    `counts` gives the numbers of workspaces by the id of their project.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        actor: Who,
        *,
        spending: SpendingReader,
        counts: Callable[[], Mapping[str, WorkspaceCounts]],
        dependents: Sequence[ProjectDependent],
        listeners: Sequence[MembershipListener],
        creation: str,
    ) -> None:
        """`creation` says who may make projects in team mode (`Settings.project_creation`)."""
        self._creation, self._listeners = creation, listeners
        self._db, self._clock, self._actor = db, clock, actor
        self._spending_reader, self._counts, self._dependents = spending, counts, dependents
        self._cached = VersionedValue[tuple[list[Project], dict[str, list[Member]]]](
            store.PROJECTS
        )

    def every(self) -> list[ProjectShown]:
        """All projects that the caller may see, the oldest first."""
        counts = self._counts()
        with self._db.read() as sql:
            rows, members = self._every(sql)
            projects = [project for project in rows if visible(project.id, None)]
            money = self._spending_reader.spending(sql, projects)
        return [
            shown(
                project,
                members.get(project.id, ()),
                money.get(project.id, Spending(project.cap)),
                counts.get(project.id, WorkspaceCounts()),
            )
            for project in projects
        ]

    def _every(self, sql: Connection) -> tuple[list[Project], dict[str, list[Member]]]:
        """All projects and their members."""

        def read() -> tuple[list[Project], dict[str, list[Member]]]:
            return store.every(sql), store.all_members(sql)

        versions = self._db.versions(sql)
        return read() if versions is None else self._cached.get(versions, read)

    def named(self, name: str) -> ProjectShown:
        """The project with that id or name."""
        with self._db.read() as sql:
            return self._view(sql, store.named(sql, name))

    def create(self, request: NewProject) -> ProjectShown:
        """Create a project."""
        require_founder(self._creation)
        require_acceptance(self._creation, (member.email for member in request.members))
        now = whole(self._clock.now())
        project = new_project(request, sortable_id("proj", self._clock.now()), self._actor(), now)
        if (caller := current()).team and not caller.operator:
            project = without_money(project)
        members = first_members(request, self._actor(), now)
        with self._db.write() as tx:
            self._require_free_name(tx, project)
            self._require_honest_name(tx, project)
            store.add(tx, project)
            fields = about(project, self._actor())
            limits = {name: getattr(project, name) for name in LIMIT_FIELDS}
            tx.happened(ProjectCreated(**fields, after=limits))
            for member in members:
                store.add_member(tx, project.id, member)
                tx.happened(MemberJoined(**fields, email=member.email, role=member.role))
            return self._view(tx.sql, project)

    def change(self, name: str, request: ProjectChange) -> ProjectShown:
        """Change the given fields."""
        with self._db.write() as tx:
            before = store.named(tx.sql, name)
            after = given(before, request)
            if now := changed_fields(before, after):
                self._require_free_name(tx, after)
                if before.name != after.name:
                    self._require_honest_name(tx, after)
                store.put(tx, after)
                if before.cap != after.cap:
                    self._spending_reader.check_cap_change(tx, before, after)
                if before.name != after.name:
                    for dependent in self._dependents:
                        dependent.renamed_project(tx, after)
                was = {field: getattr(before, field) for field in now}
                fields = about(after, self._actor())
                changed = ProjectChanged(**fields, fields=tuple(now), before=was, after=now)
                tx.happened(changed)
            return self._view(tx.sql, after)

    def delete(self, name: str) -> Project:
        """Delete a project that nothing needs."""
        with self._db.write() as tx:
            project = store.named(tx.sql, name)
            for dependent in self._dependents:
                if use := dependent.use_of_project(tx, project):
                    raise ProjectInUse(
                        f"Project {project.name!r} is in use",
                        details=use.reason,
                        remediation=use.remediation,
                    )
            members = store.members_of(tx.sql, project.id)
            store.remove(tx, project, self._clock.now())
            for member in members:
                for listener in self._listeners:
                    listener.demoted(tx, project, member.email, None)
            tx.happened(ProjectDeleted(**about(project, self._actor())))
            return project

    def _require_free_name(self, tx: Tx, project: Project) -> None:
        """Raise if another project has that name, or an id equal to it."""
        other = store.find(tx.sql, project.name)
        if other is not None and other.id != project.id:
            raise ProjectExists(
                f"A project called {project.name!r} already exists",
                remediation="Use `prism project list` to see available projects",
            )

    def _require_honest_name(self, tx: Tx, project: Project) -> None:
        """Raise if people of a shared daemon can take the name for another project's."""
        if current().team:
            other_projects = [other for other in store.every(tx.sql) if other.id != project.id]
            require_honest_name(project.name, other_projects)

    def _view(self, sql: Connection, project: Project) -> ProjectShown:
        spending = self._spending_reader.spending(sql, [project])
        money = spending.get(project.id, Spending(project.cap))
        counts = self._counts().get(project.id, WorkspaceCounts())
        return shown(project, store.members_of(sql, project.id), money, counts)
