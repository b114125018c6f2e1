"""`prism member …`."""

from __future__ import annotations

from prism.cli.link import daemon
from prism.cli.moments import here
from prism.cli.terminal import show_json, show_table
from prism.client.wire import quoted

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

ROLES = ("viewer", "member", "admin", "owner")
HEADS = ("EMAIL", "ROLE", "SINCE")


def _path(asked: Namespace) -> str:
    return f"/projects/{quoted(asked.project)}/members"


def _list(asked: Namespace) -> None:
    found = daemon().ask("GET", _path(asked))
    if asked.json:
        return show_json(found)
    return show_table(HEADS, [(it["email"], it["role"], here(it["join_date"])) for it in found])


def _add(asked: Namespace) -> None:
    it = daemon().ask("POST", _path(asked), {"email": asked.email, "role": asked.role})
    return show_json(it) if asked.json else print(f"{it['email']} is {it['role']} now")


def _role(asked: Namespace) -> None:
    path = f"{_path(asked)}/{quoted(asked.email)}"
    it = daemon().ask("PUT", path, {"role": asked.role})
    return show_json(it) if asked.json else print(f"{it['email']} is {it['role']} now")


def _remove(asked: Namespace) -> None:
    it = daemon().ask("DELETE", f"{_path(asked)}/{quoted(asked.email)}")
    return show_json(it) if asked.json else print(f"{asked.email} was removed")


def _project(made: ArgumentParser) -> None:
    made.add_argument("project", metavar="PROJECT", help="the project's name or id")


def _somebody(made: ArgumentParser) -> None:
    _project(made)
    made.add_argument("email", metavar="EMAIL", help="a mail address")


def _new(made: ArgumentParser) -> None:
    _somebody(made)
    made.add_argument("--role", choices=ROLES, default="member", help="what they may do")


def _other(made: ArgumentParser) -> None:
    _somebody(made)
    made.add_argument("role", metavar="ROLE", choices=ROLES, help=", ".join(ROLES))


VERBS = {
    "list": (_project, _list),
    "add": (_new, _add),
    "role": (_other, _role),
    "remove": (_somebody, _remove),
}
