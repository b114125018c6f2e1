"""Maps the API's names of fields to the options of the command line."""

from __future__ import annotations

from prism.annotations import ArgumentParser
from prism.errors import Problem

# The option for each field of a request whose option has another name.
OPTIONS_BY_FIELD = {
    "ttl_hours": "--ttl",
    "storage.ebs_volume_size": "--disk",
    "hibernation": "--no-hibernation",
    "volumes": "--volume",
    "parameters": "--parameter",
    "idle_threshold_minutes": "--minutes",
    "custom_threshold_minutes": "--minutes",
    "end_date": "--until",
    "start_date": "--from",
    "alert_threshold": "--alert",
    "total_amount": "--total",
    "size_gb": "--size",
    "confirm": "--yes",
}


def translate(problem: Problem, parser: ArgumentParser) -> None:
    """Replace the API's field names in a refusal by the options of this command."""
    fields = (problem.data or {}).get("fields") or ()
    known = {option for action in parser._actions for option in action.option_strings}
    for refused in fields:
        field, why = str(refused.get("field", "")), str(refused.get("why", ""))
        option = OPTIONS_BY_FIELD.get(field) or f"--{field.replace('_', '-')}"
        if option in known and why:
            problem.details = problem.details.replace(f"{field}: {why}", f"{option}: {why}")
