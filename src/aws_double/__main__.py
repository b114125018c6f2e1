"""`python -m aws_double --port P [--seed N] [--rules FILE]`."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from aws_double.double import AwsDouble
from aws_double.rulebook import BadRules, read
from aws_double.rules import Rules


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser("aws_double", description="An AWS on this machine.")
    parser.add_argument("--port", type=int, required=True, help="0 is a free one")
    parser.add_argument("--seed", type=int, default=0, help="what chance decides (0)")
    parser.add_argument("--rules", type=Path, help="YAML or JSON; docs/aws-double.md")
    arguments = parser.parse_args()
    try:
        rules = read(arguments.rules) if arguments.rules else Rules()
    except (BadRules, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    with AwsDouble(arguments.port, arguments.seed, rules) as double:
        for name, value in double.environ().items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.flush()
        end.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
