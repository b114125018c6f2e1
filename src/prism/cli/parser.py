"""Finds the command in a command line, and builds the parser of that command only."""

from __future__ import annotations

import importlib
import sys
from argparse import SUPPRESS, ArgumentParser, HelpFormatter, Namespace

from prism.annotations import Any, Callable, Iterable, NoReturn, Sequence
from prism.cli.output.terminal import show_json, width
from prism.cli.registry import (
    ALONE,
    COMMANDS,
    COMMON_OPTIONS,
    NOUNS,
    SHORTCUTS,
    meaning,
    module_of,
)

ANYWHERE = {*COMMON_OPTIONS, "-y", "-h", "--help"}


class UsageError(Exception):
    """The command line is not valid."""

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = message, hint
        super().__init__(message)


class Help(Exception):
    """The user asked for `--help`: of a noun, or of everything if it is empty."""

    def __init__(self, noun: str = "") -> None:
        self.noun = noun
        super().__init__(noun)


class Parser(ArgumentParser):
    """An `ArgumentParser` whose errors are `UsageError`s."""

    def __init__(self, prog: str, description: str = "") -> None:
        super().__init__(
            prog, description=description, allow_abbrev=False, formatter_class=_help_formatter
        )

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(message, f"See `{self.prog} --help`")

    def parse_all(self, words: Sequence[str]) -> Namespace:
        """Parse the words; options may stand between the arguments."""
        own, behind = list(words), list[str]()
        if "--" in own and any(action.dest == "command" for action in self._actions):
            at = own.index("--")  # the words after it belong to another program
            own, behind = own[:at], own[at + 1 :]
        try:
            args, extra = self.parse_known_intermixed_args(own)
        except UsageError:
            # What was typed is more telling than what is missing instead of it.
            self._refuse_unknown([word for word in own if self._is_unknown_option(word)])
            raise
        self._refuse_unknown(extra)
        if behind:
            args.command += behind
        return args

    def _is_unknown_option(self, word: str) -> bool:
        return word.startswith("--") and word.partition("=")[0] not in self._known_options()

    def _known_options(self) -> list[str]:
        return ["--", *(name for action in self._actions for name in action.option_strings)]

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Raise `UsageError` if there are any, with an option that is similar."""
        if words:
            near = _nearest(words[0].partition("=")[0], self._known_options())
            guess = f"Did you mean `{near}`? " if near else ""
            raise UsageError(f"unknown: {' '.join(words)}", f"{guess}See `{self.prog} --help`")


def find(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The command, and the remaining words for its parser."""
    rest, flags = list(words), list[str]()
    noun = _next_word(rest, flags)
    if noun is None:
        raise Help
    if noun in ALONE:
        return (noun,), flags + rest
    if noun in SHORTCUTS:
        return ("workspace", noun), flags + rest
    if noun not in NOUNS:
        raise _no_such(f"There is no command `{noun}`", noun, [*ALONE, *SHORTCUTS, *NOUNS])
    verb = _next_word(rest, flags)
    if verb is None:
        raise Help(noun)
    if (noun, verb) not in COMMANDS:
        verbs = [of for (known_noun, of) in COMMANDS if known_noun == noun]
        raise _no_such(f"There is no command `{noun} {verb}`", verb, verbs, noun)
    return (noun, verb), flags + rest


def build_parser(command: tuple[str, ...]) -> Parser:
    """The parser of one command, which sets `run` and `verb`."""
    description = meaning(command)
    parser = Parser(f"prism {' '.join(command)}", f"{description}.")
    prepare(parser, command)
    return parser


def prepare(parser: ArgumentParser, command: tuple[str, ...]) -> None:
    """Add a command's arguments, and those of every command."""
    # By verb: `(add_arguments, run)`, or `(add_arguments, ask, show)`.
    verbs = importlib.import_module(module_of(command)).VERBS
    add_arguments, run, *show = verbs[command[-1]]
    add_arguments(parser)
    everywhere = parser.add_argument_group("options of every command")
    for option, help_text in COMMON_OPTIONS.items():
        names = ("--yes", "-y") if option == "--yes" else (option,)
        everywhere.add_argument(*names, action="store_true", help=help_text)
    parser.set_defaults(run=_ask_and_show(run, *show) if show else run, verb=command[-1])


def no_arguments(_: ArgumentParser) -> None:
    """Add no argument."""


def argument(*names: str, **how: Any) -> Callable[[ArgumentParser], None]:
    """A function that adds one argument to a parser, as `add_argument` takes it."""

    def add(parser: ArgumentParser) -> None:
        parser.add_argument(*names, **how)

    return add


workspace_argument = argument("name", metavar="NAME", help="the workspace's name or instance id")
project_argument = argument("project", metavar="PROJECT", help="the project's name or id")
output_argument = argument("--output", "-o", metavar="FILE", help="write it to this file")


def given(args: Namespace, *names: str) -> dict[str, Any]:
    """The arguments that were given."""
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def add_flag(parser: ArgumentParser, *names: str, help: str) -> None:
    """Add an option without a value, which is false unless it is given."""
    parser.add_argument(*names, action="store_true", help=help)


def add_renamed(parser: ArgumentParser, new: str, old: str, **how: Any) -> None:
    """Add an option whose old name still works, but is not shown."""
    action = parser.add_argument(new, **how)
    hidden = {**how, "dest": action.dest, "default": SUPPRESS, "help": SUPPRESS}
    parser.add_argument(old, **hidden)


def _help_formatter(prog: str) -> HelpFormatter:
    """As wide as the terminal; argparse would import `shutil` to find the width."""
    return HelpFormatter(prog, width=min(width(sys.stdout) or 80, 100) - 2)


def _ask_and_show(
    ask: Callable[[Namespace], Any], show: Callable[[Namespace, Any], None]
) -> Callable[[Namespace], None]:
    """A command that asks the daemon and shows the answer, or prints it as JSON."""

    def run(args: Namespace) -> None:
        answer = ask(args)
        return show_json(answer) if args.json else show(args, answer)

    return run


def _next_word(rest: list[str], flags: list[str]) -> str | None:
    """Take the next word; options that may stand anywhere are moved to `flags`."""
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            return word
        if word in {"-h", "--help"} and not any(not w.startswith("-") for w in rest):
            return None
        if word not in ANYWHERE:
            near = _nearest(word, ANYWHERE)
            guess = f"Did you mean `{near}`? " if near else ""
            raise UsageError(f"unknown option `{word}`", f"{guess}See `prism --help`")
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

    bare = {name.lstrip("-"): name for name in known}  # `--descr` is not similar to `--yes`
    return next((bare[name] for name in get_close_matches(word.lstrip("-"), bare, 1, 0.6)), None)
