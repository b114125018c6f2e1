"""Each option of a command changes the request that the command sends.

An option that is parsed and then dropped would change nothing, and nobody would notice: the names
are the same everywhere, the command succeeds, and the daemon uses its default.
"""

from argparse import SUPPRESS, ArgumentError
from contextlib import suppress
from io import StringIO
from itertools import product
from unittest.mock import MagicMock

import pytest

from prism.cli.parser import UsageError, build_parser
from prism.cli.registry import COMMON_OPTIONS
from prism.cli.run import run
from prism.client.transport.wire import HttpAnswer, Wire
from prism.lifecycle import VERBS
from tests.cli.shown import workspace
from tests.project.test_names import OTHERWISE, SAME
from tests.project.tree import refuse

WORDS = ("zzz", "FILE", "37", "2030-01-02", "2020-01-02", "a=b", "L", "evt_37")
# Options that decide what is printed, written or waited for, and no request.
HERE = {"watch", "follow", "csv", "html", "output", "target"}


# By command: words without which some of its options mean nothing.
BESIDE = {
    "events": ["mine"],
    "snapshot create": ["--volume", "data"],
    "snapshot schedule": ["--volume", "data"],
    "profile create": ["--host", "gpu1"],
    "member remove": ["--workspaces", "hand-over"],
    "limit set": ["--monthly", "37"],
}


class Loose(MagicMock):
    """An answer that has every field, each with every field."""

    def __format__(self, spec):
        return "1"


@pytest.fixture
def rows():
    """The rows of each list that the daemon answers."""
    return []


@pytest.fixture
def sent(monkeypatch, tmp_path, rows):
    """What a command line sends, as (method, path, body), until it cannot go on."""
    monkeypatch.setenv("PRISM_HOME", str(tmp_path))
    (tmp_path / "file.csv").write_text("email,role\nzoe@example.org,viewer\n")
    requests = []

    def send(self, method, path, content=None, **_):
        requests.append((method, path, content))
        return HttpAnswer(200, {}, b"{}")

    def stream(self, path, *_, **__):
        requests.append(("GET", path, None))
        raise SystemExit

    monkeypatch.setattr(Wire, "send", send)
    monkeypatch.setattr(Wire, "stream", stream)

    def parsed(self, _):
        answer = Loose()
        answer.__iter__.side_effect = lambda: iter(rows)
        return answer

    monkeypatch.setattr(Wire, "_parsed", parsed)

    def of(words):
        requests.clear()
        monkeypatch.setattr("sys.stdin", StringIO("the token of an invitation\n"))
        words = [str(tmp_path / "file.csv") if word == "FILE" else word for word in words]
        with suppress(Exception, SystemExit):  # of an answer that makes no sense
            run([*words, "--yes", "--no-wait", "--json"])
        return [*requests]

    return of


def values_of(parser, action):
    """The values that an option or an argument accepts, the likeliest last choice first."""
    if action.nargs == 0:
        return [None]
    if action.choices:
        return [*reversed([*action.choices])]
    return [value for value in WORDS if accepts(parser, action, value)]


def accepts(parser, action, value):
    try:
        parser._get_value(action, value)
    except (ArgumentError, UsageError, ValueError):
        return False
    return True


def words_of(action, value):
    """An option as it is typed, or an argument."""
    values = (
        [] if value is None else [value] * (action.nargs if isinstance(action.nargs, int) else 1)
    )
    return [action.option_strings[0], *values] if action.option_strings else values


def is_shown(action):
    return action.help != SUPPRESS and not {*action.option_strings} & {*COMMON_OPTIONS, "--help"}


def needed(parser):
    """The arguments that a command needs."""
    actions = [action for action in parser._actions if is_shown(action)]
    groups = [group for group in parser._mutually_exclusive_groups if group.required]
    return [
        action
        for action in actions
        if action.required
        or (not action.option_strings and action.nargs != "?")
        or action in [group._group_actions[0] for group in groups]
    ]


def is_sent(command, action):
    """Whether an option should be in a request."""
    elsewhere = OTHERWISE.get((command, action.dest), ("",))[:2] == (None, None)
    filters = (command, action.dest) == ("events", "name")  # of a stream of all events
    return is_shown(action) and action.dest not in HERE and not elsewhere and not filters


def complete(sent, command, parser):
    """The values of the needed arguments with which the command sends something.

    A command that changes something may need one of its options, too, and sends nothing yet.
    """
    actions, chosen = needed(parser), {}
    for values in product(*(values_of(parser, action)[:3] for action in actions)):
        chosen = dict(zip(actions, values, strict=True))
        if sent([*command, *typed(chosen)]):
            break
    return chosen


def typed(chosen):
    """The words of these options and arguments."""
    return [word for action, value in chosen.items() for word in words_of(action, value)]


def rivals(parser, action):
    """The options and arguments that exclude this one."""
    groups = [set(group._group_actions) for group in parser._mutually_exclusive_groups]
    if any(other.dest == "names" for other in parser._actions):
        selecting = {"names", "all", "project"}
        groups.append({other for other in parser._actions if other.dest in selecting})
    return set().union(*(group for group in groups if action in group))


def dropped_options(sent, command):
    """The options that change nothing of what the command sends."""
    parser = build_parser(command)
    chosen = complete(sent, command, parser)
    for action in parser._actions:
        name = " ".join(command)
        beside = [] if "--workspace" in action.option_strings else BESIDE.get(name, [])
        if {*action.option_strings} & {*beside} or action in chosen or not is_sent(name, action):
            continue
        excluded = rivals(parser, action)
        words = typed({other: value for other, value in chosen.items() if other not in excluded})
        if not any({*other.option_strings} & {*beside} for other in excluded):
            words += beside
        before = sent([*command, *words])
        changed = (
            sent([*command, *words, *words_of(action, value)])
            for value in values_of(parser, action)
        )
        if not any(requests and requests != before for requests in changed):
            yield f"prism {name}: {'/'.join(action.option_strings) or action.dest}"


@pytest.mark.parametrize("command", SAME)
def test_each_option_changes_what_is_sent(sent, command):
    words = tuple(command.split())
    refuse(dropped_options(sent, words), "The command drops this option; hand it to the client")


BULK = [
    (verb, action.option_strings[0])
    for verb in VERBS
    for action in build_parser(("workspace", verb))._actions
    if is_shown(action) and action.dest not in {"names", "all", "project"}
]


@pytest.mark.parametrize(("verb", "option"), BULK)
@pytest.mark.parametrize("selection", [["--all"], ["--project", "reef"]], ids=" ".join)
def test_bulk_verb_sends_its_options_for_each_workspace(sent, rows, verb, option, selection):
    state = min(VERBS[verb].bulk)
    rows += [workspace("mine", state), workspace("other", state)]
    named = sent(["workspace", verb, "mine", "other", option])
    listing, *of_all = sent(["workspace", verb, *selection, option])
    assert listing[1].startswith("/instances")
    assert ("reef" in listing[1]) is ("reef" in selection)
    assert of_all == named
    assert len(named) == 2
    assert of_all != sent(["workspace", verb, *selection])[1:]


def test_there_are_options_of_bulk_verbs():
    assert {("start", "--template-again"), ("terminate", "--backup")} <= {*BULK}
