"""`prism template …`."""

from __future__ import annotations

from prism.cli.link import daemon
from prism.cli.terminal import say, show_fields, show_json, show_table
from prism.cli.words import nothing
from prism.client.wire import query, quoted
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
    wire, path = daemon(), "/templates/validate"
    if asked.packages:
        wire, path = wire.patient(), path + query(packages="true")
        if not asked.json:
            say("Asking the package index, for one template after the other")
    found = wire.ask("GET", path)
    if asked.json:
        show_json(found)
    else:
        rows = [
            (it["template"], it["status"], it["checks_passed"], len(it["issues"]))
            for it in found["validation_results"]
        ]
        show_table(("TEMPLATE", "STATUS", "PASSED", "ISSUES"), rows, "TEMPLATE")
        for it in found["validation_results"]:
            tell(it["issues"])
    wrong = found["total_templates"] - found["validated"]
    if wrong:
        raise Invalid(f"{wrong} of {found['total_templates']} templates are not valid")


def tell(issues: list[dict[str, str]]) -> None:
    """Say what is wrong with a template, and where."""
    for issue in issues:
        say(f"{issue['level']}: {issue['where']}: {issue['message']}")


def _parameter(one: tuple[str, dict[str, Any]]) -> str:
    name, its = one
    default = "" if its["default"] is None else f", default {its['default']}"
    return f"{name} ({its['type']}{default})"


def _yes(so: bool) -> str:
    return "yes" if so else "no"


def _one(made: ArgumentParser) -> None:
    made.add_argument("template", metavar="TEMPLATE", help="its name, or its slug")


def _how(made: ArgumentParser) -> None:
    said = "also ask the package index whether the pip packages exist"
    made.add_argument("--packages", action="store_true", help=said)


VERBS = {"list": (nothing, _list), "info": (_one, _info), "validate": (_how, _validate)}
