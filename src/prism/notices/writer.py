"""Writes notices, in the transaction of whoever found out that something happened.

A notice is one row for each person, which the person and the key of what happened make unique. So
whoever tells the same again, after a kill or beside another daemon, changes nothing. What is to be
sent by mail and webhooks is written in the same transaction.
"""

import itertools
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from prism.access.model import Role
from prism.kit.clock import Clock, whole
from prism.kit.db import Tx
from prism.notices import store
from prism.notices.events import NoticesChanged
from prism.notices.model import MAIL, Notice, Preferences
from prism.notices.plan import (
    MAX_BY_ONE,
    QUIET_BEFORE_MAIL,
    SYSTEM_ACTOR,
    Audience,
    Draft,
    channels_of,
    mail_address,
    more_by_one,
    row_of,
)
from prism.projects import store as projects
from prism.storage import store as storage
from prism.storage.model import Snapshot
from prism.workspaces import store as workspaces

NOTICE_NUMBERS = itertools.count()


def notice_id(at: datetime) -> str:
    """A new id; those of one daemon sort in the order in which they were made."""
    number = next(NOTICE_NUMBERS) % 0x10000
    return f"ntc_{int(at.timestamp() * 1000):011x}{number:04x}{secrets.token_hex(4)}"


class NoticeWriter:
    """Writes notices; `mails` says whether there is a mail server.

    A daemon of one person tells everything to that person, the `operator`.
    """

    def __init__(self, clock: Clock, operator: str, *, team: bool, mails: bool) -> None:
        self._clock, self._operator = clock, operator.lower()
        self.team, self._mails = team, mails

    def tell(self, tx: Tx, drafts: Iterable[Draft], actor: str = SYSTEM_ACTOR) -> int:
        """Write notices for everybody whom these are for, but who did it; how many were new."""
        notified: list[str] = []
        for draft in drafts:
            for person in self.people(tx.sql, draft.to):
                if person != actor.lower() and self._tell_of(tx, draft, person, actor.lower()):
                    notified.append(person)
        for person in dict.fromkeys(notified):
            tx.happened(NoticesChanged(actor=SYSTEM_ACTOR, subject=person, user=person))
        return len(notified)

    def _tell_of(self, tx: Tx, draft: Draft, person: str, actor: str) -> bool:
        """Tell what another person has done; of many such notices, one counts the last ones."""
        if actor == SYSTEM_ACTOR:
            return self.tell_person(tx, draft, person)
        if store.is_known(tx.sql, person, draft.key):
            return False
        now = self._clock.now()
        day, midnight = f"{now:%Y-%m-%d}", whole(now).replace(hour=0, minute=0, second=0)
        count = store.count_act(tx, person, actor, draft.kind, day)
        if count <= MAX_BY_ONE:
            return self.tell_person(tx, draft, person)
        more = more_by_one(draft, actor, day, count)
        if not self.tell_person(tx, more, person, queued_at=midnight + timedelta(days=1)):
            store.change_title(tx, person, more.key, more.title)
        return True

    def tell_person(
        self, tx: Tx, draft: Draft, person: str, *, queued_at: datetime | None = None
    ) -> bool:
        """Write a notice for one person, and queue it; False if it is known.

        One that still changes is sent at `queued_at`: what is sent must not change.
        """
        now = self._clock.now()
        row = row_of(draft)
        notice = Notice(id=notice_id(now), person=person, at=whole(now), **row)
        if not store.add(tx, notice):
            return False
        start, at = queued_at or now, {"queued_at": queued_at}
        channels = channels_of(self._preferences(tx.sql, person), notice.kind)
        if channels.mail and self._mails and mail_address(person) is not None:
            mails = store.mail_queue(person)
            store.enqueue(tx, notice, mails, MAIL, start + QUIET_BEFORE_MAIL, **at)
        if channels.webhook:
            for webhook in store.webhooks_of(tx.sql, person):
                store.enqueue(tx, notice, webhook.id, "webhook", start, **at)
        return True

    def people(self, sql: Connection, to: Audience) -> list[str]:
        """The people whom a notice is for."""
        if not self.team:
            return [self._operator]
        return sorted({person.lower() for person in self._people(sql, to)})

    def owners(self, sql: Connection, project: str | None) -> list[str]:
        """The owners of a project; without a project, the operator."""
        return self.people(sql, Audience(owners_of=project))

    def belongs(self, sql: Connection, person: str, project: str | None) -> bool:
        """Whether a person may still know of what they own in a project, which outlasts them."""
        if not self.team or project is None or person.lower() == self._operator:
            return True
        return project in projects.roles_of(sql, person, self._clock.now()).roles

    def _people(self, sql: Connection, to: Audience) -> list[str]:
        if to.person is not None:
            return [to.person]
        if to.workspace is not None:
            row = next(iter(workspaces.by_ids(sql, [to.workspace])), None)
            return [row.owner] if row and self.belongs(sql, row.owner, row.project) else []
        if to.snapshot is not None:
            copy = next(iter(storage.by_ids(sql, Snapshot, [to.snapshot])), None)
            return [copy.owner] if copy and self.belongs(sql, copy.owner, copy.project) else []
        if to.owners_of is not None:
            members = projects.members_of(sql, to.owners_of)
            return [member.email for member in members if member.role is Role.OWNER]
        return [self._operator]

    def _preferences(self, sql: Connection, person: str) -> Preferences:
        return store.preferences_of(sql, person)
