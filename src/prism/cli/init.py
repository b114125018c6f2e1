"""`prism init`: who you are, where workspaces run, and a first one, in a few questions.

Every question is also an option. What is set goes into the file `env` in the home; what
stood there before is shown before it is replaced.
"""

from __future__ import annotations

import os
import sys

from prism.cli.connection import daemon
from prism.cli.daemon_start import answers, start_daemon
from prism.cli.terminal import painted, say, show_json, suggest
from prism.client.address import DaemonAddress
from prism.client.profiles import Profiles
from prism.client.templates import Templates
from prism.client.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Conflict, Invalid, Problem

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

FIRST = "Data Science (pip)"
NAMES = {"user": "PRISM_USER", "prices": "PRISM_LOCAL_PRICES", "port": "PRISM_PORT"}
YES = {"y", "yes"}
NO = {"n", "no"}


class Wizard:
    """Asks a person, or takes what is usual where there is none."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def ask(self, question: str, usual: str = "") -> str:
        """What is typed, or the usual."""
        if not self.asks:
            return usual
        sys.stderr.write(f"{question}{f' [{usual}]' if usual else ''}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            say("")
            raise KeyboardInterrupt  # Ctrl-D: nobody answers any more
        return line.strip() or usual

    def agrees(self, question: str, *, usual: bool) -> bool:
        """Yes or no."""
        said = self.ask(f"{question} ({'Y/n' if usual else 'y/N'})").lower()
        while said not in YES | NO | {""}:
            said = self.ask("Please answer `y` or `n`").lower()
        return said in YES if said else usual

    def chosen(self, question: str, among: list[str], usual: str) -> str:
        """One of these, by its number or its name."""
        for number, choice in enumerate(among, 1):
            if self.asks:
                say(f"  {number:>2}  {choice}")
        while True:
            said = self.ask(question, usual)
            if said.isdigit() and 0 < int(said) <= len(among):
                return among[int(said) - 1]
            if said in among or not self.asks:
                return said
            say(f"There is no `{said}` here")


def _init(asked: Namespace) -> None:
    flags = [asked.user, asked.prices, asked.port, asked.profile, asked.template]
    asks = sys.stdin.isatty() and not asked.yes
    if not (asks or asked.yes or any(flag is not None for flag in flags)):
        raise Conflict(
            "There is no terminal to ask on",
            details="standard input is not a terminal",
            remediation="Give the answers as options: `prism init --yes --user YOU@EXAMPLE.ORG`",
        )
    talk = Wizard(asks=asks and not any(flag is not None for flag in flags))
    _examine()
    changes = _settings(asked, talk)
    place = DaemonAddress.read()
    if changes and not place.url and answers(place):
        _restart(place)
    wire = daemon()
    profile = _profile(asked, talk, wire)
    launched = _launch(asked, talk, wire)
    if asked.json:
        show_json({"settings": changes, "profile": profile, "workspace": launched})
    elif launched is None:
        suggest("Next: `prism quickstart`, or `prism template list`")


def _examine() -> None:
    """Say what is broken; what is only less than it could be, `prism doctor` tells."""
    from prism.cli.doctor import here  # noqa: PLC0415  cold start

    for finding in here():
        if finding.level == "broken":
            say(f"{painted(finding.check, 'red', sys.stderr)}: {finding.said}")
            suggest(finding.fix)


def _settings(asked: Namespace, talk: Wizard) -> dict[str, str]:
    """Ask for what is worth being asked for, and remember it."""
    from prism.cli.env_file import remember, remembered  # noqa: PLC0415  cold start
    from prism.home import environment  # noqa: PLC0415  cold start

    home, known = DaemonAddress.read().home, environment(os.environ)
    usual = asked.user or known.get("PRISM_USER") or _from_git()
    mail = talk.ask("Your mail address, for invitations", usual)
    wanted = {
        "user": _sound(mail, talk),
        "prices": asked.prices or _prices(talk, known.get("PRISM_LOCAL_PRICES", "")),
        "port": asked.port or "",
    }
    wishes = {NAMES[name]: value for name, value in wanted.items() if value}
    changes = {name: value for name, value in wishes.items() if known.get(name) != value}
    _check(changes)
    before = remembered(home)
    for name, value in changes.items():
        was = f", was {before[name]}" if before.get(name) else ""
        say(f"{name}={value}{was}")
        if os.environ.get(name):
            suggest(f"This shell overrides it: unset {name}")
    if changes and talk.agrees(f"Keep this in {home}/env?", usual=True):
        say(f"Written to {remember(home, changes)}")
        return changes
    return {}


def _prices(talk: Wizard, now: str) -> str:
    question = "Show what workspaces here would cost on EC2?"
    return "aws" if talk.agrees(question, usual=now == "aws") else ("none" if now else "")


def _sound(value: str, talk: Wizard) -> str:
    """The value, asked for again as long as it is not a mail address."""
    while value and ("@" not in value or "." not in value.rpartition("@")[2] or " " in value):
        if not talk.asks:
            raise Invalid(
                f"{value} is not a mail address",
                remediation="Write it like `prism init --user YOU@EXAMPLE.ORG`",
            )
        value = talk.ask(f"{value} is not a mail address; yours")
    return value


def _check(changes: dict[str, str]) -> None:
    """Raise for what the daemon would refuse."""
    from prism.settings import Settings  # noqa: PLC0415  cold start: it brings msgspec

    Settings.read(changes)


def _from_git() -> str:
    """The mail address that git knows."""
    from prism.cli.checks.world import run  # noqa: PLC0415  cold start: it brings `subprocess`

    ran = run("git", "config", "--global", "user.email")
    return ran.said if ran.code == 0 and "@" in ran.said else ""


def _restart(place: DaemonAddress) -> None:
    """Have the daemon read its settings again."""
    from prism.cli.daemon import stop_daemon  # noqa: PLC0415  cold start

    say("Restarting the daemon; workspaces keep running")
    stop_daemon(place)
    start_daemon(DaemonAddress.read())


def _profile(asked: Namespace, talk: Wizard, wire: Wire) -> str:
    found = wire.call(Profiles.list)
    active: str = next(
        (profile["name"] for profile in found if profile["active"]), found[0]["name"]
    )
    wanted = asked.profile
    if wanted is None and len(found) > 1 and talk.asks:
        say("Where workspaces run:")
        wanted = talk.chosen("Profile", [profile["name"] for profile in found], active)
    if wanted not in {None, active}:
        wire.call(Profiles.switch, wanted)
        say(f"{wanted} is the active profile now")
    return wanted or active


def _launch(asked: Namespace, talk: Wizard, wire: Wire) -> str | None:
    template: str | None = asked.template
    name: str = asked.name
    if template is None:
        if not (talk.asks and talk.agrees("Launch a first workspace?", usual=True)):
            return None
        template = talk.chosen("Template", _templates(wire), FIRST)
        name = talk.ask("What is its name?", name)
    try:
        answer = wire.call(Workspaces.launch, template, name)
    except Problem as problem:
        if problem.code != "NAME_TAKEN":
            raise
        say(f"There is a workspace {name} already")
        suggest(f"See it: `prism show {name}`")
        return name
    if not asked.no_wait:
        from prism.cli.launch import way_in  # noqa: PLC0415  cold start: only who waits
        from prism.cli.progress import accompany  # noqa: PLC0415  cold start: only who waits

        accompany(wire, name, "running", answer["estimated_ready_time"], silent=asked.json)
        say(f"{name} is running")
        suggest(way_in(wire, name))
    return name


def _templates(wire: Wire) -> list[str]:
    """Those that this machine can run, the one to try first on top."""
    names: list[str] = [template["name"] for template in wire.call(Templates.list)]
    infos = [wire.call(Templates.info, name) for name in names]
    local = [name for name, info in zip(names, infos, strict=True) if info["runs_locally"]]
    return sorted(local, key=lambda it: (it != FIRST, it))


def _arguments(made: ArgumentParser) -> None:
    made.add_argument("--user", metavar="MAIL", help="your mail address")
    made.add_argument(
        "--prices",
        choices=("none", "aws"),
        help="what local workspaces cost: nothing, or the prices of EC2",
    )
    made.add_argument("--port", help="the daemon's port; 0 takes any free port")
    made.add_argument("--profile", metavar="NAME", help="the profile to use from now on")
    made.add_argument("--template", help="launch a first workspace from this template")
    made.add_argument("--name", default="quickstart", help="its name (default: quickstart)")


VERBS = {"init": (_arguments, _init)}
