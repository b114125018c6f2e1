"""`prism aws …`."""

from __future__ import annotations

from urllib.parse import quote

from prism.cli.link import daemon
from prism.cli.terminal import clean, say, show_fields, show_json, suggest
from prism.cli.words import nothing
from prism.errors import Conflict

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

PATH = "/daemon/aws"


def _check(asked: Namespace) -> None:
    named = f"?profile={quote(asked.name, safe='')}" if asked.name else ""
    found = daemon().ask("GET", f"{PATH}{named}")
    if asked.json:
        return show_json(found)
    if not found:
        said = f"{asked.name} is no aws profile" if asked.name else "No aws profile is active"
        say(said)
        return suggest("Look at one before it is used: `prism aws check NAME`")
    for it in found:
        _show(it)
    bad = [it["profile"] for it in found if it["problem"] or it["missing"]]
    if bad:
        raise Conflict(
            f"Prism cannot do everything with {', '.join(bad)}",
            remediation="The least policy that can: `prism aws policy`",
        )
    return None


def _show(it: dict[str, Any]) -> None:
    fields: dict[str, object] = {
        "profile": it["profile"],
        "region": it["region"],
        "account": it["account"],
        "identity": it["identity"],
    }
    if it["problem"]:
        fields["problem"] = it["problem"]
    else:
        fields["missing"] = ", ".join(it["missing"]) or "nothing"
    if it["unknown"]:
        fields["not known"] = ", ".join(it["unknown"])
    show_fields(fields)
    if it["remediation"]:
        suggest(clean(it["remediation"]))


def _policy(asked: Namespace) -> None:
    """It is JSON anyhow: IAM takes it as it is."""
    show_json(daemon().ask("GET", f"{PATH}/policy"))


def _which(made: ArgumentParser) -> None:
    made.add_argument("name", nargs="?", metavar="PROFILE", help="default: all that are active")


VERBS = {"check": (_which, _check), "policy": (nothing, _policy)}
