"""docs/cli.md contains every command and every option."""

import re
from argparse import SUPPRESS
from pathlib import Path

import pytest

from prism.cli.parser import build_parser, find
from prism.cli.registry import ALONE, COMMANDS, COMMON_OPTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
EVERY = [*COMMANDS, *((word,) for word in ALONE)]
SELF_EVIDENT = {"-h", "--help", *COMMON_OPTIONS}


def commands_on_the_page():
    """The commands on the page, without comments, each with its words."""
    for line in re.findall(r"^prism (.*)$", PAGE, re.MULTILINE):
        words = re.sub(r"\s+#.*|\s+[>|] .*", "", line).replace('"', "").split()
        yield find(words)[0], words


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_is_documented_with_every_option(command):
    assert command in dict(commands_on_the_page()), "the command is not on the page"
    documented_options = {
        word for about, words in commands_on_the_page() if about[0] == command[0] for word in words
    }
    for action in (action for action in build_parser(command)._actions if action.help != SUPPRESS):
        names = set(action.option_strings)
        assert not names or names & (documented_options | SELF_EVIDENT), names


@pytest.mark.parametrize("option", COMMON_OPTIONS)
def test_every_common_option_is_documented(option):
    assert f"| `{option}`" in PAGE
