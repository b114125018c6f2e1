"""A verb for several workspaces: by their names, all of them, or all of a project."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Callable, Namespace
from prism.cli.output.terminal import ask, complain, require_terminal, say, show_json
from prism.cli.parser import UsageError, add_flag
from prism.client.errors import DaemonUnreachable
from prism.client.names import unique_name
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Invalid, Problem
from prism.lifecycle import VERBS


class SomeFailed(Problem, code="SOME_FAILED"):
    """The command failed for some of several workspaces."""


def workspaces_arguments(parser: ArgumentParser) -> None:
    """The arguments of a verb that takes several workspaces."""
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="workspaces, each by its name or instance id"
    )
    add_flag(parser, "--all", help="all workspaces for which it is possible")
    parser.add_argument("--project", metavar="PROJECT", help="all of this project")


def has_effect(verb: str, workspace: dict[str, Any]) -> bool:
    """Whether a verb changes something; a stop also ends a restart that is under way."""
    ends_restart = verb == "stop" and workspace.get("restarting") is True
    return ends_restart or workspace["state"] in VERBS[verb].bulk


def selected_names(args: Namespace, wire: Wire) -> list[str]:
    """The selected names; raises `UsageError` if none or more than one way to select is used."""
    by_list = args.all or args.project is not None
    see = "See `prism workspace --help`"
    if bool(args.names) == by_list:
        raise UsageError("give either names of workspaces, or --all, or --project", see)
    if not by_list:
        return list(dict.fromkeys(args.names))
    workspaces = wire.call(Workspaces.list, project=args.project)
    names = [unique_name(row) for row in workspaces if has_effect(args.verb, row)]
    if names and not args.yes:
        _confirm(args.verb, names)
    return names


def send_all_first(
    names: list[str], ask: Callable[[str], dict[str, Any]]
) -> Callable[[str], dict[str, Any]]:
    """Send all requests before waiting for the first; the result returns the answer for a name.

    If its request was refused, it raises the refusal instead.
    """
    answers: dict[str, dict[str, Any] | Problem] = {}
    for name in names:
        try:
            answers[name] = ask(name)
        except DaemonUnreachable:
            raise
        except Problem as problem:
            answers[name] = problem

    def answered(name: str) -> dict[str, Any]:
        answer = answers[name]
        if isinstance(answer, Problem):
            raise answer
        return answer

    return answered


def run_for_each(args: Namespace, names: list[str], do: Callable[[str], dict[str, Any]]) -> None:
    """Call `do` for one name after the other, and print the outcome.

    With `--json`, print one object for one name, else a list in which failures have `error`.
    Raises `SomeFailed` at the end if any failed.
    """
    if len(names) == 1 and args.names:
        answer = do(names[0])
        return show_json(answer) if args.json else None
    answers: list[dict[str, Any]] = []
    failed: list[str] = []
    for name in names:
        try:
            answers.append(do(name))
        except Problem as problem:
            failed.append(name)
            error = {"code": problem.code, "message": problem.message, "details": problem.details}
            answers.append({"name": name, "error": error})
            if not args.json:
                complain(problem.message, problem.details, problem.remediation)
    if args.json:
        show_json(answers)
    elif not names:
        say(f"There is no workspace to {args.verb}. All of them: `prism list`")
    if failed:
        raise SomeFailed(
            f"{args.verb} failed for {len(failed)} of {len(names)}: {', '.join(failed)}",
            remediation="It succeeded for the others. See all of them: `prism list`",
        )
    return None


def _confirm(verb: str, names: list[str]) -> None:
    """Ask for confirmation for these workspaces; raises unless the answer is yes."""
    nothing = f"Nothing was asked to {verb}"
    hint = f"To {verb} them without this question: add `--yes`"
    count = f"{len(names)} workspaces" if len(names) > 1 else "1 workspace"
    selection = f"{count}: {', '.join(names)}"
    no_terminal = f"these would be changed, and there is no terminal to ask on: {selection}"
    require_terminal(nothing, hint, no_terminal)
    expected = f"{verb} {len(names)}" if verb == "terminate" else "yes"
    loses = "This destroys them and all their data. " if verb == "terminate" else ""
    if ask(f"To {verb}: {selection}\n{loses}Type `{expected}` to go on: ") != expected:
        raise Invalid(nothing, details=f"the answer was not `{expected}`", remediation=hint)
