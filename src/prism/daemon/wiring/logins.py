"""Builds the ways in which people log in."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from functools import partial

from sqlalchemy import Connection

from prism.access import store as token_rows
from prism.access.model import Role
from prism.invitations import store as invitation_rows
from prism.invitations.model import InvitationStatus
from prism.invitations.plan import status_of
from prism.kit.clock import Clock
from prism.kit.db import Database
from prism.projects.members import MemberService
from prism.sessions import store as session_rows
from prism.sessions.accounts import AccountLogin, AccountSettings, service_problem
from prism.sessions.groups import GroupRoles, GroupRule
from prism.sessions.link_mail import LinkMails, LinkMailSettings
from prism.sessions.model import MAILED_LINK
from prism.sessions.oidc import OidcClient, OidcSettings, http_client
from prism.sessions.provider_file import ProviderEntry, read_providers
from prism.sessions.provider_login import ProviderLogin
from prism.sessions.service import SessionService
from prism.settings import Settings

log = logging.getLogger(__name__)
ACCOUNTS_ISSUER = "pam"  # in the table of the roles that groups gave


@dataclass(frozen=True, slots=True)
class LoginParts:
    """What logins are made of."""

    settings: Settings
    db: Database
    clock: Clock
    sessions: SessionService
    members: MemberService


def mails_links(settings: Settings) -> bool:
    """Whether links that log a person in are mailed."""
    is_wanted = settings.auth == "tokens" and settings.login_links == "mail"
    is_possible = bool(settings.public_url)
    return is_wanted and is_possible and not (settings.oidc_issuer or settings.oidc_file)


def open_invitation(clock: Clock, sql: Connection, id: str, *, mails_links: bool) -> bool:
    """Whether the links that were mailed with an invitation may be used."""
    if id == MAILED_LINK:
        return mails_links
    invitation = invitation_rows.find(sql, id)
    is_open = invitation and status_of(invitation, clock.now()) is InvitationStatus.PENDING
    return mails_links and bool(is_open)


def account_login(parts: LoginParts) -> AccountLogin | None:
    """Logins with accounts of this computer, if the operator wants them."""
    settings = parts.settings
    if not settings.pam:
        return None
    for trouble in account_troubles(settings):
        log.warning("%s", trouble)
    words = [entry.strip().split(":") for entry in settings.pam_groups.split(",")]
    rules = [
        GroupRule(group, project, Role(*role or [Role.MEMBER]))
        for group, *(project, *role) in (each for each in words if len(each) > 1)
    ]
    return AccountLogin(
        parts.db,
        parts.clock,
        parts.sessions,
        AccountSettings(
            service=settings.pam,
            domain=settings.account_domain,
            groups=frozenset(group for group, *rest in words if group and not rest),
        ),
        is_expected=partial(is_expected, parts),
        group_roles=GroupRoles(ACCOUNTS_ISSUER, rules, parts.members),
    )


def link_mails(parts: LoginParts, send: Callable[[EmailMessage], object]) -> LinkMails | None:
    """Mails links to people who ask for one, if the operator wants it."""
    settings = parts.settings
    if not mails_links(settings):
        return None

    def may_log_in(sql: Connection, user: str) -> bool:
        # What the operator may do is more than a mailbox should open.
        return user != settings.actor.lower() and is_expected(parts, sql, user)

    address = LinkMailSettings(sender=settings.sender, address=settings.public_url.rstrip("/"))
    return LinkMails(parts.db, parts.clock, address, send, may_log_in)


def account_troubles(settings: Settings) -> list[str]:
    """Why people cannot log in with accounts of this computer."""
    problem = settings.pam and service_problem(settings.pam, os.geteuid())
    return [problem] if problem else []


def provider_logins(parts: LoginParts) -> Mapping[str, ProviderLogin]:
    """Logins by identity providers, by name; the one of the settings has none."""
    entries = _provider_entries(parts.settings)
    return {name: _provider_login(parts, name, entries) for name in entries}


def _provider_entries(settings: Settings) -> Mapping[str, ProviderEntry]:
    entries = dict[str, ProviderEntry]()
    if settings.oidc_issuer:
        entries[""] = ProviderEntry(
            name="settings",
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            domains=tuple(settings.login_domains),
        )
    return entries | {entry.name: entry for entry in read_providers(settings.oidc_file)}


def _provider_login(
    parts: LoginParts, name: str, entries: Mapping[str, ProviderEntry]
) -> ProviderLogin:
    entry = entries[name]
    callback = f"{parts.settings.public_url.rstrip('/')}/auth/callback"
    client = OidcClient(
        OidcSettings(
            issuer=entry.issuer,
            client_id=entry.client_id,
            client_secret=entry.client_secret,
            domains=frozenset(domain.lower() for domain in entry.domains),
            redirect_uri=f"{callback}/{name}" if name else callback,
            name=name,
            scopes=entry.scopes,
            groups_claim=entry.groups_claim if entry.groups else None,
        ),
        parts.clock,
        http_client,
    )
    other_entries = [each for other, each in entries.items() if other != name]
    return ProviderLogin(
        parts.db,
        parts.clock,
        parts.sessions,
        client,
        is_expected=partial(is_expected, parts),
        comes_elsewhere=partial(_comes_elsewhere, parts, other_entries),
        group_roles=GroupRoles(entry.issuer, entry.groups, parts.members),
        label=entry.label,
    )


def _comes_elsewhere(
    parts: LoginParts, other_entries: list[ProviderEntry], sql: Connection, user: str
) -> bool:
    """Whether somebody comes in by another way than a provider not of the own domain.

    If there is one provider only, it is trusted with everybody.
    """
    domain = user.rpartition("@")[2]
    if parts.settings.pam and domain == parts.settings.account_domain:
        return True
    return bool(other_entries) and (
        user == parts.settings.actor.lower()
        or any(domain in map(str.lower, entry.domains) for entry in other_entries)
        or session_rows.has_any_identity(sql, user)
        or bool(session_rows.living(sql, user, parts.clock.now()))
        or bool(token_rows.every(sql, user))
    )


def is_expected(parts: LoginParts, sql: Connection, user: str) -> bool:
    """Whether somebody is the operator, a member of a project, or invited to one."""
    now = parts.clock.now()
    return (
        user == parts.settings.actor.lower()
        or bool(parts.members.roles_of(sql, user).roles)
        or any(
            status_of(invitation, now) is InvitationStatus.PENDING
            for invitation in invitation_rows.of_person(sql, user)
        )
    )
