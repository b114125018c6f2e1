"""Who of a class is stuck: decides it from lists of members, invitations and workspaces."""

from __future__ import annotations

import re

from prism.annotations import Any, Sequence
from prism.cli.output.terminal import say, show_records
from prism.client.names import unique_name

SLEEPING_STATES = {"hibernated", "stopped", "hibernating", "stopping"}
TEACHING_ROLES = {"admin", "owner"}
BUSY_KERNEL = re.compile(r"the kernel of .* is busy")  # as the agent reports it
UNANSWERED = {
    "pending": "has not answered the invitation",
    "declined": "has declined the invitation",
    "expired": "has let the invitation expire",
}


def overview_rows(
    members: Sequence[dict[str, Any]],
    invitations: Sequence[dict[str, Any]],
    workspaces: Sequence[dict[str, Any]],
    idle_minutes: int,
) -> list[dict[str, Any]]:
    """One row for each workspace, and for each person without one; the stuck ones first."""
    joined = {member["email"].lower(): member["role"] for member in members}
    answers = {row["email"].lower(): row for row in invitations}  # the newest is the last
    rows = []
    for workspace in workspaces:
        owner = workspace["owner"].lower()
        absence = _absence(owner, joined, answers)
        condition = ("absent", absence) if absence else _condition(workspace, idle_minutes)
        rows.append(_row(owner, *condition, workspace))
    owners = {row["person"] for row in rows}
    invited = [email for email, row in answers.items() if row["status"] in UNANSWERED]
    learners = [email for email, role in joined.items() if role not in TEACHING_ROLES]
    for person in dict.fromkeys([*learners, *invited]):
        if person not in owners:
            why = _absence(person, joined, answers) or "has no workspace"
            rows.append(_row(person, "absent", why))
    return sorted(rows, key=lambda row: (row["stuck"] is None, row["person"], row["workspace"]))


def _row(
    person: str, condition: str, why: str | None, workspace: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "person": person,
        "workspace": unique_name(workspace) if workspace else "",
        "state": workspace["state"] if workspace else "",
        "condition": condition,
        "stuck": why,
    }


def _absence(
    person: str, joined: dict[str, str], answers: dict[str, dict[str, Any]]
) -> str | None:
    """Why somebody has not come into the class yet; None for its members."""
    if person in joined:
        return None
    invitation = answers.get(person)
    if invitation is None:
        return "is no member"
    if problem := invitation.get("mail_problem"):
        return f"the mail was not delivered: {problem}"
    return UNANSWERED.get(invitation["status"], "is no member")


def _condition(workspace: dict[str, Any], idle_minutes: int) -> tuple[str, str | None]:
    """How a workspace is, and why it is no use to its owner right now; None if nothing is wrong.

    The class page of the web GUI decides the same: `web/src/features/classes/board.ts`.
    """
    if failure := workspace.get("failure"):
        return "failed", f"failed: {failure['message']}"
    if unreachable := workspace.get("unreachable"):
        return "stuck", f"is out of reach: {unreachable}"
    if waiting := workspace.get("waiting"):
        return "stuck", f"waits: {waiting}"
    if workspace["state"] != "running":
        return "asleep" if workspace["state"] in SLEEPING_STATES else "starting", None
    return _use(workspace.get("idle") or {}, idle_minutes)


def _use(idle: dict[str, Any], idle_minutes: int) -> tuple[str, str | None]:
    """How a workspace that runs is used, and why that is no use."""
    if busy := [why for why in idle.get("because", ()) if BUSY_KERNEL.fullmatch(why)]:
        return "stuck", str(busy[0])
    if idle.get("never_used"):
        return "unopened", "was never opened: nothing was done in it since it was ready"
    minutes = idle.get("idle_minutes") or 0
    if minutes >= idle_minutes:
        return "idle", f"idle for {minutes} minutes"
    return "working", None


def show_overview(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table, and how many are stuck."""
    show_records(
        rows,
        ("PERSON", "person"),
        ("WORKSPACE", "workspace"),
        ("STATE", "state"),
        ("STUCK", "stuck"),
        flexible="STUCK",
        none="Nobody is in this class. Add people: `prism class add CLASS FILE --template NAME`",
    )
    if rows:
        say(f"{sum(row['stuck'] is not None for row in rows)} of {len(rows)} are stuck")
