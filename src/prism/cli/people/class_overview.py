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
        why = _absence(owner, joined, answers) or _trouble(workspace, idle_minutes)
        rows.append(_row(owner, why, workspace))
    owners = {row["person"] for row in rows}
    invited = [email for email, row in answers.items() if row["status"] in UNANSWERED]
    learners = [email for email, role in joined.items() if role not in TEACHING_ROLES]
    for person in dict.fromkeys([*learners, *invited]):
        if person not in owners:
            rows.append(_row(person, _absence(person, joined, answers) or "has no workspace"))
    return sorted(rows, key=lambda row: (row["stuck"] is None, row["person"], row["workspace"]))


def _row(person: str, why: str | None, workspace: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "person": person,
        "workspace": unique_name(workspace) if workspace else "",
        "state": workspace["state"] if workspace else "",
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


def _trouble(workspace: dict[str, Any], idle_minutes: int) -> str | None:
    """Why a workspace is no use to its owner right now; None if nothing is wrong."""
    if failure := workspace.get("failure"):
        return f"failed: {failure['message']}"
    if waiting := workspace.get("waiting"):
        return f"waits: {waiting}"
    if workspace["state"] in SLEEPING_STATES:
        return None
    idle = workspace.get("idle") or {}
    if busy := [why for why in idle.get("because", ()) if BUSY_KERNEL.fullmatch(why)]:
        return str(busy[0])
    if idle.get("never_used"):
        return "was never opened: nothing was done in it since it was ready"
    minutes = idle.get("idle_minutes") or 0
    return f"idle for {minutes} minutes" if minutes >= idle_minutes else None


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
