"""`prism version`."""

from argparse import Namespace

from prism import __version__
from prism.cli.parser import nothing
from prism.cli.terminal import show_json


def _version(asked: Namespace) -> None:
    """Say it, also with the options of every command; `main.py` answers the plain case."""
    return show_json({"version": __version__}) if asked.json else print(f"prism {__version__}")


VERBS = {"version": (nothing, _version)}
