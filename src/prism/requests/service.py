"""Requests for more: made, answered, and carried out as the command of whoever grants them."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection

from prism.access.model import PermissionDenied, current
from prism.access.plan import visible
from prism.budgets import store as budgets
from prism.budgets.model import AllocationChange
from prism.budgets.service import BudgetService
from prism.errors import ValidationFailed
from prism.kit.clock import Clock, whole
from prism.kit.db import Database, Tx
from prism.kit.ids import sortable_id
from prism.kit.money import of_usd
from prism.limits.model import LimitChange, LimitShown
from prism.limits.service import LimitService
from prism.projects import store as projects
from prism.projects.model import BudgetChange, Project, ProjectChange
from prism.projects.service import ProjectService
from prism.requests import store
from prism.requests.events import MoreGranted, MoreRefused, MoreRequested, MoreWithdrawn
from prism.requests.model import (
    MAX_PENDING,
    Decider,
    MoreKind,
    MoreRequest,
    MoreRequestList,
    MoreRequestShown,
    MoreState,
    NewMoreRequest,
    NothingToRaise,
    RequestDecided,
    TooManyRequests,
)
from prism.requests.plan import (
    VALUE_OF_LIMIT,
    check_fields,
    decider_of_budget,
    decider_of_limit,
    may_decide,
    name_of_limit,
    shown_request,
    summary_of,
)
from prism.workspaces import store as workspaces
from prism.workspaces.model import ExtendRequest, ResizeRequest
from prism.workspaces.service import WorkspaceService

MOST_USD = 10**12  # as `projects.model.Usd`


class MoreRequestService:
    """Requests for more.

    A grant is one transaction with the change that it makes, and makes it by the same call as the
    command of whoever grants it, with that person's rights. So it cannot do more than they could,
    and of two grants at once the second one finds the request answered.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        projects: ProjectService,
        budgets: BudgetService,
        limits: LimitService,
        workspaces: WorkspaceService,
    ) -> None:
        self._db, self._clock = db, clock
        self._projects, self._budgets = projects, budgets
        self._limits, self._workspaces = limits, workspaces

    def every(self, state: MoreState | None) -> MoreRequestList:
        """The caller's requests, and those that the caller may answer."""
        caller = current()
        about = None if caller.operator else caller.roles
        with self._db.read() as sql:
            rows = [
                row
                for row in store.listed(sql, state, _person(), about)
                if caller.operator
                or (row.person == _person() and caller.token_project in {None, row.project})
                or may_decide(caller, row)
            ]
            listed = tuple(self._shown(sql, row) for row in rows)
        return MoreRequestList(listed, len(listed))

    def make(self, request: NewMoreRequest) -> MoreRequestShown:
        """Request more."""
        check_fields(request)
        limits = self._limits.mine().limits
        with self._db.write() as tx:
            if store.pending_of(tx.sql, _person()) >= MAX_PENDING:
                raise TooManyRequests(
                    f"You have {MAX_PENDING} requests without an answer, which is the limit",
                    remediation="Withdraw one: `prism request list`",
                )
            now = self._clock.now()
            row = MoreRequest(
                id=sortable_id("req", now),
                kind=request.kind,
                person=_person(),
                decider=Decider.MANAGERS,
                usd=None if request.usd is None else of_usd(request.usd),
                hours=request.hours,
                size=request.size,
                count=request.count,
                summary="",
                reason=request.reason,
                made_at=whole(now),
            )
            if request.workspace is not None:
                row = self._about_workspace(tx.sql, request, row)
            elif request.project is not None:
                row = self._about_project(tx.sql, request, row)
            else:
                row = _about_limit([use.limit for use in limits], request, row)
            store.add(tx, row)
            tx.happened(MoreRequested(**_about(row), decider=row.decider))
            return self._shown(tx.sql, row)

    def grant(self, id: str) -> MoreRequestShown:
        """Grant a request, and carry it out; raises what the command itself would raise."""
        with self._db.write() as tx:
            row = self._open(tx, id)
            self._carry_out(tx.sql, row)
            return self._decide(tx, row, MoreState.GRANTED, MoreGranted, "")

    def refuse(self, id: str, reason: str) -> MoreRequestShown:
        """Refuse a request."""
        with self._db.write() as tx:
            row = self._open(tx, id)
            return self._decide(tx, row, MoreState.REFUSED, MoreRefused, reason)

    def withdraw(self, id: str) -> MoreRequestShown:
        """Withdraw a request of the caller; the operator may withdraw everybody's."""
        with self._db.write() as tx:
            row = store.named(tx.sql, id)
            _require_open(row)
            return self._decide(tx, row, MoreState.WITHDRAWN, MoreWithdrawn, "")

    # ---------------------------------------------------------------- made

    def _about_workspace(
        self, sql: Connection, request: NewMoreRequest, row: MoreRequest
    ) -> MoreRequest:
        assert request.workspace is not None, "the caller has asked"
        workspace = workspaces.named(sql, request.workspace)
        if not visible(workspace.project, workspace.owner):
            raise workspaces.not_found(request.workspace)
        return replace(
            row,
            workspace=workspace.id,
            project=workspace.project,
            decider=Decider.MANAGERS if workspace.project else Decider.OPERATOR,
            summary=summary_of(request, workspace.name),
        )

    def _about_project(
        self, sql: Connection, request: NewMoreRequest, row: MoreRequest
    ) -> MoreRequest:
        assert request.project is not None, "the caller has asked"
        project = projects.named(sql, request.project)
        if not visible(project.id, None):
            raise projects.not_found(request.project)
        if project.cap is None and not budgets.allocations_of(sql, project=project.id):
            raise NothingToRaise(
                f"Nothing limits the money of {project.name!r}",
                remediation=f"See its money: `prism project budget {project.id}`",
            )
        return replace(
            row,
            project=project.id,
            decider=decider_of_budget(project, has_own=project.cap is not None),
            summary=summary_of(request, f"project {project.name}"),
        )

    # ------------------------------------------------------------- carried out

    def _carry_out(self, sql: Connection, row: MoreRequest) -> None:
        if row.workspace is not None:
            _require_same_project(sql, row)
            if row.kind is MoreKind.TIME:
                assert row.hours is not None, "a request for time has hours"
                self._workspaces.extend(row.workspace, ExtendRequest(hours=row.hours))
            else:
                change = ResizeRequest(size=row.size)  # type: ignore[arg-type]  # it was checked
                self._workspaces.resize(row.workspace, change)
        elif row.limit is not None:
            self._raise_limit(row, self._limits.counting(row.limit, row.person))
        else:
            assert row.project is not None, "it is about a project"
            self._give_money(sql, row, projects.named(sql, row.project))

    def _give_money(self, sql: Connection, row: MoreRequest, project: Project) -> None:
        """Raise the project's own budget; without one, its allocation."""
        assert row.usd is not None, "a request for money has an amount"
        if project.cap is not None:
            total = BudgetChange(total_allocated=_usd(project.cap + row.usd))
            self._projects.change(project.id, ProjectChange(budget=total))
            return
        if not current().operator:
            raise PermissionDenied(
                "Only the operator of this daemon may raise allocations",
                remediation="Ask the operator to grant the request",
            )
        parts = budgets.allocations_of(sql, project=project.id)
        if len(parts) != 1:
            raise NothingToRaise(
                f"{project.name!r} has {len(parts)} allocations, and no budget of its own",
                remediation="Raise one, and refuse the request: `prism allocation update ID`",
            )
        more = AllocationChange(allocated_amount=_usd(parts[0].amount + row.usd))
        self._budgets.reallot(parts[0].id, more)

    def _raise_limit(self, row: MoreRequest, limit: LimitShown) -> None:
        """Raise a limit; of a default, set a limit of the person that is higher."""
        if limit.by_operator is not current().operator:
            whose = "the operator" if limit.by_operator else "an owner of the project"
            raise PermissionDenied(
                f"Only {whose} may raise a limit that {whose} has set",
                remediation="See who has set it: `prism limit list`",
            )
        values = {name: getattr(limit, name) for name in VALUE_OF_LIMIT.values()}
        name = VALUE_OF_LIMIT[row.kind]
        if values[name] is None:
            raise NothingToRaise(
                "The limit does not limit that any more",
                remediation="Refuse the request: `prism request refuse ID`",
            )
        values[name] += (row.usd or 0) / 1e6 if row.kind is MoreKind.MONEY else row.count or 0
        of_token = limit.scope == "token"
        self._limits.set(
            LimitChange(
                token=limit.subject if of_token else None,
                person=None if of_token else row.person,
                project=limit.project,
                **values,
            )
        )

    # -------------------------------------------------------------- answered

    def _open(self, tx: Tx, id: str) -> MoreRequest:
        """The request, if it has no answer and the caller may answer it."""
        row = store.named(tx.sql, id)
        if not may_decide(current(), row):
            deciders = {
                Decider.OPERATOR: "Only the operator of this daemon",
                Decider.OWNERS: "Only owners of the project",
                Decider.MANAGERS: "Only admins and owners of the project",
            }
            raise PermissionDenied(
                f"{deciders[row.decider]} may answer this request",
                remediation="See who was asked: `prism request list`",
            )
        _require_open(row)
        return row

    def _decide(
        self,
        tx: Tx,
        row: MoreRequest,
        state: MoreState,
        event: Callable[..., MoreGranted | MoreRefused | MoreWithdrawn],
        answer: str,
    ) -> MoreRequestShown:
        now = whole(self._clock.now())
        decided = store.decide(tx, row, state, by=current().name, at=now, answer=answer)
        tx.happened(event(**_about(row)))
        return self._shown(tx.sql, decided)

    def _shown(self, sql: Connection, row: MoreRequest) -> MoreRequestShown:
        project = None if row.project is None else projects.find_ever(sql, row.project)
        return shown_request(row, None if project is None else project.name, current())


def _about_limit(
    limits: list[LimitShown], request: NewMoreRequest, row: MoreRequest
) -> MoreRequest:
    """A request about one of the limits that apply to the caller."""
    value = VALUE_OF_LIMIT[request.kind]
    limiting = [limit for limit in limits if getattr(limit, value) is not None]
    if request.limit is not None:
        limiting = [limit for limit in limiting if limit.id == request.limit]
    if not limiting:
        raise NothingToRaise(
            "No limit of yours limits that",
            remediation="See your limits: `prism limit mine`"
            + ("; for a project: `--project NAME`" if request.kind is MoreKind.MONEY else ""),
        )
    if len(limiting) > 1:
        ids = ", ".join(limit.id for limit in limiting)
        raise ValidationFailed.of(("limit", f"several limits of yours limit that: {ids}"))
    [limit] = limiting
    return replace(
        row,
        limit=limit.id,
        project=limit.project,
        decider=decider_of_limit(limit),
        summary=summary_of(request, name_of_limit(limit, row.person)),
    )


def _usd(micros: int) -> float:
    """An amount that the command itself would take; raises if it is too large for that."""
    if micros >= MOST_USD * 1_000_000:
        raise ValidationFailed.of(("usd", "with what there is, it is more than an amount may be"))
    return micros / 1e6


def _require_same_project(sql: Connection, row: MoreRequest) -> None:
    """Raise if a workspace was moved: who was asked may have no right in its project."""
    assert row.workspace is not None, "it is about a workspace"
    if [workspace.project for workspace in workspaces.by_ids(sql, [row.workspace])] != [
        row.project
    ]:
        raise NothingToRaise(
            "The workspace is in another project now",
            remediation=f"Refuse the request, so that it can be made again: "
            f"`prism request refuse {row.id}`",
        )


def _require_open(row: MoreRequest) -> None:
    if row.state is not MoreState.PENDING:
        raise RequestDecided(
            f"The request was {row.state}",
            details=f"by {row.decided_by}, at {row.decided_at:%Y-%m-%d %H:%M} UTC",
            remediation="Use `prism request list` to see requests",
        )


def _person() -> str:
    return current().name.lower()


def _about(row: MoreRequest) -> dict[str, Any]:
    return {
        "actor": current().name,
        "subject": row.summary,
        "request": row.id,
        "kind": row.kind,
        "project": row.project,
        "user": row.person,
    }
