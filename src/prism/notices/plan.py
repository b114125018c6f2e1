"""What people are told, when, and by what: pure functions."""

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from prism.kit.events import RecordedEvent
from prism.notices.model import PERCENTS, Channels, EndingMember, NoticeKind, Preferences

SYSTEM_ACTOR = "prism"  # of events that no person requested
QUIET_BEFORE_MAIL = timedelta(minutes=2)  # without a further notice, before a mail is sent
MAX_COLLECTING = timedelta(minutes=10)  # from the first notice of a mail
BETWEEN_MAILS = timedelta(minutes=10)
RETRY_SECONDS = (5, 30, 120, 600, 1800, 3600, 7200, 14400)  # after each failure of a webhook
GIVEN_UP_AFTER = timedelta(days=3)  # of failures in a row
# Of one mailbox: what else headers and mail servers would read as another address, or as none.
MAIL_ADDRESS = re.compile(r"[^@\s,;:<>()\[\]\\\"]+@[^@\s,;:<>()\[\]\\\"]+")
DOWN_WORDS = {"hibernated": "hibernates", "stopped": "is stopped"}
SETTLED_STATES = {"failed", "stopped", "hibernated"}  # states in which a failure is not on its way
END_DAYS = (14, 3)  # before a membership ends
MAX_NAMED = 10  # people in one notice
MAX_TEXT = 1000  # characters of a notice's text


MAX_BY_ONE = 10  # notices of a kind that one person causes in a day; then one counts the others


class KindRule(Struct, frozen=True):
    """A kind of notice: its title in the settings, and the channels that are usual."""

    title: str
    usual: Channels = Channels()


NOTICE_KINDS: Mapping[NoticeKind, KindRule] = {
    NoticeKind.EXPIRY: KindRule("A workspace of yours expires soon"),
    NoticeKind.SLEEP: KindRule("A workspace of yours was put to sleep"),
    NoticeKind.LIMIT: KindRule("How much of your own limits is spent"),
    NoticeKind.BUDGET: KindRule("How much of a budget of your projects is spent"),
    NoticeKind.RUNS_OUT: KindRule("The money of a project of yours runs out within 7 days"),
    NoticeKind.FAILURE: KindRule("Something of yours has failed"),
    NoticeKind.SHARE: KindRule("Something is shared with you, or entered"),
    NoticeKind.MEMBERSHIP: KindRule("Your membership or role in a project changes or ends"),
    NoticeKind.REQUEST: KindRule("Requests for more: to you, and the answers to yours"),
    NoticeKind.WEEKLY: KindRule("Once a week: what ran, slept and was saved"),
    NoticeKind.TEST: KindRule("Tests that you request"),
}


MORE_COMMANDS: Mapping[NoticeKind, str] = {
    NoticeKind.SHARE: "prism shares",
    NoticeKind.MEMBERSHIP: "prism project list",
    NoticeKind.REQUEST: "prism request list",
}


class Audience(Struct, frozen=True):
    """Who gets a notice: a person, the owner of a workspace, or the owners of a project.

    Without any of them, it is the operator.
    """

    person: str | None = None
    workspace: str | None = None
    snapshot: str | None = None
    owners_of: str | None = None


class Draft(Struct, frozen=True, kw_only=True):
    """A notice before it is known who gets it."""

    key: str
    kind: NoticeKind
    to: Audience
    project: str | None = None
    title: str
    text: str = ""
    command: str = ""


def more_by_one(draft: Draft, actor: str, day: str, count: int) -> Draft:
    """What is told of the further notices of a kind that one person causes in a day."""
    more = count - MAX_BY_ONE
    noun = "notice" if more == 1 else "notices"
    kind = NOTICE_KINDS[draft.kind].title
    return Draft(
        key=f"more:{draft.kind}:{day}:{actor}",
        kind=draft.kind,
        to=draft.to,
        title=f"And {more} more {noun} because of {text_of(actor, 100)} on {day}",
        text=f"{kind}. Of one person's doings you are told the first {MAX_BY_ONE} of a day.",
        command=MORE_COMMANDS.get(draft.kind, ""),
    )


def text_of(raw: object, most: int = 200) -> str:
    """What a person or a machine wrote, as one line of printable characters."""
    text = "".join(c if c.isprintable() else " " for c in str(raw or "")).strip()
    return text if len(text) <= most else f"{text[: most - 1]}…"


def command_of(*words: object) -> str:
    """A command that can be pasted into a shell, whatever names are in it."""
    return shlex.join(text_of(word) for word in words)


# ----------------------------------------------------------------- from events


def _failed(event: RecordedEvent) -> Draft | None:
    name = text_of(event.subject)
    to = Audience(workspace=event.data["workspace"])
    return _failure(event, to, name, command_of("prism", "logs", name))


def _snapshot_failed(event: RecordedEvent) -> Draft | None:
    name = text_of(event.subject)
    to = Audience(snapshot=event.data["snapshot"])
    return _failure(event, to, f"Snapshot {name}", command_of("prism", "snapshot", "show", name))


def _failure(event: RecordedEvent, to: Audience, subject: str, command: str) -> Draft | None:
    """What is told if the event is a failure."""
    if not (failure := event.data.get("failure")):
        return None
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.FAILURE,
        to=to,
        project=event.data.get("project"),
        title=f"{subject}: {text_of(failure['code']).replace('_', ' ').lower()}",
        text=text_of(failure["message"], MAX_TEXT),
        command=command,
    )


def _state_changed(event: RecordedEvent) -> Draft | None:
    return _failed(event) if event.data.get("state") in SETTLED_STATES else None


def _idle(event: RecordedEvent) -> Draft:
    data, name = event.data, text_of(event.subject)
    done = "hibernates" if data["action"] == "hibernate" else "was stopped"
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.SLEEP,
        to=Audience(workspace=data["workspace"]),
        project=data.get("project"),
        title=f"{name} {done}: nobody used it",
        text=f"It was idle for {text_of(data['idle_duration'])}.",
        command=command_of("prism", "why", name),
    )


def _asked(event: RecordedEvent) -> Draft | None:
    data, name = event.data, text_of(event.subject)
    if event.actor != SYSTEM_ACTOR or data["verb"] not in {"hibernate", "stop"}:
        return None
    done = "is hibernated" if data["verb"] == "hibernate" else "is stopped"
    reason = text_of(data.get("reason"), MAX_TEXT)
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.SLEEP,
        to=Audience(workspace=data["workspace"]),
        project=data.get("project"),
        title=f"{name} {done} by Prism",
        text=f"{reason[:1].upper()}{reason[1:]}." if reason else "",
        command=command_of("prism", "workspace", "show", name),
    )


def at_end_text(at_end: str, to: str | None, whose: str) -> str:
    """What happens to workspaces at the end of a membership, as a sentence."""
    if at_end == "hand_over":
        return f"{text_of(to)} gets {whose} workspaces there."
    then = "stay as they are" if at_end == "keep" else "stop; nothing is deleted"
    return f"{whose[:1].upper()}{whose[1:]} workspaces there {then}."


def _left(event: RecordedEvent) -> Draft:
    data, name = event.data, text_of(event.subject)
    if until := data.get("until"):
        return Draft(
            key=f"event:{event.id}",
            kind=NoticeKind.MEMBERSHIP,
            to=Audience(person=data["email"]),
            title=f"Your membership of {name} has ended",
            text=f"It was until {_minute(until)} UTC. "
            + at_end_text(data["at_end"], data["to"], "your"),
        )
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.MEMBERSHIP,
        to=Audience(person=event.data["email"]),
        title=f"You are no member of {name} any more",
        text=f"{text_of(event.actor)} removed you.",
    )


def ended_for_owners(event: RecordedEvent) -> Draft | None:
    """What the owners of a project are told when memberships end: one notice for a time."""
    until = event.data.get("until")
    if event.event != "member_left" or not until:
        return None
    name, project = text_of(event.subject), event.data["project"]
    return Draft(
        key=f"members_ended:{project}:{_minute(until)}",
        kind=NoticeKind.MEMBERSHIP,
        to=Audience(owners_of=project),
        project=project,
        title=f"Memberships of {name} have ended: they were until {_minute(until)} UTC",
        text="With the workspaces was done what had been decided for each person.",
        command="prism audit --event member_left",
    )


def _minute(at: str) -> str:
    """The time in an event, to the minute."""
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}"


def _end_changed(event: RecordedEvent) -> Draft:
    data, name = event.data, text_of(event.subject)
    until = data.get("until")
    title = f"ends at {_minute(until)} UTC" if until else "has no end any more"
    then = at_end_text(data["at_end"], data["to"], "your") if until else ""
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.MEMBERSHIP,
        to=Audience(person=data["email"]),
        project=data["project"],
        title=f"Your membership of {name} {title}",
        text=f"{text_of(event.actor)} decided that. {then}".strip(),
        command=command_of("prism", "member", "list", name),
    )


def _role_changed(event: RecordedEvent) -> Draft:
    data, name = event.data, text_of(event.subject)
    if data["role"] == data["previous_role"]:
        return _end_changed(event)
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.MEMBERSHIP,
        to=Audience(person=data["email"]),
        project=data["project"],
        title=f"Your role in {name} is {data['role']} now",
        text=f"It was {data['previous_role']}; {text_of(event.actor)} changed it.",
        command=command_of("prism", "member", "list", name),
    )


def _overcommitted(event: RecordedEvent) -> Draft:
    data, name = event.data, text_of(event.subject)
    project = data.get("project")
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.BUDGET,
        to=Audience(owners_of=project),
        project=project,
        title=f"{text_of(data['resource'])} has grown beyond what {name} can pay for",
        command="prism volume list",
    )


def _copy_failed(event: RecordedEvent) -> Draft | None:
    failure = event.data.get("failure") or event.data.get("problem")
    if not failure:
        return None
    words = failure["message"] if isinstance(failure, Mapping) else failure
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.FAILURE,
        to=Audience(),
        title=f"A copy of snapshot {text_of(event.subject)} failed",
        text=text_of(words, MAX_TEXT),
        command="prism snapshot copies",
    )


def _shared(event: RecordedEvent) -> Draft | None:
    data, name = event.data, text_of(event.subject)
    if data["audience"] != "person" or not data["guest"]:
        return None  # it is in the list of shares of everybody whom it is for
    shared = text_of(data["app"]) if data["app"] else "the terminal"
    is_new = event.event == "share_created"
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.SHARE,
        to=Audience(person=data["guest"]),
        title=f"{text_of(event.actor)} shares {shared} of {name} with you"
        if is_new
        else f"{shared[:1].upper()}{shared[1:]} of {name} is not shared with you any more",
        command="prism shares" if is_new else "",
    )


def _opened(event: RecordedEvent) -> Draft:
    data, name = event.data, text_of(event.subject)
    return Draft(
        key=f"opened:{data['share']}:{event.actor.lower()}",
        kind=NoticeKind.SHARE,
        to=Audience(workspace=data["workspace"]),
        project=data.get("project"),
        title=f"{text_of(event.actor)} has opened what you share of {name}",
        command="prism shares",
    )


def _requested(event: RecordedEvent) -> Draft:
    data, project = event.data, event.data.get("project")
    of_operator = data["decider"] == "operator"
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.REQUEST,
        to=Audience() if of_operator else Audience(owners_of=project),
        project=project,
        title=f"{text_of(data['user'])} requests {text_of(event.subject)}",
        command=command_of("prism", "request", "grant", data["request"]),
    )


def _answered(event: RecordedEvent) -> Draft:
    data = event.data
    done = "granted" if event.event == "more_granted" else "refused"
    return Draft(
        key=f"event:{event.id}",
        kind=NoticeKind.REQUEST,
        to=Audience(person=data["user"]),
        project=data.get("project"),
        title=f"{text_of(event.actor)} {done} your request: {text_of(event.subject)}",
        command="prism request list",
    )


EVENT_RULES: Mapping[str, Callable[[RecordedEvent], Draft | None]] = {
    "instance_state_changed": _state_changed,
    "instance_failure": _failed,
    "instance_rolled_back": _failed,
    "instance_asked": _asked,
    "hibernation_triggered": _idle,
    "snapshot_state_changed": _snapshot_failed,
    "snapshot_copy_state_changed": _copy_failed,
    "budget_overcommitted": _overcommitted,
    "member_left": _left,
    "share_created": _shared,
    "share_ended": _shared,
    "share_opened": _opened,
    "more_requested": _requested,
    "more_granted": _answered,
    "more_refused": _answered,
    "member_changed": _role_changed,
}
"""Which events people are told, by the event's name; a further one needs a line here."""


def draft_of(event: RecordedEvent) -> Draft | None:
    """What an event tells somebody; None if nothing."""
    rule = EVENT_RULES.get(event.event)
    return None if rule is None else rule(event)


def expired(event: RecordedEvent, expires_at: datetime | None, verb: str) -> Draft | None:
    """What is told if a workspace went down by itself because it had expired."""
    data, name = event.data, text_of(event.subject)
    if event.event != "instance_state_changed" or data.get("state") not in DOWN_WORDS:
        return None
    is_asked = verb in {"stop", "hibernate", "terminate"}
    if is_asked or expires_at is None or event.at < expires_at:
        return None
    return Draft(
        key=f"expired:{data['workspace']}:{expires_at:%Y-%m-%dT%H:%M}",
        kind=NoticeKind.SLEEP,
        to=Audience(workspace=data["workspace"]),
        project=data.get("project"),
        title=f"{name} {DOWN_WORDS[data['state']]}: its time was over",
        text=f"It expired at {expires_at:%Y-%m-%d %H:%M} UTC. Its files are kept.",
        command=command_of("prism", "workspace", "start", name),
    )


# ----------------------------------------------------------- from what is seen


def is_expiry_told(launched_at: datetime, expires_at: datetime, hours: int, now: datetime) -> bool:
    """Whether it is late enough to tell of an expiry: in the second half of a short life."""
    return expires_at - now <= min(timedelta(hours=hours), (expires_at - launched_at) / 2)


def expires_soon(
    id: str, name: str, project: str | None, expires_at: datetime, now: datetime
) -> Draft:
    """What is told before a workspace expires."""
    hours = max(1, round((expires_at - now).total_seconds() / 3600))
    return Draft(
        key=f"expiry:{id}:{expires_at:%Y-%m-%dT%H:%M}",
        kind=NoticeKind.EXPIRY,
        to=Audience(workspace=id),
        project=project,
        title=f"{text_of(name)} expires in {hours} h",
        text=f"At {expires_at:%Y-%m-%d %H:%M} UTC it is put to sleep. Its files are kept.",
        command=command_of("prism", "workspace", "extend", name, "24h"),
    )


def days_told(until: datetime, now: datetime) -> int | None:
    """How many days before the end of a membership is told now; None if it is too early."""
    return min((days for days in END_DAYS if until - now <= timedelta(days=days)), default=None)


def own_end_soon(ending: EndingMember, days: int, now: datetime) -> Draft:
    """What a person is told before their membership ends."""
    name, then = text_of(ending.project_name), at_end_text(ending.at_end, ending.to, "your")
    return Draft(
        key=f"member_end:{ending.project}:{ending.until:%Y-%m-%dT%H:%M}:{days}",
        kind=NoticeKind.MEMBERSHIP,
        to=Audience(person=ending.email),
        project=ending.project,
        title=f"Your membership of {name} ends {_in_days(ending.until, now)}",
        text=f"At {ending.until:%Y-%m-%d %H:%M} UTC. {then}"
        " Take along what you need before, or ask an owner for more time.",
        command=command_of("prism", "list", "--project", name),
    )


def ends_soon(group: Sequence[EndingMember], days: int, now: datetime) -> Draft:
    """What owners are told before memberships of their project end at the same time."""
    first, people = group[0], [text_of(each.email) for each in group]
    more = f" and {len(people) - MAX_NAMED} more" if len(people) > MAX_NAMED else ""
    name, is_one = text_of(first.project_name), len(group) == 1
    end = "ends" if is_one else "end"
    whose = f"{people[0]}'s" if is_one else "their"
    later = first.until + timedelta(days=30)
    return Draft(
        key=f"members_end:{first.project}:{first.until:%Y-%m-%dT%H:%M}:{days}",
        kind=NoticeKind.MEMBERSHIP,
        to=Audience(owners_of=first.project),
        project=first.project,
        title=f"{len(group)} {'membership' if is_one else 'memberships'} of {name} {end} "
        f"{_in_days(first.until, now)}",
        text=f"At {first.until:%Y-%m-%d %H:%M} UTC: {', '.join(people[:MAX_NAMED])}{more}. "
        + (
            at_end_text(first.at_end, first.to, whose)
            if is_one
            else "`prism member list` shows what happens then to whose workspaces."
        ),
        command=command_of("prism", "member", "until", name, first.email, f"{later:%Y-%m-%d}"),
    )


def _in_days(until: datetime, now: datetime) -> str:
    days = max(1, round((until - now) / timedelta(days=1)))
    return "in 1 day" if days == 1 else f"in {days} days"


def reached(spent: int, amount: int, thresholds: Iterable[int]) -> int | None:
    """The highest of these percents that is spent; None if nothing is."""
    if spent <= 0:
        return None
    return max((part for part in thresholds if spent * 100 >= amount * part), default=None)


def thresholds_of(preferences: Preferences) -> set[int]:
    """Everybody's thresholds, and those that a person has added."""
    return {*PERCENTS, *preferences.thresholds}


def channels_of(preferences: Preferences, kind: NoticeKind) -> Channels:
    """By what a person gets a kind of notice."""
    return preferences.kinds.get(kind, NOTICE_KINDS[kind].usual)


def mail_address(person: str) -> str | None:
    """The mail address of a person, who is known by it; None if the name is none."""
    return person if MAIL_ADDRESS.fullmatch(person) else None


# ------------------------------------------------------------------- when sent


def digest_at(queued: Collection[datetime], sent_at: datetime | None) -> datetime:
    """When one mail with all of these notices is sent.

    After some quiet minutes, but not much later than the first notice, nor soon after the mail
    before: so a burst is one mail, and a steady flow is a mail every ten minutes.
    """
    at = min(max(queued) + QUIET_BEFORE_MAIL, min(queued) + MAX_COLLECTING)
    return at if sent_at is None else max(at, sent_at + BETWEEN_MAILS)


def retry_in(failures: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    return timedelta(seconds=RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])


def is_given_up(failing_since: datetime, now: datetime) -> bool:
    """Whether a webhook has failed for so long that it is paused."""
    return now - failing_since >= GIVEN_UP_AFTER


# ------------------------------------------------------------------- the week


class WeekLine(Struct, frozen=True):
    """What one workspace did in a week; seconds, and micro-dollars (null if not known)."""

    name: str
    ran: int
    slept: int
    paid: int | None
    saved: int | None


def week_of(at: datetime) -> str:
    """The calendar week of a time in UTC, as 2026-W01."""
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02}"


def weekly(person: str, week: str, lines: Sequence[WeekLine]) -> Draft:
    """A page with what a person's workspaces did in a week."""
    ran, slept = sum(line.ran for line in lines), sum(line.slept for line in lines)
    paid, saved = _sum([line.paid for line in lines]), _sum([line.saved for line in lines])
    rows = [_week_row(line) for line in sorted(lines, key=lambda line: -line.ran)[:20]]
    more = [f"and {len(lines) - 20} more"] if len(lines) > 20 else []
    return Draft(
        key=f"weekly:{week}",
        kind=NoticeKind.WEEKLY,
        to=Audience(person=person),
        title=f"Week {week}: ran {_hours(ran)}, slept {_hours(slept)}, "
        f"computing {paid}, saved {saved}",
        text="\n".join([*rows, *more]),
        command="prism cost history",
    )


def _week_row(line: WeekLine) -> str:
    paid, saved = _sum([line.paid]), _sum([line.saved])
    return (
        f"{text_of(line.name)}: ran {_hours(line.ran)}, slept {_hours(line.slept)}, "
        f"computing {paid}, saved {saved}"
    )


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:.1f} h"


def _sum(amounts: Sequence[int | None]) -> str:
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return "unknown"
    return f"${sum(known) / 1e6:,.2f}"


def row_of(draft: Draft) -> dict[str, Any]:
    """The fields of a notice that a draft has."""
    return {
        "key": draft.key,
        "kind": draft.kind,
        "project": draft.project,
        "title": text_of(draft.title),
        "text": draft.text[: 4 * MAX_TEXT],
        "command": text_of(draft.command),
    }
