#!/usr/bin/python3 -I
"""Stops this machine at its expiry, even if the daemon that launched it is off.

The expiry is in the machine's tags, which this program reads from EC2's metadata service; if that
does not answer, the last answer counts. A timer runs it once a minute. If the machine should
hibernate, the program waits a little longer, so that the daemon can hibernate it through EC2.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

TTL, LAUNCHED, ACTION = "prism:ttl", "prism:launched-at", "prism:expire-action"
HIBERNATION_SECONDS = 120.0  # seconds
SECONDS_BY_UNIT = {
    "h": 3600,
    "m": 60,
    "s": 1,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|μs|ns|m|s)")
STOP, POWER_OFF_COMMAND = ["/usr/local/lib/prism/stop"], ["systemctl", "poweroff"]
WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def seconds(duration: str) -> float:
    """The seconds of a duration as Go writes it: `72h0m0s`, `1.5h`, `0`."""
    text = duration.strip()
    number = re.sub("^[+-]", "", text)
    parts = PART.findall(number)
    if number != "0" and (not parts or "".join(map("".join, parts)) != number):
        raise ValueError(f"{duration!r} is not a duration")
    total = sum(float(part) * SECONDS_BY_UNIT[unit] for part, unit in parts)
    return -total if text.startswith("-") else total


def moment(text: str) -> float:
    """The time of an RFC 3339 text, in seconds since 1970."""
    fine = re.sub(r"(\.\d{1,6})\d*", lambda it: it[1].ljust(7, "0"), text.strip())
    at = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", fine))
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()  # noqa: UP017


def tags(address: str) -> dict[str, str]:
    """Our tags of the instance, from IMDSv2; raises OSError if it does not answer."""

    def ask(path: str, method: str, header: str, value: str) -> str:
        request = urllib.request.Request(f"{address}/latest/{path}", method=method)
        request.add_header(f"X-aws-ec2-metadata-{header}", value)
        with WEB.open(request, timeout=5) as answer:
            return str(answer.read(65536).decode())

    token = ask("api/token", "PUT", "token-ttl-seconds", "60")
    path = "meta-data/tags/instance/"
    names = ask(path, "GET", "token", token).split()
    ours = [name for name in (TTL, LAUNCHED, ACTION) if name in names]
    return {name: ask(path + name, "GET", "token", token) for name in ours}


def deadline(address: str, saved: Path) -> float | None:
    """When to stop; None if never."""
    try:
        own_tags = tags(address)
        if TTL not in own_tags:
            saved.unlink(missing_ok=True)
            return None
        at = moment(own_tags[LAUNCHED]) + seconds(own_tags[TTL])
        at += HIBERNATION_SECONDS if own_tags.get(ACTION) == "hibernate" else 0
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        sys.stderr.write(f"its tags say nothing: {error!r}\n")
        return float(saved.read_text()) if saved.exists() else None
    saved.parent.mkdir(parents=True, exist_ok=True)
    new = saved.with_name(f"{saved.name}.new")
    new.write_text(str(at))
    os.replace(new, saved)
    return at


def ran(command: list[str]) -> bool:
    """Run a program; returns whether it exists and succeeded."""
    try:
        return subprocess.run(command, check=False).returncode == 0
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
        return False


def main() -> int:
    """Check the expiry once; only tests pass arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="http://169.254.169.254")
    parser.add_argument("--kept", type=Path, default=Path("/var/lib/prism/deadline"))
    parser.add_argument("--console", type=Path, default=Path("/dev/console"))
    parser.add_argument("--stop", default=STOP, nargs=1)
    parser.add_argument("command", nargs="*", default=POWER_OFF_COMMAND)
    arguments = parser.parse_args()
    at = deadline(arguments.address, arguments.kept)
    if at is None or time.time() < at:
        return 0
    words = time.strftime(
        "prism-ttl: going down, its time ended %Y-%m-%dT%H:%M:%SZ", time.gmtime(at)
    )
    sys.stdout.write(f"{words}\n")
    try:
        with arguments.console.open("a") as console:
            console.write(f"\n{words}\n")
    except OSError as error:
        sys.stderr.write(f"no console: {error}\n")
    # Only spot machines have this program, which stops them through EC2.
    if Path(arguments.stop[0]).exists() and ran(arguments.stop):
        return 0
    return int(not ran(arguments.command))


if __name__ == "__main__":
    sys.exit(main())
