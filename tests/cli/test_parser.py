"""The parser of the command line."""

import pytest

from prism.cli.parser import Help, UsageError, build_parser, find
from prism.cli.registry import (
    ALONE,
    COMMANDS,
    COMMON_OPTIONS,
    NOUNS,
    SHORTCUTS,
    overview,
    verbs_of,
)

EVERY = [*COMMANDS, *((word,) for word in ALONE)]


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_has_a_help_text(command, capsys):
    with pytest.raises(SystemExit) as done:
        build_parser(command).parse_args(["--help"])
    assert done.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith(f"usage: prism {' '.join(command)} ")
    assert all(option in output for option in COMMON_OPTIONS)


def test_overview_lists_every_noun_shortcut_option_and_verb():
    for word in (*NOUNS, *ALONE, *SHORTCUTS, *COMMON_OPTIONS):
        assert f"\n  {word} " in overview()
    for noun, verb in COMMANDS:
        assert f"\n  {verb} " in verbs_of(noun)


@pytest.mark.parametrize(
    "words",
    [
        "--json --yes --no-wait workspace stop mine",
        "workspace --json stop --yes mine --no-wait",
        "workspace stop mine --json --yes --no-wait",
        "stop -y --no-wait mine --json",
        "--json stop mine --no-wait -y",
    ],
)
def test_common_options_are_accepted_at_any_position(words):
    command, rest = find(words.split())
    assert command == ("workspace", "stop")
    arguments = build_parser(command).parse_all(rest)
    assert (arguments.names, arguments.verb) == (["mine"], "stop")
    assert arguments.json and arguments.yes and arguments.no_wait


def test_common_options_are_off_by_default():
    command, rest = find(["stop", "mine"])
    arguments = build_parser(command).parse_all(rest)
    assert not (arguments.json or arguments.yes or arguments.no_wait)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("lanch a b", "Did you mean `prism launch`?"),
        ("workspaces list", "Did you mean `prism workspace`?"),
        ("workspace lst", "Did you mean `prism workspace list`?"),
        ("profile swich x", "Did you mean `prism profile switch`?"),
        ("xyzzy", "See `prism --help`"),
        ("--jsn list", "Did you mean `--json`?"),
        ("daemon xyzzy", "See `prism daemon --help`"),
        ("launch a b --sise M", "Did you mean `--size`?"),
        ("launch a b c", "See `prism workspace launch --help`"),
        ("launch a", "See `prism workspace launch --help`"),
        ("launch a b --size Q", "See `prism workspace launch --help`"),
        ("launch a b --ttl soon", "See `prism workspace launch --help`"),
        ("extend a --hou 3", "See `prism workspace extend --help`"),
    ],
)
def test_usage_error_suggests_a_similar_command_or_the_help(words, hint):
    with pytest.raises(UsageError) as wrong:
        command, rest = find(words.split())
        build_parser(command).parse_all(rest)
    assert hint in wrong.value.hint


@pytest.mark.parametrize(
    "words", ["update a --description hi", "share a b --untli 2d", "launch --json=1 --temp a"]
)
def test_unknown_option_is_reported_before_what_is_missing_instead(words):
    command, rest = find(words.split())
    with pytest.raises(UsageError) as wrong:
        build_parser(command).parse_all(rest)
    assert wrong.value.message.startswith("unknown: --")


@pytest.mark.parametrize(
    ("words", "verb"),
    [("launch a b --template c", "launch"), ("update a --restart --descr b", "update")],
)
def test_unknown_option_without_a_similar_one_suggests_the_help(words, verb):
    command, rest = find(words.split())
    with pytest.raises(UsageError) as wrong:
        build_parser(command).parse_all(rest)
    assert wrong.value.hint == f"See `prism workspace {verb} --help`"


@pytest.mark.parametrize(
    ("words", "noun"),
    [("", ""), ("--help", ""), ("--json", ""), ("template", "template"), ("daemon -h", "daemon")],
)
def test_help_is_raised_for_help_options_and_bare_nouns(words, noun):
    with pytest.raises(Help) as help_error:
        find(words.split())
    assert help_error.value.noun == noun


DURATION_OPTIONS = [
    pytest.param(action, id=f"{' '.join(command)} {action.dest}")
    for command in EVERY
    for action in build_parser(command)._actions
    if action.metavar == "TIME" and action.type is not None
]


@pytest.mark.parametrize("action", DURATION_OPTIONS)
def test_every_duration_option_accepts_hours_and_days(action):
    assert action.type("2d") > action.type("8h") > 0
    assert action.type("48h") == action.type("2d")


def test_options_named_after_a_time_unit_accept_durations():
    """An option of type `int` or `float` would not accept `8h`."""
    assert len(DURATION_OPTIONS) >= 4
    numbers = [
        action.dest
        for command in EVERY
        for action in build_parser(command)._actions
        if action.type in {int, float} and {*action.dest.split("_")} & UNITS
    ]
    assert numbers == []


UNITS = {"ttl", "hours", "minutes", "days", "seconds", "timeout", "wait"}
