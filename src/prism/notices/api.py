"""Notices and webhooks over HTTP."""

import json
from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from prism.kit.routes import Routes
from prism.notices.model import (
    CreatedWebhook,
    NewWebhook,
    NoticeList,
    NoticeSettings,
    NoticeShown,
    ReadAnswer,
    ReadRequest,
    RemovedWebhook,
    SettingsChange,
    WebhookList,
    WebhookShown,
)
from prism.notices.service import NoticeService

Notices = NamedDependency[NoticeService]
Id = FromPath[str]
Unread = Annotated[bool, QueryParameter(description="only those that you have not read")]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="how many at most")]
WEBHOOKS_PATH = "/api/v1/webhooks"
router = Routes("/api/v1", tags=["notices"])


@router.get("/notices", sync_to_thread=True)
def list_notices(notices: Notices, *, unread: Unread = False, limit: Limit = 100) -> NoticeList:
    """Your notices, the newest first."""
    return notices.every(unread=unread, limit=limit)


@router.post("/notices/read", status_code=200, sync_to_thread=True)
def read_notices(data: JSONBody[ReadRequest], notices: Notices) -> ReadAnswer:
    """Mark notices as read; without ids, all."""
    return notices.mark_read(data.ids)


@router.get("/notices/settings", sync_to_thread=True)
def notice_settings(notices: Notices) -> NoticeSettings:
    """What you get notices about, and how."""
    return notices.settings()


@router.put("/notices/settings", sync_to_thread=True)
def change_notice_settings(data: JSONBody[SettingsChange], notices: Notices) -> NoticeSettings:
    """Change what you get notices about, and how."""
    return notices.change(data)


@router.post("/notices/test", sync_to_thread=True)
def send_test_notice(notices: Notices) -> NoticeShown:
    """Send you a notice by mail and to your webhooks."""
    return notices.test()


@router.get("/webhooks", sync_to_thread=True)
def list_webhooks(notices: Notices) -> WebhookList:
    """Your webhooks, without their secrets; for the operator, everybody's."""
    return notices.webhooks()


@router.post("/webhooks", sync_to_thread=True)
def add_webhook(data: JSONBody[NewWebhook], notices: Notices) -> CreatedWebhook:
    """Add a webhook; its secret is shown once."""
    return notices.add_webhook(data)


@router.delete("/webhooks/{id:str}", status_code=200, sync_to_thread=True)
def remove_webhook(id: Id, notices: Notices) -> RemovedWebhook:
    """Remove a webhook; what waits for it is not sent."""
    return RemovedWebhook(f"The webhook at {notices.remove_webhook(id)} was removed")


@router.post("/webhooks/{id:str}/test", status_code=200, sync_to_thread=True)
def test_webhook(id: Id, notices: Notices) -> WebhookShown:
    """Send a test to a webhook; one that was paused gets what waits for it."""
    return notices.test_webhook(id)


def without_secret(body: bytes) -> bytes:
    """The answer without its secret, to store for a repeated request."""
    return json.dumps({**json.loads(body), "secret": None}).encode()
