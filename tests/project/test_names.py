"""A thing has the same name in the command line, the client and the API.

A name of the command line or the client may omit the last word of the API's name if it is a unit
or a kind (`--disk`, `disk_gb`; `--alert`, `alert_threshold`; `project`, `project_id`). A repeated
option is singular (`--volume`, `volumes`), and an option that negates begins with `no`
(`--no-hibernation`, `hibernation`). `OTHERWISE` lists the other differences, with the reasons.
"""

import json
from argparse import SUPPRESS
from functools import reduce
from inspect import Parameter, signature
from typing import Any, get_type_hints

import pytest

from prism.cli.parser import build_parser
from prism.cli.registry import ALONE, COMMANDS, COMMON_OPTIONS
from prism.client.client import Client
from prism.client.launch_options import LaunchOptions
from prism.lifecycle import VERBS
from tests.project.tree import ROOT, refuse

SUFFIXES = ("_gb", "_hours", "_minutes", "_threshold", "_amount", "_date", "_id", "_ids")
# By command: the method of the client and the route with the same effect.
SAME = {
    "workspace launch": ("workspaces.launch", "POST /instances/launch"),
    "workspace list": ("workspaces.list", "GET /instances"),
    "workspace show": ("workspaces.get", "GET /instances/{name}"),
    "workspace connect": ("workspaces.connect", "GET /instances/{name}/connect"),
    **{
        f"workspace {verb}": (f"workspaces.{verb}", f"POST /instances/{{name}}/{verb}")
        for verb in VERBS
    },
    "workspace extend": ("workspaces.extend", "POST /instances/{name}/extend"),
    "workspace resize": ("workspaces.resize", "POST /instances/{name}/resize"),
    "workspace update": ("workspaces.update", "PUT /instances/{name}"),
    "workspace rollback": ("workspaces.rollback", "POST /instances/{name}/rollback"),
    "workspace move": ("workspaces.move", "POST /instances/{name}/move"),
    "events": ("workspaces.events", "GET /instances/{name}/events"),
    "template list": ("templates.list", "GET /templates"),
    "template info": ("templates.info", "GET /templates/{name}/info"),
    "template validate": ("templates.validate", "GET /templates/validate"),
    "volume list": ("volumes.list", "GET /storage/volumes"),
    "volume create": ("volumes.create", "POST /storage/volumes/create"),
    "volume show": ("volumes.get", "GET /storage/volumes/{name}"),
    "volume attach": ("volumes.attach", "POST /storage/volumes/{name}/attach"),
    "volume detach": ("volumes.detach", "POST /storage/volumes/{name}/detach"),
    "volume delete": ("volumes.delete", "DELETE /storage/volumes/{name}"),
    "snapshot list": ("snapshots.list", "GET /snapshots"),
    "snapshot show": ("snapshots.get", "GET /snapshots/{name}"),
    "snapshot create": ("snapshots.create", "POST /snapshots"),
    "snapshot delete": ("snapshots.delete", "DELETE /snapshots/{name}"),
    "snapshot restore": ("snapshots.restore", "POST /snapshots/{name}/restore"),
    "snapshot verify": ("snapshots.verify", "POST /snapshots/{name}/verify"),
    "snapshot copy": ("snapshots.copy", "POST /snapshots/{name}/copy"),
    "snapshot forget": ("snapshots.forget_copy", "DELETE /copies/{id}"),
    "snapshot delete-copy": ("snapshots.delete_copy", "DELETE /remote-copies/{id}"),
    "snapshot fetch": ("snapshots.fetch", "POST /remote-copies/fetch"),
    "snapshot schedule": ("snapshots.schedule", "POST /copy-schedules"),
    "snapshot schedules": ("snapshots.schedules", "GET /copy-schedules"),
    "snapshot unschedule": ("snapshots.unschedule", "DELETE /copy-schedules/{id}"),
    "project list": ("projects.list", "GET /projects"),
    "project show": ("projects.show", "GET /projects/{project_id}"),
    "project create": ("projects.create", "POST /projects"),
    "project update": ("projects.update", "PUT /projects/{project_id}"),
    "project delete": ("projects.delete", "DELETE /projects/{project_id}"),
    "project budget": ("projects.budget", "GET /projects/{project_id}/budget"),
    "project analysis": ("projects.analysis", "GET /projects/{project_id}/cost-analysis"),
    "report": ("projects.report", "GET /projects/{project_id}/report"),
    "budget list": ("budgets.list", "GET /budgets"),
    "budget show": ("budgets.show", "GET /budgets/{budget_id}"),
    "budget statement": ("budgets.statement", "GET /budgets/{budget_id}/statement"),
    "budget create": ("budgets.create", "POST /budgets"),
    "budget update": ("budgets.update", "PUT /budgets/{budget_id}"),
    "budget delete": ("budgets.delete", "DELETE /budgets/{budget_id}"),
    "budget forecast": ("projects.forecast", "GET /projects/{project_id}/forecast"),
    "allocation list": ("budgets.allocations", "GET /budgets/{budget_id}/allocations"),
    "allocation create": ("allocations.create", "POST /allocations"),
    "allocation update": ("allocations.update", "PUT /allocations/{allocation_id}"),
    "allocation delete": ("allocations.delete", "DELETE /allocations/{allocation_id}"),
    "allocation move": ("allocations.move", "POST /reallocations"),
    "cost current": ("costs.current", "GET /costs/current"),
    "cost history": ("costs.history", "GET /costs/history"),
    "cost export": ("costs.export", "GET /costs/export"),
    "profile list": ("profiles.list", "GET /profiles"),
    "profile current": ("profiles.current", "GET /profiles/current"),
    "profile switch": ("profiles.switch", "POST /profiles/switch"),
    "profile create": ("profiles.create", "POST /profiles"),
    "profile update": ("profiles.update", "PUT /profiles/{name}"),
    "profile delete": ("profiles.delete", "DELETE /profiles/{name}"),
    "member list": ("members.list", "GET /projects/{project_id}/members"),
    "member add": ("members.add", "POST /projects/{project_id}/members"),
    "member role": ("members.change", "PUT /projects/{project_id}/members/{email}"),
    "member until": ("members.change", "PUT /projects/{project_id}/members/{email}"),
    "member remove": ("members.remove", "DELETE /projects/{project_id}/members/{email}"),
    "invite send": ("invitations.send", "POST /invitations/send"),
    "invite bulk": ("invitations.send_many", "POST /invitations/bulk"),
    "invite list": ("invitations.list", "GET /invitations/project/{project_id}"),
    "invite mine": ("invitations.mine", "GET /invitations/me"),
    "invite show": ("invitations.show", "GET /invitations/{invitation_id}"),
    "invite accept": ("invitations.accept", "POST /invitations/{invitation_id}/accept"),
    "invite decline": ("invitations.decline", "POST /invitations/{invitation_id}/decline"),
    "invite resend": ("invitations.resend", "POST /invitations/{invitation_id}/resend"),
    "invite revoke": ("invitations.revoke", "DELETE /invitations/{invitation_id}"),
    "share": ("shares.create", "POST /instances/{name}/shares"),
    "shares": ("shares.mine", "GET /shares"),
    "unshare": ("shares.end", "DELETE /shares/{id}"),
    "limit list": ("limits.page", "GET /limits"),
    "limit set": ("limits.set", "PUT /limits"),
    "limit remove": ("limits.remove", "DELETE /limits/{id}"),
    "limit mine": ("limits.mine", "GET /limits/mine"),
    "request list": ("requests.page", "GET /requests"),
    "request grant": ("requests.grant", "POST /requests/{request_id}/grant"),
    "request refuse": ("requests.refuse", "POST /requests/{request_id}/refuse"),
    "request withdraw": ("requests.withdraw", "DELETE /requests/{request_id}"),
    "notices list": ("notices.page", "GET /notices"),
    "notices read": ("notices.read", "POST /notices/read"),
    "notices settings": ("notices.settings", "GET /notices/settings"),
    "notices set": ("notices.set", "PUT /notices/settings"),
    "notices test": ("notices.test", "POST /notices/test"),
    "webhook list": ("webhooks.page", "GET /webhooks"),
    "webhook add": ("webhooks.add", "POST /webhooks"),
    "webhook remove": ("webhooks.remove", "DELETE /webhooks/{id}"),
    "webhook test": ("webhooks.test", "POST /webhooks/{id}/test"),
    "token create": ("tokens.create", "POST /tokens"),
    "token list": ("tokens.list", "GET /tokens"),
    "token revoke": ("tokens.revoke", "DELETE /tokens/{id}"),
    "session list": ("sessions.list", "GET /sessions"),
    "session revoke": ("sessions.end", "DELETE /sessions/{id}"),
    "login-link": ("sessions.create_link", "POST /login-links"),
    "whoami": ("sessions.me", "GET /me"),
    "files ls": ("files.list", "GET /instances/{name}/files"),
    "files get": ("files.download", "GET /instances/{name}/files/content"),
    "files put": ("files.upload", "PUT /instances/{name}/files/content"),
    "files rm": ("files.remove", "DELETE /instances/{name}/files"),
    "files mv": ("files.rename", "POST /instances/{name}/files/rename"),
    "files mkdir": ("files.make_folder", "POST /instances/{name}/files/folder"),
    "idle configure": ("idle.configure", "POST /idle/instances/{name}/configure"),
    "idle history": ("idle.history", "GET /idle/history"),
    "idle activity": ("idle.activity", "GET /idle/instances/{name}/activity"),
    "why": ("idle.why", "GET /idle/instances/{name}"),
    "keep-awake": ("idle.keep_awake", "POST /idle/instances/{name}/keep-awake"),
    "logs": ("logs.get", "GET /logs/{instance}"),
    "audit": ("audit.entries", "GET /audit"),
    "recover": ("recovery.recover", "POST /recover"),
    "clean": ("daemon.clean", "POST /daemon/clean"),
    "daemon status": ("daemon.status", "GET /daemon/status"),
    "daemon stop": ("daemon.shutdown", "POST /daemon/shutdown"),
}
# Commands without a single route: they act on this computer, or send several requests.
OWN = {
    *("workspace open", "workspace tunnel", "workspace ssh", "workspace exec", "workspace cp"),
    *("template new", "quickstart", "gui", "ssh-config", "init", "login", "logout"),
    *("daemon start", "daemon install", "daemon uninstall", "daemon logs"),
    *("backup", "restore", "orphans", "uninstall", "doctor", "completion", "version"),
    *("team setup", "team check"),  # the files of the daemon's computer, and its public address
    *("new-identity", "move-home"),  # no daemon runs then
    *(
        "aws check",
        "aws clean",
        "aws login",
        "aws policy",
        "aws setup",
    ),  # the client has no AWS: an administrator's, once
    # Several requests for each person of a class, of which the client has the methods.
    *("class add", "class status", "class collect", "class reset", "class stop", "class end"),
    # One route for all kinds of requests, with fields of each.
    *("request money", "request time", "request size", "request workspaces", "request gpus"),
    "snapshot copies",  # two routes behind one word: the copies made here, and those at a place
    "idle profile",  # three routes behind one word, and the client takes the profile as a struct
}
# Only in the command line, or only in the client: how to choose, wait, repeat, show or write.
CLI_ALONE = {
    "names",
    "all",
    "mine",
    "watch",
    "never",
    "output",
    "csv",
    "html",
    "focus",
    "follow",
    "target",
}
CLIENT_ALONE = {"wait", "key", "target", "first"}
# Only in the API: pages and formats, and the user, whom the client and the command line know.
API_ALONE = {"limit", "cursor", "format", "wait", "follow", "offset", "size", "confirm"}
API_ALONE |= {"invited_by", "dry_run"}
A_PERSON_S_DAY = "an inclusive day here, a moment in the API: another name for another meaning"
REFERENCE = "the reference's word, which is binding in the API"
IN_THE_PATH = "the path has `name` for what is there, so the new one has another name here"
# By command and its name: the name in the client, the name in the API, and the reason.
OTHERWISE = {
    ("workspace launch", "disk"): ("disk_gb", "storage", REFERENCE),
    ("workspace launch", "count"): (None, None, "the command line repeats the request"),
    ("workspace extend", "until"): ("expires_at", "expires_at", REFERENCE),
    ("workspace launch", None): ("disk_type", "storage", REFERENCE),
    ("workspace launch", "dry_run"): (None, "dry_run", "the client has `plan` for that"),
    ("profile create", "accept_host_key"): (None, None, "of the trial of the server before it"),
    ("workspace terminate", "backup"): ("backup", "backup_ebs", REFERENCE),
    ("events", "last"): ("last", "limit", "`--last 20` is what people say; lists have a `limit`"),
    ("events", "since"): (None, None, "of the stream of all events, not of one workspace's"),
    ("volume attach", "workspace"): ("workspace", "instance", REFERENCE),
    ("volume detach", "workspace"): ("workspace", "instance", REFERENCE),
    ("snapshot create", "workspace"): ("workspace", "instance", REFERENCE),
    ("snapshot schedule", "workspace"): ("workspace", "instance", REFERENCE),
    ("snapshot restore", "volume"): ("volume", "name", IN_THE_PATH),
    ("project create", "owner"): ("members", "members", "an owner is a member with that role"),
    ("project update", "rename"): ("rename", "name", IN_THE_PATH),
    ("budget update", "rename"): ("rename", "name", IN_THE_PATH),
    ("budget create", "from"): ("start_date", "start_date", A_PERSON_S_DAY),
    ("budget create", "until"): ("end_date", "end_date", A_PERSON_S_DAY),
    ("budget update", "until"): ("end_date", "end_date", A_PERSON_S_DAY),
    ("cost history", "by"): ("group_by", "group_by", "`--by project` is what people say"),
    ("template info", "yaml"): (
        None,
        None,
        "the client and the API have a call of its own for the file",
    ),
    ("cost history", "since"): ("start", "start_date", A_PERSON_S_DAY),
    ("cost history", "until"): ("end", "end_date", A_PERSON_S_DAY),
    ("cost export", "since"): ("start", "start_date", A_PERSON_S_DAY),
    ("cost export", "until"): ("end", "end_date", A_PERSON_S_DAY),
    ("allocation create", "amount"): ("amount", "allocated_amount", REFERENCE),
    ("allocation update", "amount"): ("amount", "allocated_amount", REFERENCE),
    ("allocation move", "source"): ("source", "source_allocation_id", REFERENCE),
    ("allocation move", "destination"): ("destination", "destination_allocation_id", REFERENCE),
    ("profile switch", "name"): ("name", "profile_name", REFERENCE),
    ("member until", None): ("role", "role", "`prism member role` changes both"),
    ("invite bulk", "file"): ("guests", "invitations", "a file here, its rows there"),
    ("invite bulk", "role"): ("role", "default_role", REFERENCE),
    ("invite bulk", "message"): ("message", "default_message", REFERENCE),
    ("invite accept", None): (
        "token",
        "token",
        "asked for without an echo, never typed as a word",
    ),
    ("session revoke", "user"): (None, None, "with `--all`, of another route"),
    ("invite decline", None): ("token", "token", "as for accept"),
    ("files put", "source"): ("source", None, "a file of this computer: the body of the request"),
    ("files get", "replace"): (None, None, "a file of this computer is replaced, not the API's"),
    ("idle configure", "minutes"): ("minutes", "custom_threshold_minutes", REFERENCE),
    ("idle configure", "off"): ("enabled", "enabled", "`--off` is not enabled"),
    ("files ls", None): ("limit", "limit", "the command line shows all of a folder"),
    ("notices set", "on"): ("kinds", "kinds", "`--on sleep:mail` is one channel of one kind"),
    ("notices set", "off"): ("kinds", "kinds", "as `--on`"),
    ("audit", "limit"): (None, "limit", "the client goes through all pages"),
    ("logs", "name"): ("name", "instance", REFERENCE),
    ("share", "with"): ("guest", "guest", "`with` is a word of Python, and what people say"),
}
PROJECT_LIMITS = {"budget", "alert", "auto_hibernate", "prevent_launch", "no_budget"}
ALL_COMMANDS = [" ".join(command) for command in (*COMMANDS, *((word,) for word in ALONE))]
OPENAPI = json.loads((ROOT / "docs/openapi.json").read_text())


def of_command(command):
    """The names of the shown options and arguments."""
    names = set()
    for action in build_parser(tuple(command.split()))._actions:
        options = [
            string.removeprefix("--")
            for string in action.option_strings
            if string.startswith("--")
        ]
        if action.help != SUPPRESS and not {f"--{option}" for option in options} & {
            *COMMON_OPTIONS,
            "--help",
        }:
            names.add((options[0] if options else action.dest).replace("-", "_"))
    return names


def of_client(method):
    """The names of the parameters of a method; launch options count separately."""
    bound: Any = reduce(getattr, method.split("."), Client(url="http://127.0.0.1:1"))
    taken = signature(bound).parameters.values()
    named = {parameter.name for parameter in taken if parameter.kind is not Parameter.VAR_KEYWORD}
    more = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken)
    return named | (set(get_type_hints(LaunchOptions)) if more else set())


def of_api(route):
    """The names in the path and the query, and the fields of the body."""
    method, path = route.split()
    operation = OPENAPI["paths"][f"/api/v1{path}"][method.lower()]
    names = {
        parameter["name"]
        for parameter in operation.get("parameters", ())
        if parameter["in"] != "header"
    }
    content = operation.get("requestBody", {}).get("content", {})
    return names | fields(content.get("application/json", {}).get("schema", {}))


def fields(schema):
    if "$ref" in schema:
        return fields(OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    nested = [choice for how in ("oneOf", "anyOf", "allOf") for choice in schema.get(how, ())]
    return set(schema.get("properties", ())).union(*map(fields, nested))


def full_name(short, names):
    """The name of these that a shorter name stands for, if any."""
    plain = short.removeprefix("no_")
    for name in names:
        ends = {name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)}
        if name in {short, plain, f"{short}s", f"{plain}s"} or plain in ends:
            return name
    return None


def differences(command):
    """The names without a counterpart, as (where, name)."""
    method, route = SAME[command]
    client, api = of_client(method) - CLIENT_ALONE, of_api(route)
    where = [pair for pair in OTHERWISE if pair[0] == command]
    known = {pair[1] for pair in where}
    seen_by_client = {OTHERWISE[pair][0] for pair in where}
    seen_by_api = {OTHERWISE[pair][1] for pair in where}
    if "project" in command and "budget" in client:
        known |= PROJECT_LIMITS  # the fields of one object, which the client takes as a struct
        seen_by_client |= {"budget"}
    for name in of_command(command) - CLI_ALONE - known:
        if (parameter := full_name(name, client) or object_parameter(name, client)) is None:
            yield "client has no", name
        seen_by_client.add(parameter)
    for name in client - {OTHERWISE[pair][0] for pair in where}:
        if name not in seen_by_client | {"name", "id"}:
            yield "command line has no", name
        if (parameter := full_name(name, api - {"name"}) or object_parameter(name, api)) is None:
            yield "API has no", name
        seen_by_api.add(parameter)
    for name in api - seen_by_api - API_ALONE:
        yield "client has nothing for", name


def object_parameter(name, names):
    """A parameter for a name or id: there may be several, and a path names its noun."""
    if name not in {"name", "names", "id", "project", "budget"}:
        return None
    ids = [name for name in names if name.endswith("_id")]
    return min(ids or names & {"name", "id"}, default=None)


@pytest.mark.parametrize("command", SAME)
def test_command_client_and_api_have_the_same_names(command):
    refuse(
        (f"prism {' '.join(command)}: {where} {name!r}" for where, name in differences(command)),
        "Give option, client's parameter and API's field one name, or list why not in OTHERWISE",
    )


def test_every_command_is_compared_or_listed_as_its_own():
    assert sorted(ALL_COMMANDS) == sorted({*SAME, *OWN})


@pytest.mark.parametrize("exception", OTHERWISE, ids=str)
def test_exception_from_the_same_names_is_needed(exception):
    command, name = exception
    client, api, why = OTHERWISE[exception]
    assert why
    assert name is None or name in of_command(command)
    assert client is None or client in of_client(SAME[command][0])
    assert api is None or api in of_api(SAME[command][1])
    assert not name == client == api, "the names are the same, so no exception is needed"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("project create p --about x", "project create p --description x"),
        ("project update p --hibernate 9", "project update p --auto-hibernate 9"),
        ("project update p --prevent 9", "project update p --prevent-launch 9"),
        (
            "budget create b 5 --by me --about x",
            "budget create b 5 --created-by me --description x",
        ),
        ("allocation create b p 5 --by me", "allocation create b p 5 --allocated-by me"),
        ("workspace launch t w --param a=b", "workspace launch t w --parameter a=b"),
        ("files put w f --force", "files put w f --replace"),
    ],
)
def test_old_option_names_work_and_are_hidden(old, new):
    noun, verb, *rest = old.split()
    parser = build_parser((noun, verb))
    assert vars(parser.parse_all(rest)) == vars(parser.parse_all(new.split()[2:]))
    hidden = next(text for text in rest if text.startswith("--"))
    assert f"{hidden} " not in parser.format_help()
