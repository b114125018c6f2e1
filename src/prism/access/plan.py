"""The permission matrix, and what follows from it: pure functions."""

from collections.abc import Mapping

from prism.access.model import AccessVerb, Caller, Role, RouteRule, Scope, Subject, current

# The least role in the project that allows a verb; None where it takes none.
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
}  # what is not here is for the operator alone

# The least scope of a token that lends a verb.
SCOPES: Mapping[AccessVerb, Scope] = {
    AccessVerb.ANY: Scope.READ,
    AccessVerb.LOOK: Scope.READ,
    AccessVerb.READ: Scope.READ,
    AccessVerb.USE: Scope.OPERATE,
    AccessVerb.LAUNCH: Scope.OPERATE,
    AccessVerb.MANAGE_OWN: Scope.OPERATE,
    AccessVerb.MANAGE: Scope.OPERATE,
    AccessVerb.STORE: Scope.OPERATE,
}  # what is not here takes `admin`


def allows(role: Role | None, verb: AccessVerb) -> bool:
    """One cell of the matrix; no role is somebody outside the project."""
    if verb not in MATRIX:
        return False
    least = MATRIX[verb]
    return least is None or (role is not None and role.rank >= least.rank)


def lends(scope: Scope, verb: AccessVerb) -> bool:
    """Whether a token of that scope may be used for it at all."""
    return scope.rank >= SCOPES.get(verb, Scope.ADMIN).rank


def may(caller: Caller, rule: RouteRule, subject: Subject) -> bool:
    """Whether somebody may do to this what a route does."""
    if rule.verb is AccessVerb.ANY:
        return True
    if not caller.known:
        return False
    role = caller.roles.get(subject.project) if subject.project is not None else None
    if owns(caller, subject) and rule.own is not None and lends(caller.scope, rule.own):
        free = caller.operator or subject.project is None or subject.personal
        if free or allows(role, rule.own):
            return True
    if not lends(caller.scope, rule.verb):
        return False
    if (
        caller.only is not None
        and rule.verb in {AccessVerb.USE, AccessVerb.FOUND}
        and not rule.narrow
    ):
        return False  # a person's own matters are in no project, so not in that one
    return caller.operator or allows(role, rule.verb)


def owns(caller: Caller, subject: Subject) -> bool:
    """Whether it is theirs, and the token is not for another project than it is in."""
    if not opens(caller, subject.project):
        return False
    return subject.owner is not None and subject.owner.lower() == caller.name.lower()


def opens(caller: Caller, project: str | None) -> bool:
    """Whether a token is for this project too, or for all that somebody has."""
    return caller.only is None or caller.only == project


def sees(caller: Caller, subject: Subject) -> bool:
    """Whether it exists at all, for somebody: what they may not see is not there."""
    if caller.operator:
        return True
    if (subject.project is None or subject.personal) and owns(caller, subject):
        return True
    if subject.project is None:
        return False
    return allows(caller.roles.get(subject.project), AccessVerb.READ)


def visible(project: str | None, owner: str | None) -> bool:
    """Whether it exists for whoever asks now."""
    return sees(current(), Subject(project, owner))


def may_give(caller: Caller, project: str, role: Role) -> bool:
    """Whether somebody may make others `role` there: nobody gives more than they have."""
    own = caller.roles.get(project)
    return caller.operator or (own is not None and own.rank >= role.rank)


def table() -> str:
    """The matrix, as the docs print it."""
    heads = ("", *Role, "operator")
    lines = [heads, tuple("---" for _ in heads)]
    for verb in AccessVerb:
        cells = ("✓" if allows(role, verb) else "" for role in Role)
        lines.append((f"{verb}", *cells, "✓"))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
