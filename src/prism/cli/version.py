"""`prism version`."""

from argparse import Namespace

from prism import __version__
from prism.cli.output.terminal import show_json
from prism.cli.parser import no_arguments


def _version(args: Namespace) -> None:
    """Print the version, as `main.py` does, but with the options of every command."""
    return show_json({"version": __version__}) if args.json else print(f"prism {__version__}")


VERBS = {"version": (no_arguments, _version)}
