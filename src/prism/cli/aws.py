"""`prism aws …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import daemon
from prism.cli.output.terminal import (
    ask,
    clean,
    require_terminal,
    say,
    show_fields,
    show_json,
    suggest,
)
from prism.cli.parser import add_flag
from prism.client.daemon import Daemon
from prism.errors import Conflict


def _check(args: Namespace, accesses: Any) -> None:
    if not accesses:
        message = f"{args.name} is not an AWS profile" if args.name else "No AWS profile is active"
        say(message)
        return suggest("Check one before you use it: `prism aws check NAME`")
    for access in accesses:
        _show(access)
    failing = [
        access
        for access in accesses
        if access["problem"] or access["missing"] or _refused_launch(access)
    ]
    if failing:
        profiles = ", ".join(access["profile"] for access in failing)
        advice = failing[0]["remediation"] or _refused_launch(failing[0])
        raise Conflict(
            f"Prism cannot do everything with {profiles}",
            remediation=clean(advice or "See `prism doctor`"),
        )
    return None


def _refused_launch(access: dict[str, Any]) -> str:
    """What helps if AWS refuses a launch; empty if it does not."""
    refused = (check for check in access["checks"] if check["name"] == "launch")
    return next((check["remediation"] for check in refused if check["ok"] is False), "")


def _show(access: dict[str, Any]) -> None:
    fields = {name: access[name] for name in ("profile", "region", "account", "identity")}
    if access["problem"]:
        fields["problem"] = access["problem"]
    else:
        fields["missing"] = ", ".join(access["missing"]) or "nothing"
    if access["reasons"]:
        fields["why"] = "; ".join(access["reasons"])
    if access["unknown"]:
        fields["not known"] = ", ".join(access["unknown"])
    for check in access["checks"]:
        fields[check["name"]] = check["message"]
    if access["note"]:
        fields["note"] = access["note"]
    show_fields(fields)
    if access.get("hint"):
        suggest(f"not known: {clean(access['hint'])}")
    for check in access["checks"]:
        if check["remediation"]:
            suggest(f"{check['name']}: {clean(check['remediation'])}")


def _login(args: Namespace) -> None:
    """Ask for the code of the MFA device, or run the command of AWS that logs in."""
    wire, name = daemon(), {"aws_profile": args.aws_profile}
    state = wire.call(Daemon.aws_login, args.name, **name)
    if not state["identity"] and state["serial"]:
        code = _code(state["serial"])
        state = wire.call(Daemon.aws_login, args.name, **name, code=code)
    elif not state["identity"] and state["command"]:
        _run(state["command"])
        state = wire.call(Daemon.aws_login, args.name, **name)
    if args.json:
        show_json(state)
    if not state["identity"]:
        raise Conflict(
            f"The AWS profile {state['aws_profile']!r} is not logged in",
            details=state["problem"] or "",
            remediation="See what is missing with `prism doctor`",
        )
    if not args.json:
        show_fields({"account": state["account"], "identity": state["identity"]})


def _clean(args: Namespace) -> None:
    """List the security groups and key pairs of this home, and delete them after a yes."""
    wire = daemon()
    leftovers = wire.call(Daemon.aws_leftovers)
    if not args.dry_run and any(leftover["id"] for leftover in leftovers):
        if not args.yes:
            require_terminal("Nothing was deleted", "Delete them: `prism aws clean --yes`")
            for leftover in leftovers:
                print(leftover_line(leftover))
            if ask("Delete them? Type yes: ") != "yes":
                raise Conflict("Nothing was deleted", remediation="`prism aws clean --yes`")
        leftovers = wire.call(Daemon.aws_leftovers, delete=True)
    if args.json:
        return show_json(leftovers)
    for leftover in leftovers:
        done = "" if args.dry_run or leftover["problem"] else "deleted: "
        print(f"{done}{leftover_line(leftover)}")
    if not leftovers:
        say("Prism has made no security groups and key pairs with the keys of this home")
    return None


def leftover_line(leftover: dict[str, Any]) -> str:
    """A group or key pair in words; or why those of a profile are not known."""
    where = f"profile {clean(leftover['profile'])}"
    if not leftover["id"]:
        return f"not known for {where}: {clean(leftover['problem'])}"
    text = f"{leftover['kind']} {clean(leftover['name'])} in {leftover['region']} ({where})"
    return f"{text}: {clean(leftover['problem'])}" if leftover["problem"] else text


def _code(serial: str) -> str:
    """The six digits of the device, from the person's terminal."""
    require_terminal(
        "The code of an MFA device can only be entered on a terminal",
        "Run it on a terminal: `prism aws login`",
        f"the device is {serial}",
    )
    return ask(f"Code of {clean(serial)}: ")


def _run(command: list[str]) -> None:
    """Run AWS's own program, on this terminal."""
    import shutil  # noqa: PLC0415  cold start: only here
    import subprocess  # noqa: PLC0415  the same

    line = " ".join(map(clean, command))
    if shutil.which(command[0]) is None:
        raise Conflict(
            "This login needs AWS's command line, and the program `aws` is not installed here",
            remediation=f"Install it from https://aws.amazon.com/cli/, then: `{line}`",
        )
    say(f"Running `{line}`")
    if subprocess.run(command, check=False).returncode:
        raise Conflict(f"`{line}` failed", remediation="Its own message above says why")


def _policy(args: Namespace) -> None:
    """Print the policy, always as JSON, as IAM takes it."""
    show_json(
        daemon().call(
            Daemon.aws_policy,
            setup=args.setup,
            own_machines=args.own_machines,
            role=args.role,
            types=args.types or (),
            regions=args.regions or (),
            vpcs=args.vpcs or (),
        )
    )


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


def _clean_arguments(parser: ArgumentParser) -> None:
    add_flag(parser, "--dry-run", help="only list them")


def _login_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="PROFILE", help="default: the active one")
    parser.add_argument(
        "--aws-profile", metavar="NAME", help="a section of AWS's files, instead of a profile"
    )


def _policy_arguments(parser: ArgumentParser) -> None:
    add_flag(parser, "--setup", help="what an administrator needs for `prism aws setup`")
    parser.add_argument(
        "--own-machines",
        nargs="?",
        const="tag",
        choices=("tag", "username"),
        help="only what has the holder's name in its tag `prism:user`: that of the holder's own "
        "tag `prism:user` (default), or the name of the IAM user",
    )
    parser.add_argument(
        "--role",
        metavar="NAME",
        help="the role that will have it, which may then ask IAM about itself (a user may anyway)",
    )
    limits = {"types": "machines of these types (t3.*)", "regions": "these regions"}
    for name, only in {**limits, "vpcs": "these VPCs"}.items():
        parser.add_argument(f"--{name}", nargs="+", metavar="NAME", help=f"only {only}")


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
    "clean": (_clean_arguments, _clean),
    "login": (_login_arguments, _login),
    "policy": (_policy_arguments, _policy),
    "setup": (_setup_arguments, _setup),
}
