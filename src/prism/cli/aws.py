"""`prism aws …`."""

from __future__ import annotations

from prism.cli.connection import daemon
from prism.cli.terminal import clean, say, show_fields, show_json, suggest
from prism.client.daemon import Daemon
from prism.errors import Conflict

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any


def _check(asked: Namespace, found: Any) -> None:
    if not found:
        said = f"{asked.name} is no aws profile" if asked.name else "No aws profile is active"
        say(said)
        return suggest("Check one before you use it: `prism aws check NAME`")
    for access in found:
        _show(access)
    bad = [access["profile"] for access in found if access["problem"] or access["missing"]]
    if bad:
        raise Conflict(
            f"Prism cannot do everything with {', '.join(bad)}",
            remediation="The smallest policy that allows everything: `prism aws policy`",
        )
    return None


def _show(access: dict[str, Any]) -> None:
    fields: dict[str, object] = {
        "profile": access["profile"],
        "region": access["region"],
        "account": access["account"],
        "identity": access["identity"],
    }
    if access["problem"]:
        fields["problem"] = access["problem"]
    else:
        fields["missing"] = ", ".join(access["missing"]) or "nothing"
    if access["unknown"]:
        fields["not known"] = ", ".join(access["unknown"])
    if access["note"]:
        fields["note"] = access["note"]
    show_fields(fields)
    if access["remediation"]:
        suggest(clean(access["remediation"]))


def _policy(asked: Namespace) -> None:
    """It is JSON anyhow: IAM takes it as it is."""
    show_json(daemon().call(Daemon.aws_policy, setup=asked.setup))


def _setup(asked: Namespace) -> None:
    wire = daemon()
    if asked.format is not None:
        found = wire.call(Daemon.aws_setup_text, asked.format)
        lines = map(clean, found["text"].splitlines())
        return show_json(found) if asked.json else print("\n".join(lines))
    found = wire.call(
        Daemon.aws_setup, asked.name, aws_profile=asked.aws_profile, dry_run=asked.dry_run
    )
    if asked.json:
        return show_json(found)
    show_fields({"account": found["account"], "identity": found["identity"]})
    there, missing = ("is there", "would be made") if asked.dry_run else ("is there", "")
    for step in found["steps"]:
        print(f"{there if step['done'] else missing}: {clean(step['what'])}")
    if asked.dry_run and not all(step["done"] for step in found["steps"]):
        suggest("Make it: `prism aws setup`, without --dry-run")
    return None


def _which(made: ArgumentParser) -> None:
    made.add_argument("name", nargs="?", metavar="PROFILE", help="default: all that are active")


def _whose_policy(made: ArgumentParser) -> None:
    made.add_argument(
        "--setup", action="store_true", help="what an administrator needs for `prism aws setup`"
    )


def _how(made: ArgumentParser) -> None:
    made.add_argument("name", nargs="?", metavar="PROFILE", help="default: the active one")
    made.add_argument(
        "--aws-profile", metavar="NAME", help="the administrator's section of AWS's files"
    )
    made.add_argument("--dry-run", action="store_true", help="only show what would be made")
    made.add_argument(
        "--format",
        choices=("cloudformation", "terraform"),
        help="print it for that tool instead; make nothing",
    )


VERBS = {
    "check": (_which, lambda asked: daemon().call(Daemon.aws, asked.name or None), _check),
    "policy": (_whose_policy, _policy),
    "setup": (_how, _setup),
}
