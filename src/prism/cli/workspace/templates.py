"""`prism template …`."""

from __future__ import annotations

import sys

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.clean_output import for_programs
from prism.cli.output.terminal import say, show_fields, show_json, show_records, show_table
from prism.cli.parser import add_flag, argument, no_arguments
from prism.client.templates import Templates
from prism.errors import Invalid


def _list(args: Namespace, templates: Any) -> None:
    show_records(
        templates,
        ("NAME", "name"),
        ("STATUS", "validation_status"),
        ("HERE", lambda template: _yes_or_no(template["runs_locally"])),
        ("DESCRIPTION", "description"),
        flexible="DESCRIPTION",
        none="No templates. What is wrong with them: `prism template validate`",
    )
    if not all(template["runs_locally"] for template in templates):
        say("HERE is whether it runs on this computer; why not: `prism template info NAME`")


def _info(args: Namespace) -> Any:
    return daemon().call(Templates.yaml if args.yaml else Templates.info, args.name)


def _show(args: Namespace, template: Any) -> None:
    if args.yaml:
        return print(template["yaml"].rstrip("\n"), file=for_programs(sys.stdout))
    resolved = template["resolved"]
    fields = {
        "name": template["name"],
        "description": template.get("description"),
        "status": template["validation_status"],
        "inherits": ", ".join(template["inherits"]),
        "runs locally": "; ".join(template["local_reasons"])
        or _yes_or_no(template["runs_locally"]),
        "system on AWS": _system(template),
        "size": resolved["size"],
        "packages": ", ".join(template["resolved_packages"]),
        "users": ", ".join(template["resolved_users"]),
        "ports": ", ".join(map(str, template["resolved_ports"])),
        "services": ", ".join(resolved["services"]),
        "parameters": ", ".join(map(_parameter, resolved["parameters"].items())),
        "if it fails": template["troubleshooting_guide"],
    }
    return show_fields(fields)


def _validate(args: Namespace) -> None:
    if args.packages and not args.json:
        say("Asking the package index, for one template after the other")
    report = daemon().call(Templates.validate, packages=args.packages)
    if args.json:
        show_json(report)
    else:
        rows = [
            (result["template"], result["status"], result["checks_passed"], len(result["issues"]))
            for result in report["validation_results"]
        ]
        show_table(("TEMPLATE", "STATUS", "PASSED", "ISSUES"), rows, "TEMPLATE")
        for result in report["validation_results"]:
            show_issues(result["issues"])
    invalid = report["total_templates"] - report["validated"]
    if invalid:
        raise Invalid(f"{invalid} of {report['total_templates']} templates are not valid")


def show_issues(issues: list[dict[str, str]]) -> None:
    """Print the mistakes in a template."""
    for issue in issues:
        say(f"{issue['level']}: {issue['where']}: {issue['message']}")


def _parameter(parameter: tuple[str, dict[str, Any]]) -> str:
    name, fields = parameter
    default = "" if fields["default"] is None else f", default {fields['default']}"
    return f"{name} ({fields['type']}{default})"


def _system(template: dict[str, Any]) -> str | None:
    """The system of a cloud machine; None if an older daemon does not say."""
    if (base := template.get("base")) is None:
        return None
    return f"{base}, with security updates until {template['base_updates_until']}"


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


_name_argument = argument("name", metavar="TEMPLATE", help="the template's name or slug")


def _info_arguments(parser: ArgumentParser) -> None:
    _name_argument(parser)
    help_text = "the file as its author wrote it, also if the template cannot be used"
    add_flag(parser, "--yaml", help=help_text)


def _validate_arguments(parser: ArgumentParser) -> None:
    help_text = "also ask the package index whether the pip packages exist"
    add_flag(parser, "--packages", help=help_text)


VERBS = {
    "list": (no_arguments, asking(Templates.list), _list),
    "info": (_info_arguments, _info, _show),
    "validate": (_validate_arguments, _validate),
}
