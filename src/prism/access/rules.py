"""The rights that each route needs. A route that is missing here is for the operator only."""

import re
from collections.abc import Mapping

from prism.access.model import AccessVerb, RouteRule
from prism.lifecycle import VERBS

API = "/api/v1"
PARAMETER = re.compile(r"\{(\w+):\w+\}")
ANY, LOOK, USE, SERVE = (
    RouteRule(verb) for verb in (AccessVerb.ANY, AccessVerb.LOOK, AccessVerb.USE, AccessVerb.SERVE)
)
WATCH = RouteRule(AccessVerb.WATCH)
FOUND = RouteRule(AccessVerb.FOUND)
MINT, TOKENS = RouteRule(AccessVerb.FOUND, narrow=True), RouteRule(AccessVerb.USE, narrow=True)


def _workspace(verb: AccessVerb, where: str = "name", own: AccessVerb | None = None) -> RouteRule:
    return RouteRule(verb, "workspace", where, own)


def _project(verb: AccessVerb) -> RouteRule:
    return RouteRule(verb, "project", "project_id")


SEE = _workspace(AccessVerb.READ, own=AccessVerb.MANAGE_OWN)
HANDLE = _workspace(AccessVerb.MANAGE, own=AccessVerb.MANAGE_OWN)
MOVE = RouteRule(
    AccessVerb.MANAGE,
    "workspace",
    "name",
    also=RouteRule(AccessVerb.MANAGE, "project", "body.project"),
)
# A snapshot stays in its project if its workspace moves to another.
ROLL_BACK = RouteRule(
    AccessVerb.MANAGE,
    "workspace",
    "name",
    AccessVerb.MANAGE_OWN,
    also=RouteRule(AccessVerb.READ, "snapshot", "body.snapshot", AccessVerb.MANAGE_OWN),
)
ENTER = _workspace(AccessVerb.MANAGE, "instance", AccessVerb.MANAGE_OWN)
INVITATION = RouteRule(AccessVerb.INVITE, "invitation", "invitation_id")
SEEN_INVITATION = RouteRule(AccessVerb.INVITE, "invitation", "invitation_id", AccessVerb.LOOK)
ANSWER_INVITATION = RouteRule(AccessVerb.SERVE, "invitation", "invitation_id", AccessVerb.USE)
ANSWER_REQUEST = RouteRule(AccessVerb.MANAGE, "request", "request_id")
OWN_REQUEST = RouteRule(AccessVerb.SERVE, "request", "request_id", own=AccessVerb.USE)
VOLUME = RouteRule(AccessVerb.STORE, "volume")
ATTACH = RouteRule(
    AccessVerb.STORE,
    "volume",
    also=_workspace(AccessVerb.MANAGE, "body.instance", AccessVerb.MANAGE_OWN),
)
FROM_SNAPSHOT = RouteRule(AccessVerb.STORE, "snapshot", "body.from_snapshot", optional=True)
WITH_VOLUMES = RouteRule(AccessVerb.MANAGE_OWN, "volume", "body.volumes", also=FROM_SNAPSHOT)
LAUNCH = RouteRule(AccessVerb.LAUNCH, "project", "body.project", also=WITH_VOLUMES)
OF_WORKSPACE = RouteRule(
    AccessVerb.MANAGE, "workspace", "body.instance", own=AccessVerb.MANAGE_OWN, optional=True
)
COPY = RouteRule(AccessVerb.STORE, "volume", "body.volume", also=OF_WORKSPACE, optional=True)
SNAPSHOT = RouteRule(AccessVerb.STORE, "snapshot")
LEAVE = RouteRule(AccessVerb.MEMBERS, "project", "project_id", own=AccessVerb.USE, whose="email")
# The operator's limits count in all projects; an owner sets those in the own one.
LIMIT = RouteRule(AccessVerb.BUDGET, "project", "body.project", whole=AccessVerb.SERVE)
LIMITS = RouteRule(AccessVerb.BUDGET, "project", "query.project", whole=AccessVerb.SERVE)
COSTS = RouteRule(AccessVerb.READ, "project", "query.project", whole=AccessVerb.SERVE)

SHARE_OF_GUEST = "share_of_guest"  # the kind of a share for those whom it lets in
END_SHARE = RouteRule(AccessVerb.MANAGE, "share", "id", AccessVerb.MANAGE_OWN)
# Nobody's role is enough: without this share, the operator enters as herself, visibly.
GUEST = RouteRule(AccessVerb.SERVE, SHARE_OF_GUEST, "id", AccessVerb.USE)

# `{}` stands for the API's prefix. Lists marked LOOK show callers what they may see.
TABLE: Mapping[str, RouteRule] = {
    "GET /docs": ANY,
    "GET /docs/{path}": ANY,
    "GET /docs/openapi.json": ANY,
    "GET {}/openapi.json": ANY,
    # workspaces
    "GET {}/instances": LOOK,
    "POST {}/instances/launch": LAUNCH,
    "GET {}/instances/{name}": SEE,
    "PUT {}/instances/{name}": HANDLE,
    "GET {}/instances/{name}/hibernation-status": SEE,
    "GET {}/instances/{name}/events": SEE,
    **{f"POST {{}}/instances/{{name}}/{verb}": HANDLE for verb in VERBS},
    "POST {}/instances/{name}/extend": HANDLE,
    "POST {}/instances/{name}/resize": HANDLE,
    "POST {}/instances/{name}/move": MOVE,
    "POST {}/instances/{name}/rollback": ROLL_BACK,
    "GET {}/instances/{name}/connect": HANDLE,
    "GET {}/instances/{name}/ports": HANDLE,
    "GET {}/instances/{name}/stream": HANDLE,
    "WS {}/instances/{name}/stream": HANDLE,
    "GET {}/instances/{name}/files": HANDLE,
    "DELETE {}/instances/{name}/files": HANDLE,
    "POST {}/instances/{name}/files/folder": HANDLE,
    "POST {}/instances/{name}/files/rename": HANDLE,
    "GET {}/instances/{name}/files/content": HANDLE,
    "PUT {}/instances/{name}/files/content": HANDLE,
    "GET {}/logs": SERVE,
    "GET {}/logs/{instance}": ENTER,
    "GET {}/logs/{instance}/types": ENTER,
    "GET {}/idle/instances/{name}": SEE,
    "GET {}/idle/instances/{name}/activity": SEE,
    "POST {}/idle/instances/{name}/configure": HANDLE,
    "POST {}/idle/instances/{name}/keep-awake": HANDLE,
    "GET {}/instances/{name}/visits": HANDLE,
    # shares
    "GET {}/instances/{name}/shares": HANDLE,
    "POST {}/instances/{name}/shares": HANDLE,
    "GET {}/shares": USE,
    "DELETE {}/shares/{id}": END_SHARE,
    "GET {}/shares/{id}/open": GUEST,
    "POST {}/shares/{id}/wake": GUEST,
    "GET {}/shares/{id}/terminal": GUEST,
    "WS {}/shares/{id}/terminal": GUEST,
    # ways in
    "WS /ssh-proxy/{instance}": ENTER,
    "GET /ssh-proxy/{instance}": ENTER,
    **{
        f"{method} /{proxy}/{{instance}}{rest}": ENTER
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "WS")
        for proxy in ("web-proxy", "dcv-proxy")
        for rest in ("", "/{rest}")
    },
    "GET /aws-proxy/{service}": SERVE,
    # templates, profiles, idle profiles
    "GET {}/templates": LOOK,
    "GET {}/templates/validate": LOOK,
    "GET {}/templates/{name}/info": LOOK,
    "GET {}/templates/{name}/yaml": LOOK,
    "GET {}/profiles": LOOK,
    "GET {}/profiles/current": LOOK,
    "POST {}/profiles/switch": USE,
    "POST {}/profiles": SERVE,
    "PUT {}/profiles/{name}": SERVE,
    "DELETE {}/profiles/{name}": SERVE,
    "GET {}/idle/profiles": LOOK,
    "POST {}/idle/profiles": SERVE,
    "DELETE {}/idle/profiles/{name}": SERVE,
    "GET {}/idle/history": SERVE,
    # projects, members, money
    "GET {}/projects": LOOK,
    "POST {}/projects": FOUND,
    "GET {}/projects/{project_id}": _project(AccessVerb.READ),
    "PUT {}/projects/{project_id}": _project(AccessVerb.BUDGET),
    "DELETE {}/projects/{project_id}": _project(AccessVerb.DELETE),
    "GET {}/projects/{project_id}/members": _project(AccessVerb.READ),
    "POST {}/projects/{project_id}/members": _project(AccessVerb.MEMBERS),
    "GET {}/projects/{project_id}/members/{email}": _project(AccessVerb.READ),
    "PUT {}/projects/{project_id}/members/{email}": _project(AccessVerb.MEMBERS),
    "DELETE {}/projects/{project_id}/members/{email}": LEAVE,
    "GET {}/projects/{project_id}/budget": _project(AccessVerb.READ),
    "GET {}/projects/{project_id}/cost-analysis": _project(AccessVerb.READ),
    "GET {}/projects/{project_id}/forecast": _project(AccessVerb.READ),
    "GET {}/projects/{project_id}/report": _project(AccessVerb.READ),
    **dict.fromkeys(
        (
            "GET {}/budgets",
            "POST {}/budgets",
            "GET {}/budgets/{budget_id}",
            "PUT {}/budgets/{budget_id}",
            "DELETE {}/budgets/{budget_id}",
            "GET {}/budgets/{budget_id}/statement",
            "GET {}/budgets/{budget_id}/summary",
            "GET {}/budgets/{budget_id}/allocations",
            "POST {}/allocations",
            "PUT {}/allocations/{allocation_id}",
            "DELETE {}/allocations/{allocation_id}",
            "POST {}/reallocations",
            "GET {}/costs/current",
        ),
        SERVE,  # pools hold the money of several projects
    ),
    "GET {}/costs/history": COSTS,
    "GET {}/costs/export": COSTS,
    "GET {}/limits": LIMITS,
    "PUT {}/limits": LIMIT,
    "DELETE {}/limits/{id}": LIMITS,
    "GET {}/limits/mine": LOOK,
    # notices; what a webhook gets goes on after the token that added it
    "GET {}/notices": LOOK,
    "POST {}/notices/read": TOKENS,
    "GET {}/notices/settings": LOOK,
    "PUT {}/notices/settings": USE,
    "POST {}/notices/test": USE,
    "GET {}/webhooks": USE,
    "POST {}/webhooks": FOUND,
    "DELETE {}/webhooks/{id}": USE,
    "POST {}/webhooks/{id}/test": USE,
    # requests for more; the service knows who may answer which
    "GET {}/requests": LOOK,
    "POST {}/requests": USE,
    "POST {}/requests/{request_id}/grant": ANSWER_REQUEST,
    "POST {}/requests/{request_id}/refuse": ANSWER_REQUEST,
    "DELETE {}/requests/{request_id}": OWN_REQUEST,
    # invitations
    "POST {}/invitations/send": RouteRule(AccessVerb.INVITE, "project", "body.project_id"),
    "POST {}/invitations/bulk": RouteRule(AccessVerb.INVITE, "project", "body.project_id"),
    "GET {}/invitations/me": LOOK,
    "GET {}/invitations/project/{project_id}": _project(AccessVerb.INVITE),
    "GET {}/invitations/{invitation_id}": SEEN_INVITATION,
    "DELETE {}/invitations/{invitation_id}": INVITATION,
    "POST {}/invitations/{invitation_id}/resend": INVITATION,
    "POST {}/invitations/{invitation_id}/accept": ANSWER_INVITATION,
    "POST {}/invitations/{invitation_id}/decline": ANSWER_INVITATION,
    # storage
    "GET {}/storage/volumes": LOOK,
    "POST {}/storage/volumes/create": RouteRule(AccessVerb.STORE, "project", "body.project"),
    "GET {}/storage/volumes/{name}": RouteRule(AccessVerb.READ, "volume"),
    "DELETE {}/storage/volumes/{name}": VOLUME,
    "POST {}/storage/volumes/{name}/attach": ATTACH,
    "POST {}/storage/volumes/{name}/detach": VOLUME,
    "GET {}/snapshots": LOOK,
    "POST {}/snapshots": COPY,
    "GET {}/snapshots/{name}": RouteRule(AccessVerb.READ, "snapshot"),
    "DELETE {}/snapshots/{name}": SNAPSHOT,
    "POST {}/snapshots/{name}/restore": SNAPSHOT,
    "POST {}/snapshots/{name}/verify": SNAPSHOT,
    # Copies elsewhere are written with the rights of the daemon's user.
    "POST {}/snapshots/{name}/copy": SERVE,
    "GET {}/copies": SERVE,
    "GET {}/copies/{id}": SERVE,
    "DELETE {}/copies/{id}": SERVE,
    "GET {}/copy-schedules": SERVE,
    "POST {}/copy-schedules": SERVE,
    "DELETE {}/copy-schedules/{id}": SERVE,
    "GET {}/remote-copies": SERVE,
    "POST {}/remote-copies/fetch": SERVE,
    "DELETE {}/remote-copies/{id}": SERVE,
    # what has no row
    "GET {}/orphans": SERVE,
    "POST {}/orphans/{id}/adopt": SERVE,
    "POST {}/orphans/{id}/terminate": SERVE,
    "POST {}/recover": SERVE,
    # logging in, sessions
    "GET {}/me": LOOK,
    "GET {}/login": ANY,
    "POST {}/login": ANY,
    "POST {}/logout": ANY,
    "POST {}/login/provider": ANY,
    "POST {}/login/account": ANY,
    "POST {}/login/mail": ANY,
    "POST {}/login/terminal": TOKENS,
    "POST {}/login/terminal/session": ANY,
    "POST {}/login/device": ANY,
    "POST {}/login/device/session": ANY,
    "POST {}/login/device/find": TOKENS,
    "POST {}/login/device/answer": TOKENS,
    "GET /auth/callback": ANY,
    "GET /auth/app": ANY,
    "GET /auth/callback/{provider}": ANY,
    "POST /auth/backchannel-logout": ANY,
    "POST /auth/backchannel-logout/{provider}": ANY,
    "POST {}/login-links": SERVE,
    "GET {}/sessions": USE,
    "DELETE {}/sessions": USE,
    "DELETE {}/sessions/{id}": USE,
    # tokens, what happened, the daemon
    "GET {}/tokens": TOKENS,
    "POST {}/tokens": MINT,
    "DELETE {}/tokens/{id}": TOKENS,
    "GET {}/audit": LOOK,
    "GET {}/events": LOOK,
    "WS {}/ws": LOOK,
    "GET /metrics": WATCH,
    "GET {}/daemon/status": LOOK,
    "GET {}/daemon/aws": SERVE,
    "POST {}/daemon/aws/login": SERVE,
    "POST {}/daemon/servers/try": SERVE,
    "GET {}/daemon/aws/leftovers": SERVE,
    "DELETE {}/daemon/aws/leftovers": SERVE,
    "GET {}/daemon/doctor": SERVE,
    "GET {}/daemon/aws/policy": SERVE,
    "GET {}/daemon/aws/setup": SERVE,
    "POST {}/daemon/aws/setup": SERVE,
    "POST {}/daemon/clean": SERVE,
    "GET {}/daemon/gui": SERVE,
    "PUT {}/daemon/gui": SERVE,
    "POST {}/daemon/shutdown": SERVE,
}
ROUTES = {route.replace(" {}/", f" {API}/"): rule for route, rule in TABLE.items()}


def route_of(method: str, template: str) -> str:
    """A route as the table names it."""
    plain = PARAMETER.sub(r"{\1}", template)
    return f"{method} {plain}"


def rule_of(method: str, template: str) -> RouteRule:
    """What a route needs."""
    return ROUTES.get(route_of(method, template), LOOK if method == "OPTIONS" else SERVE)
