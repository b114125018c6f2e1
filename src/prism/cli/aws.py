"""`prism aws …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.parser import add_flag
from prism.cli.terminal import clean, say, show_fields, show_json, suggest
from prism.client.daemon import Daemon
from prism.errors import Conflict


def _check(args: Namespace, accesses: Any) -> None:
    if not accesses:
        message = f"{args.name} is not an AWS profile" if args.name else "No AWS profile is active"
        say(message)
        return suggest("Check one before you use it: `prism aws check NAME`")
    for access in accesses:
        _show(access)
    failing = [access["profile"] for access in accesses if access["problem"] or access["missing"]]
    if failing:
        raise Conflict(
            f"Prism cannot do everything with {', '.join(failing)}",
            remediation="The smallest policy that allows everything: `prism aws policy`",
        )
    return None


def _show(access: dict[str, Any]) -> None:
    fields = {name: access[name] for name in ("profile", "region", "account", "identity")}
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


def _policy(args: Namespace) -> None:
    """Print the policy, always as JSON, as IAM takes it."""
    show_json(daemon().call(Daemon.aws_policy, setup=args.setup))


def _setup(args: Namespace) -> None:
    wire = daemon()
    if args.format is not None:
        answer = wire.call(Daemon.aws_setup_text, args.format)
        lines = map(clean, answer["text"].splitlines())
        return show_json(answer) if args.json else print("\n".join(lines))
    answer = wire.call(
        Daemon.aws_setup, args.name, aws_profile=args.aws_profile, dry_run=args.dry_run
    )
    if args.json:
        return show_json(answer)
    show_fields({"account": answer["account"], "identity": answer["identity"]})
    present, missing = ("is there", "would be made") if args.dry_run else ("is there", "")
    for step in answer["steps"]:
        print(f"{present if step['done'] else missing}: {clean(step['what'])}")
    if args.dry_run and not all(step["done"] for step in answer["steps"]):
        suggest("Make it: `prism aws setup`, without --dry-run")
    return None


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="PROFILE", help="default: all active profiles")


def _policy_arguments(parser: ArgumentParser) -> None:
    add_flag(parser, "--setup", help="what an administrator needs for `prism aws setup`")


def _setup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="PROFILE", help="default: the active one")
    parser.add_argument(
        "--aws-profile", metavar="NAME", help="the administrator's section of AWS's files"
    )
    add_flag(parser, "--dry-run", help="only show what would be made")
    parser.add_argument(
        "--format",
        choices=("cloudformation", "terraform"),
        help="print it for that tool instead; make nothing",
    )


VERBS = {
    "check": (_check_arguments, lambda args: daemon().call(Daemon.aws, args.name or None), _check),
    "policy": (_policy_arguments, _policy),
    "setup": (_setup_arguments, _setup),
}
