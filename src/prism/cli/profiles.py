"""`prism profile …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, change, daemon
from prism.cli.output.answers import show_changed, show_gone
from prism.cli.output.terminal import clean, show_fields, show_json, show_records, suggest
from prism.cli.output.time_format import local_time
from prism.cli.parser import argument, given, no_arguments
from prism.client.profiles import Profiles
from prism.errors import Conflict
from prism.profiles.providers import LAB_SERVER, LOCAL, TRAITS

RATES = ("cpu_hour", "gb_hour", "gpu_hour")
PROFILE_FIELDS = ("provider", "aws_profile", "region", "default_project", "host", *RATES)


def _list(args: Namespace, profiles: Any) -> None:
    show_records(
        profiles,
        ("", lambda profile: "*" if profile["active"] else " "),
        ("NAME", "name"),
        ("PROVIDER", "provider"),
        ("AWS PROFILE", "aws_profile"),
        ("REGION", "region"),
        ("DEFAULT PROJECT", "default_project"),
        none="No profiles yet. Make one: `prism profile create NAME`",
    )


def _switched(args: Namespace, profile: Any) -> None:
    print(f"{profile['name']} is the active profile now")


def _create(args: Namespace) -> None:
    """Try the server of a lab profile first, and say what holds there."""
    wire, fields = daemon(), {name: getattr(args, name) for name in PROFILE_FIELDS}
    fields["provider"] = args.provider or (LAB_SERVER if args.host else LOCAL)
    if args.host:
        fields["host"] = host = ",".join(args.host)
        trial = wire.call(Profiles.try_server, host, accept_host_key=args.accept_host_key)
        if not args.json:
            _show_trial(trial)
        if not trial["usable"]:
            raise Conflict(
                f"{host} cannot run workspaces, so no profile was added",
                remediation="See `docs/lab-servers.md` for what a server needs",
            )
    profile = wire.call(Profiles.create, args.name, **fields)
    if args.json:
        return show_json(profile)
    return _created(args, profile)


def _show_trial(trial: dict[str, Any]) -> None:
    marks = {True: "yes", False: "no"}
    show_fields(
        {
            check["name"]: f"{marks[check['holds']]}: {clean(check['message'])}"
            for check in trial["checks"]
        }
    )


def _created(args: Namespace, profile: Any) -> None:
    print(f"{profile['name']} was added")
    suggest(f"Use it: `prism profile switch {profile['name']}`")


def _update(args: Namespace) -> Any:
    changes = given(args, *PROFILE_FIELDS)
    if args.host:
        changes["host"] = ",".join(args.host)
    return change(Profiles.update, args.name, changes, "See `prism profile update --help`")


def _show(args: Namespace, profile: Any) -> None:
    fields = {
        "name": profile["name"],
        "provider": profile.get("provider"),
        "AWS profile": profile["aws_profile"],
        "region": profile["region"],
        "default project": profile["default_project"],
        "host": profile.get("host"),
        "last used": local_time(profile["last_used"]) if profile["last_used"] else None,
    }
    show_fields(fields)


_name_argument = argument("name", metavar="NAME", help="the profile's name")


def _update_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--provider", choices=[*TRAITS], help="where its workspaces run")
    parser.add_argument("--aws-profile", metavar="NAME", help="a section of ~/.aws/config")
    parser.add_argument("--region", help="the AWS region")
    parser.add_argument("--default-project", metavar="NAME", help="the default project")
    parser.add_argument(
        "--host",
        action="append",
        help="a lab server: a name of ~/.ssh/config, or USER@HOST:PORT; repeat it for several",
    )
    for name, unit in zip(RATES, ("a CPU", "a GB of memory", "a GPU"), strict=True):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option, type=float, metavar="USD", help=f"what {unit} costs for an hour on the server"
        )


def _create_arguments(parser: ArgumentParser) -> None:
    _update_arguments(parser)
    parser.add_argument(
        "--accept-host-key",
        metavar="FINGERPRINT",
        help="add this key of the server to known_hosts",
    )


VERBS = {
    "list": (no_arguments, asking(Profiles.list), _list),
    "current": (no_arguments, asking(Profiles.current), _show),
    "switch": (_name_argument, asking(Profiles.switch, "name"), _switched),
    "create": (_create_arguments, _create),
    "update": (_update_arguments, _update, show_changed),
    "delete": (_name_argument, asking(Profiles.delete, "name"), show_gone),
}
