"""From words to a command, and to the parser of that command alone."""

from __future__ import annotations

import importlib
import sys
from argparse import SUPPRESS, ArgumentParser, HelpFormatter, Namespace

from prism.cli.registry import ALONE, COMMANDS, NOUNS, OPTIONS, SHORTCUTS, meaning, module_of
from prism.cli.terminal import show_json, width

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, NoReturn

ANYWHERE = {*OPTIONS, "-y", "-h", "--help"}


class UsageError(Exception):
    """The words make no command."""

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


class Help(Exception):
    """What was asked for is an explanation: of a noun, or of everything where it is empty."""

    def __init__(self, noun: str = "") -> None:
        self.noun = noun
        super().__init__(noun)


class Parser(ArgumentParser):
    """Says what is wrong in Prism's way."""

    def __init__(self, prog: str, description: str = "") -> None:
        super().__init__(prog, description=description, allow_abbrev=False, formatter_class=_form)

    def error(self, message: str) -> NoReturn:
        """Refuse."""
        raise UsageError(message, f"See `{self.prog} --help`")

    def parse_all(self, words: Sequence[str]) -> Namespace:
        """What the words mean; options may stand between the arguments."""
        own, behind = list(words), list[str]()
        if "--" in own and any(action.dest == "command" for action in self._actions):
            at = own.index("--")  # what stands behind it is another program's
            own, behind = own[:at], own[at + 1 :]
        asked, extra = self.parse_known_intermixed_args(own)
        if extra:
            known = [name for action in self._actions for name in action.option_strings]
            near = _nearest(extra[0].partition("=")[0], known)
            what = f"Did you mean `{near}`? " if near else ""
            raise UsageError(f"unknown: {' '.join(extra)}", f"{what}See `{self.prog} --help`")
        if behind:
            asked.command += behind
        return asked


def find(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The command, and the words that are left for its own parser."""
    rest, flags = list(words), list[str]()
    noun = _next(rest, flags)
    if noun is None:
        raise Help
    if noun in ALONE:
        return (noun,), flags + rest
    if noun in SHORTCUTS:
        return ("workspace", noun), flags + rest
    if noun not in NOUNS:
        raise _no_such(f"There is no command `{noun}`", noun, [*ALONE, *SHORTCUTS, *NOUNS])
    verb = _next(rest, flags)
    if verb is None:
        raise Help(noun)
    if (noun, verb) not in COMMANDS:
        verbs = [of for (its, of) in COMMANDS if its == noun]
        raise _no_such(f"There is no command `{noun} {verb}`", verb, verbs, noun)
    return (noun, verb), flags + rest


def parser(command: tuple[str, ...]) -> Parser:
    """The parser of one command; it sets `run`, and `verb`."""
    said = meaning(command)
    made = Parser(f"prism {' '.join(command)}", f"{said}.")
    prepare(made, command)
    return made


def prepare(made: ArgumentParser, command: tuple[str, ...]) -> None:
    """Add a command's arguments, and those of every command."""
    add_arguments, run, *show = _verbs(command)[command[-1]]
    add_arguments(made)
    everywhere = made.add_argument_group("options of every command")
    for option, said in OPTIONS.items():
        names = ("--yes", "-y") if option == "--yes" else (option,)
        everywhere.add_argument(*names, action="store_true", help=said)
    made.set_defaults(run=_shown(run, *show) if show else run, verb=command[-1])


def nothing(_: ArgumentParser) -> None:
    """The arguments of a command that has none."""


def named(made: ArgumentParser) -> None:
    """The argument of a command about one workspace."""
    made.add_argument("name", metavar="NAME", help="the workspace's name or instance id")


def of_project(made: ArgumentParser) -> None:
    """The argument of a command about one project."""
    made.add_argument("project", metavar="PROJECT", help="the project's name or id")


def given(asked: Namespace, *names: str) -> dict[str, Any]:
    """The arguments that were said."""
    return {name: value for name in names if (value := getattr(asked, name)) is not None}


def renamed(made: ArgumentParser, new: str, old: str, **how: Any) -> None:
    """An option by its new name; the old one goes on working and is not shown."""
    action = made.add_argument(new, **how)
    hidden = {**how, "dest": action.dest, "default": SUPPRESS, "help": SUPPRESS}
    made.add_argument(old, **hidden)


def _form(prog: str) -> HelpFormatter:
    """As wide as the terminal; argparse imports `shutil` and its five archives to learn that."""
    return HelpFormatter(prog, width=min(width(sys.stdout) or 80, 100) - 2)


def _shown(
    ask: Callable[[Namespace], Any], show: Callable[[Namespace, Any], None]
) -> Callable[[Namespace], None]:
    """Ask, and show the answer: to programs as it came."""

    def run(asked: Namespace) -> None:
        answer = ask(asked)
        return show_json(answer) if asked.json else show(asked, answer)

    return run


def _verbs(command: tuple[str, ...]) -> dict[str, tuple[Callable[..., Any], ...]]:
    """By verb, what adds its arguments and runs it; or adds them, asks, and shows the answer."""
    verbs: dict[str, tuple[Callable[..., Any], ...]]
    verbs = importlib.import_module(module_of(command)).VERBS
    return verbs


def _next(rest: list[str], flags: list[str]) -> str | None:
    """Take the next word; what may stand anywhere is set aside."""
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            return word
        if word in {"-h", "--help"} and not any(not w.startswith("-") for w in rest):
            return None
        if word not in ANYWHERE:
            near = _nearest(word, ANYWHERE)
            what = f"Did you mean `{near}`? " if near else ""
            raise UsageError(f"unknown option `{word}`", f"{what}See `prism --help`")
        flags.append(word)
    return None


def _no_such(message: str, word: str, known: list[str], noun: str = "") -> UsageError:
    near = _nearest(word, known)
    prefix = f"prism {noun} " if noun else "prism "
    if near:
        return UsageError(message, f"Did you mean `{prefix}{near}`?")
    return UsageError(message, f"See `{prefix}--help`")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415  cold start: only for words that we do not know

    return next(iter(get_close_matches(word, known, 1, 0.5)), None)
