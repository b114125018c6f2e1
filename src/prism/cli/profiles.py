"""`prism profile …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, change
from prism.cli.output.answers import show_changed, show_gone
from prism.cli.output.terminal import show_fields, show_records, suggest
from prism.cli.output.time_format import local_time
from prism.cli.parser import argument, given, no_arguments
from prism.client.profiles import Profiles

PROFILE_FIELDS = ("provider", "aws_profile", "region", "default_project")


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


def _created(args: Namespace, profile: Any) -> None:
    print(f"{profile['name']} was added")
    suggest(f"Use it: `prism profile switch {profile['name']}`")


def _update(args: Namespace) -> Any:
    changes = given(args, *PROFILE_FIELDS)
    return change(Profiles.update, args.name, changes, "See `prism profile update --help`")


def _show(args: Namespace, profile: Any) -> None:
    fields = {
        "name": profile["name"],
        "provider": profile.get("provider"),
        "AWS profile": profile["aws_profile"],
        "region": profile["region"],
        "default project": profile["default_project"],
        "last used": local_time(profile["last_used"]) if profile["last_used"] else None,
    }
    show_fields(fields)


_name_argument = argument("name", metavar="NAME", help="the profile's name")


def _update_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    parser.add_argument("--provider", choices=("local", "aws"), help="where its workspaces run")
    parser.add_argument("--aws-profile", metavar="NAME", help="a section of ~/.aws/config")
    parser.add_argument("--region", help="the AWS region")
    parser.add_argument("--default-project", metavar="NAME", help="the default project")


def _create_arguments(parser: ArgumentParser) -> None:
    _update_arguments(parser)
    parser.set_defaults(provider="local")


VERBS = {
    "list": (no_arguments, asking(Profiles.list), _list),
    "current": (no_arguments, asking(Profiles.current), _show),
    "switch": (_name_argument, asking(Profiles.switch, "name"), _switched),
    "create": (_create_arguments, asking(Profiles.create, "name", *PROFILE_FIELDS), _created),
    "update": (_update_arguments, _update, show_changed),
    "delete": (_name_argument, asking(Profiles.delete, "name"), show_gone),
}
