"""Notices, who gets them and how, and the requests and answers about them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from prism.errors import Conflict, Denied, NotFound

PERCENTS = (50, 80, 95)  # of a limit or a budget
EXPIRY_HOURS = 24  # before a workspace expires
MAX_WEBHOOKS = 5  # of a person
MAIL = "mail"
"""The channel of mail; that of a webhook is its id."""

Percent = Annotated[int, Meta(ge=1, le=100, description="percent of a limit or a budget")]
Hours = Annotated[int, Meta(ge=1, le=168, description="hours before a workspace expires")]
Url = Annotated[str, Meta(min_length=1, max_length=2000, description="an address with HTTPS")]
Id = Annotated[str, Meta(min_length=1, max_length=100)]


class WebhookNotFound(NotFound, code="WEBHOOK_NOT_FOUND"):
    """There is no webhook with that id."""


class WebhooksNotAllowed(Denied, code="WEBHOOKS_NOT_ALLOWED"):
    """The operator does not let you add webhooks."""


class TooManyWebhooks(Conflict, code="TOO_MANY_WEBHOOKS"):
    """You have as many webhooks as a person may have."""


class NoticeKind(StrEnum):
    """What a notice is about; `NOTICE_KINDS` in `plan.py` says the rest about each kind."""

    EXPIRY = "expiry"
    SLEEP = "sleep"
    LIMIT = "limit"
    BUDGET = "budget"
    RUNS_OUT = "runs_out"
    FAILURE = "failure"
    SHARE = "share"
    MEMBERSHIP = "membership"
    REQUEST = "request"
    WEEKLY = "weekly"
    TEST = "test"


class Notice(Struct, frozen=True, kw_only=True):
    """Something that one person should know.

    `key` says what happened: a person gets one notice for each. `command` helps.
    """

    id: str
    key: str
    person: str
    kind: NoticeKind
    project: str | None = None
    title: str
    text: str = ""
    command: str = ""
    at: datetime
    read_at: datetime | None = None


class EndingMember(Struct, frozen=True, kw_only=True):
    """A member whose membership ends soon; `at_end` and `to` are as in `projects.Member`."""

    project: str
    project_name: str
    email: str
    until: datetime
    at_end: str
    to: str | None


class Channels(Struct, frozen=True, forbid_unknown_fields=True):
    """By what a kind of notice is sent; in the web GUI all are shown."""

    mail: bool = True
    webhook: bool = True


class Preferences(Struct, frozen=True, kw_only=True):
    """What a person has chosen; a kind that is missing has its usual channels."""

    kinds: Mapping[str, Channels] = {}
    thresholds: tuple[int, ...] = ()
    expiry_hours: int = EXPIRY_HOURS


class Delivery(Struct, frozen=True, kw_only=True):
    """A notice that is to be sent by a channel.

    A notice with a `digest` is in that mail, which is not changed any more. One that can never be
    delivered has a `problem`, and counts as done.
    """

    notice: str
    queue: str
    queued_at: datetime
    digest: str | None = None
    done_at: datetime | None = None
    problem: str | None = None


class Queue(Struct, frozen=True, kw_only=True):
    """What waits for one person's mail, or for one webhook.

    `digest` is the mail that is being sent. `failures` counts attempts since the last success,
    `failing_since` is the time of the first of them.
    """

    id: str
    person: str
    channel: str
    digest: str | None = None
    digest_at: datetime | None = None
    sent_at: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    problem: str | None = None


class Webhook(Struct, frozen=True, kw_only=True):
    """An address that gets a person's notices; `secret` signs them.

    One that failed for days is paused: nothing is sent until a test succeeds. `parent` is the
    token or session with which it was made; null if it is older than that column.
    """

    id: str
    person: str
    url: str
    secret: str
    created_at: datetime
    paused_at: datetime | None = None
    parent: str | None = None


class NoticeShown(Struct, frozen=True, kw_only=True):
    """A notice in the API."""

    id: str
    kind: NoticeKind
    project: str | None
    title: str
    text: str
    command: str
    at: datetime
    read_at: datetime | None


class NoticeList(Struct, frozen=True):
    """Your notices, the newest first; `unread` counts all of them that you have not read."""

    notices: tuple[NoticeShown, ...]
    unread: int


class ReadRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request to mark notices as read; without ids, all."""

    ids: Annotated[tuple[Id, ...], Meta(max_length=1000)] | None = None


class ReadAnswer(Struct, frozen=True):
    """How many notices were marked as read."""

    read: int


class KindSetting(Struct, frozen=True, kw_only=True):
    """A kind of notice, and by what you get it."""

    kind: NoticeKind
    title: str
    mail: bool
    webhook: bool


class NoticeSettings(Struct, frozen=True, kw_only=True):
    """What you get notices about, and how.

    `mail_address` is null, and `no_mail` says why, if no mail can be sent to you. `mail_problem`
    is the last failure. `thresholds` are your own, beside those that everybody has.
    """

    kinds: tuple[KindSetting, ...]
    thresholds: tuple[int, ...]
    usual_thresholds: tuple[int, ...]
    expiry_hours: int
    mail_address: str | None
    no_mail: str | None
    mail_problem: str | None


class SettingsChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to change what you get notices about; what is not given stays as it is."""

    kinds: Mapping[NoticeKind, Channels] | UnsetType = UNSET
    thresholds: Annotated[tuple[Percent, ...], Meta(max_length=20)] | UnsetType = UNSET
    expiry_hours: Hours | UnsetType = UNSET


class NewWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    """A request for a webhook."""

    url: Url


class WebhookShown(Struct, frozen=True, kw_only=True):
    """A webhook in the API, without its secret; of the address only the host is shown."""

    id: str
    person: str
    host: str
    created_at: datetime
    paused_at: datetime | None
    waiting: int
    sent_at: datetime | None
    problem: str | None


class CreatedWebhook(WebhookShown, frozen=True, kw_only=True):
    """A new webhook with its secret, which is shown once; null in a repeated answer."""

    secret: str | None


class WebhookList(Struct, frozen=True):
    """Your webhooks; for the operator, everybody's."""

    webhooks: tuple[WebhookShown, ...]
    count: int


class RemovedWebhook(Struct, frozen=True):
    """The answer to a deletion."""

    message: str
