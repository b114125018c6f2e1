"""`prism template …`."""

from __future__ import annotations

from prism.cli.link import daemon
from prism.cli.terminal import say, show_fields, show_json, show_table
from prism.cli.words import nothing
from prism.client.wire import quoted
from prism.errors import Invalid

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def _list(asked: Namespace) -> None:
    found = daemon().ask("GET", "/templates")
    if asked.json:
        return show_json(found)
    if not found:
        return say("No templates. What is wrong with them: `prism template validate`")
    rows = [
        (it["name"], it["validation_status"], _yes(it["runs_locally"]), it["description"])
        for it in found
    ]
    return show_table(("NAME", "STATUS", "HERE", "DESCRIPTION"), rows, "DESCRIPTION")


def _info(asked: Namespace) -> None:
    it = daemon().ask("GET", f"/templates/{quoted(asked.template)}/info")
    if asked.json:
        return show_json(it)
    resolved = it["resolved"]
    return show_fields(
        {
            "name": it["name"],
            "description": it.get("description"),
            "status": it["validation_status"],
            "inherits": ", ".join(it["inherits"]),
            "runs locally": "; ".join(it["local_reasons"]) or _yes(it["runs_locally"]),
            "size": resolved["size"],
            "packages": ", ".join(it["resolved_packages"]),
            "users": ", ".join(it["resolved_users"]),
            "ports": ", ".join(map(str, it["resolved_ports"])),
            "services": ", ".join(resolved["services"]),
            "parameters": ", ".join(map(_parameter, resolved["parameters"].items())),
            "if it fails": it["troubleshooting_guide"],
        }
    )


def _validate(asked: Namespace) -> None:
    found = daemon().ask("GET", "/templates/validate")
    if asked.json:
        show_json(found)
    else:
        rows = [
            (it["template"], it["status"], it["checks_passed"], len(it["issues"]))
            for it in found["validation_results"]
        ]
        show_table(("TEMPLATE", "STATUS", "PASSED", "ISSUES"), rows, "TEMPLATE")
        for it in found["validation_results"]:
            for issue in it["issues"]:
                say(f"{issue['level']}: {issue['where']}: {issue['message']}")
    wrong = found["total_templates"] - found["validated"]
    if wrong:
        raise Invalid(f"{wrong} of {found['total_templates']} templates are not valid")


def _parameter(one: tuple[str, dict[str, Any]]) -> str:
    name, its = one
    default = "" if its["default"] is None else f", default {its['default']}"
    return f"{name} ({its['type']}{default})"


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def _one(made: ArgumentParser) -> None:
    made.add_argument("template", metavar="TEMPLATE", help="its name, or its slug")


VERBS = {"list": (nothing, _list), "info": (_one, _info), "validate": (nothing, _validate)}
