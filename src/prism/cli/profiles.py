"""`prism profile …`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.parser import UsageError, given, nothing
from prism.cli.terminal import say, show_fields, show_json, show_table, suggest
from prism.cli.time_format import here
from prism.client.profiles import Profiles

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

FIELDS = ("provider", "aws_profile", "region", "default_project")
HEADS = ("", "NAME", "PROVIDER", "AWS PROFILE", "REGION", "DEFAULT PROJECT")


def _list(asked: Namespace, found: Any) -> None:
    if not found:
        return say("No profiles yet. Make one: `prism profile create NAME`")
    rows = [
        (
            "*" if profile["active"] else " ",
            profile["name"],
            profile.get("provider"),
            profile["aws_profile"],
            profile["region"],
            profile["default_project"],
        )
        for profile in found
    ]
    return show_table(HEADS, rows)


def _current(asked: Namespace) -> None:
    _show(daemon().call(Profiles.current), as_json=asked.json)


def _switch(asked: Namespace) -> None:
    profile = daemon().call(Profiles.switch, asked.name)
    return (
        show_json(profile) if asked.json else print(f"{profile['name']} is the active profile now")
    )


def _create(asked: Namespace) -> None:
    profile = daemon().call(Profiles.create, asked.name, **given(asked, *FIELDS))
    if asked.json:
        return show_json(profile)
    print(f"{profile['name']} was added")
    return suggest(f"Use it: `prism profile switch {profile['name']}`")


def _update(asked: Namespace) -> None:
    changes = given(asked, *FIELDS)
    if not changes:
        raise UsageError("no change was given", "See `prism profile update --help`")
    profile = daemon().call(Profiles.update, asked.name, **changes)
    return show_json(profile) if asked.json else print(f"{profile['name']} was changed")


def _delete(asked: Namespace, profile: Any) -> None:
    print(f"{asked.name} was removed")


def _show(profile: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(profile)
    return show_fields(
        {
            "name": profile["name"],
            "provider": profile.get("provider"),
            "AWS profile": profile["aws_profile"],
            "region": profile["region"],
            "default project": profile["default_project"],
            "last used": here(profile["last_used"]) if profile["last_used"] else None,
        }
    )


def _named(made: ArgumentParser) -> None:
    made.add_argument("name", metavar="NAME", help="the profile's name")


def _fields(made: ArgumentParser) -> None:
    _named(made)
    made.add_argument("--provider", choices=("local", "aws"), help="where its workspaces run")
    made.add_argument("--aws-profile", metavar="NAME", help="a section of ~/.aws/config")
    made.add_argument("--region", help="the AWS region")
    made.add_argument("--default-project", metavar="NAME", help="the default project")


def _new(made: ArgumentParser) -> None:
    _fields(made)
    made.set_defaults(provider="local")


VERBS = {
    "list": (nothing, lambda asked: daemon().call(Profiles.list), _list),
    "current": (nothing, _current),
    "switch": (_named, _switch),
    "create": (_new, _create),
    "update": (_fields, _update),
    "delete": (_named, lambda asked: daemon().call(Profiles.delete, asked.name), _delete),
}
