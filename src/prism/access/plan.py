"""The permission matrix, and decisions from it: pure functions."""

import shlex
from collections.abc import Mapping

from prism.access.model import AccessVerb, Caller, Role, RouteRule, Scope, Subject, current

# The lowest role in the project that allows a verb; None if no role is needed.
MATRIX: Mapping[AccessVerb, Role | None] = {
    AccessVerb.ANY: None,
    AccessVerb.LOOK: None,
    AccessVerb.USE: None,
    AccessVerb.READ: Role.VIEWER,
    AccessVerb.LAUNCH: Role.MEMBER,
    AccessVerb.MANAGE_OWN: Role.MEMBER,
    AccessVerb.MANAGE: Role.ADMIN,
    AccessVerb.STORE: Role.ADMIN,
    AccessVerb.INVITE: Role.ADMIN,
    AccessVerb.BUDGET: Role.OWNER,
    AccessVerb.MEMBERS: Role.OWNER,
    AccessVerb.DELETE: Role.OWNER,
    AccessVerb.FOUND: None,
}  # other verbs are for the operator only

# The narrowest scope of a token that allows a verb.
SCOPES: Mapping[AccessVerb, Scope] = {
    AccessVerb.ANY: Scope.METRICS,
    AccessVerb.WATCH: Scope.METRICS,
    AccessVerb.LOOK: Scope.READ,
    AccessVerb.READ: Scope.READ,
    AccessVerb.USE: Scope.OPERATE,
    AccessVerb.LAUNCH: Scope.OPERATE,
    AccessVerb.MANAGE_OWN: Scope.OPERATE,
    AccessVerb.MANAGE: Scope.OPERATE,
    AccessVerb.STORE: Scope.OPERATE,
}  # other verbs need `admin`


def request_hint(*words: object, subject: str | None = None) -> str:
    """How the caller requests more, for the end of a hint; empty for who gives it.

    `subject` is whose limit it is: a person requests more of nobody else's.
    """
    caller = current()
    if not caller.team or caller.operator:
        return ""
    if subject is not None and subject.lower() not in {caller.name.lower(), caller.token}:
        return ""
    return f", or request more: `{shlex.join(['prism', 'request', *map(str, words)])}`"


def allows(role: Role | None, verb: AccessVerb) -> bool:
    """Whether a role allows a verb; None is a person outside the project."""
    if verb not in MATRIX:
        return False
    least = MATRIX[verb]
    return least is None or (role is not None and role.rank >= least.rank)


def scope_allows(scope: Scope, verb: AccessVerb) -> bool:
    """Whether a token with that scope allows a verb."""
    return scope.rank >= SCOPES.get(verb, Scope.ADMIN).rank


def may(caller: Caller, rule: RouteRule, subject: Subject) -> bool:
    """Whether the caller may use a route on this object."""
    if rule.verb is AccessVerb.ANY:
        return True
    if not caller.known:
        return False
    role = caller.roles.get(subject.project) if subject.project is not None else None
    if owns(caller, subject) and rule.own is not None and scope_allows(caller.scope, rule.own):
        free = caller.operator or subject.project is None or subject.personal
        if free or allows(role, rule.own):
            return True
    if not scope_allows(caller.scope, rule.verb):
        return False
    if (
        caller.token_project is not None
        and rule.verb in {AccessVerb.USE, AccessVerb.FOUND}
        and not rule.narrow
    ):
        return False  # personal objects are in no project, so not in the token's
    # The operator has made the tokens for the metrics.
    is_watcher = rule.verb is AccessVerb.WATCH and caller.scope is Scope.METRICS
    return caller.operator or is_watcher or allows(role, rule.verb)


def owns(caller: Caller, subject: Subject) -> bool:
    """Whether the caller owns the object, and the token is not limited to another project."""
    if not token_covers(caller, subject.project):
        return False
    return subject.owner is not None and subject.owner.lower() == caller.name.lower()


def token_covers(caller: Caller, project: str | None) -> bool:
    """Whether the caller's token is valid for this project."""
    return caller.token_project is None or caller.token_project == project


def sees(caller: Caller, subject: Subject) -> bool:
    """Whether the caller may know that the object exists."""
    if caller.operator:
        return True
    if (subject.project is None or subject.personal) and owns(caller, subject):
        return True
    if subject.project is None:
        return False
    return allows(caller.roles.get(subject.project), AccessVerb.READ)


def visible(project: str | None, owner: str | None) -> bool:
    """Whether the caller of this request may know that the object exists."""
    return sees(current(), Subject(project, owner))


def may_give(caller: Caller, project: str, role: Role) -> bool:
    """Whether the caller may give others this role: nobody gives more rights than they have."""
    own = caller.roles.get(project)
    return caller.operator or (own is not None and own.rank >= role.rank)
