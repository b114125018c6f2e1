"""`prism init`: asks who you are and where workspaces run, and launches a first one.

Every question is also an option. Answers are written to the file `env` in the home; an old
value is shown before it is replaced.
"""

from __future__ import annotations

import os
import sys

from prism.annotations import ArgumentParser, Namespace
from prism.cli.connection import StartingWire
from prism.cli.installation.daemon_start import is_listening, start_daemon
from prism.cli.output.terminal import coloured, say, show_json, suggest
from prism.client.profiles import Profiles
from prism.client.templates import Templates
from prism.client.transport.address import DaemonAddress
from prism.client.transport.wire import Wire
from prism.client.workspaces import Workspaces
from prism.errors import Conflict, Invalid, Problem

FIRST_TEMPLATE = "Data Science (pip)"
VARIABLES_BY_OPTION = {"user": "PRISM_USER", "prices": "PRISM_LOCAL_PRICES", "port": "PRISM_PORT"}
YES = {"y", "yes"}
NO = {"n", "no"}


class Wizard:
    """Asks questions on the terminal, or uses the defaults if there is none."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def ask(self, question: str, usual: str = "") -> str:
        """The typed answer, or the default."""
        if not self.asks:
            return usual
        sys.stderr.write(f"{question}{f' [{usual}]' if usual else ''}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            say("")
            raise KeyboardInterrupt  # Ctrl-D ends the questions
        return line.strip() or usual

    def agrees(self, question: str, *, usual: bool) -> bool:
        """Ask a question whose answer is yes or no."""
        answer = self.ask(f"{question} ({'Y/n' if usual else 'y/N'})").lower()
        while answer not in YES | NO | {""}:
            answer = self.ask("Please answer `y` or `n`").lower()
        return answer in YES if answer else usual

    def chosen(self, question: str, among: list[str], usual: str) -> str:
        """Let the user choose from a list, by number or by name."""
        for number, choice in enumerate(among, 1):
            if self.asks:
                say(f"  {number:>2}  {choice}")
        while True:
            answer = self.ask(question, usual)
            if answer.isdigit() and 0 < int(answer) <= len(among):
                return among[int(answer) - 1]
            if answer in among or not self.asks:
                return answer
            say(f"There is no `{answer}` here")


def _init(args: Namespace) -> None:
    flags = [args.user, args.prices, args.port, args.profile, args.template]
    asks = sys.stdin.isatty() and not args.yes
    if not (asks or args.yes or any(flag is not None for flag in flags)):
        raise Conflict(
            "There is no terminal to ask on",
            details="standard input is not a terminal",
            remediation="Give the answers as options: `prism init --yes --user YOU@EXAMPLE.ORG`",
        )
    wizard = Wizard(asks=asks and not any(flag is not None for flag in flags))
    _report_problems()
    changes = _settings(args, wizard)
    address = DaemonAddress.of_variables()  # of this computer, wherever you are logged in
    if changes and not address.url and is_listening(address):
        restart_daemon(address)
    wire = StartingWire(address)
    profile = _profile(args, wizard, wire)
    launched = _launch(args, wizard, wire)
    if args.json:
        show_json({"settings": changes, "profile": profile, "workspace": launched})
    elif launched is None:
        suggest("Next: `prism quickstart`, or `prism template list`")


def _report_problems() -> None:
    """Print what is broken; `prism doctor` prints warnings too."""
    from prism.cli.installation.doctor import here  # noqa: PLC0415  cold start

    for finding in here():
        if finding.level == "broken":
            say(f"{coloured(finding.check, 'red', sys.stderr)}: {finding.message}")
            suggest(finding.fix)


def _settings(args: Namespace, wizard: Wizard) -> dict[str, str]:
    """Ask for the settings, and write those that changed to the file."""
    from prism.env_file import read_env_file, update_env_file  # noqa: PLC0415  cold start
    from prism.home import environment  # noqa: PLC0415  cold start
    from prism.settings import Settings  # noqa: PLC0415  cold start: it brings msgspec

    home, known = DaemonAddress.read().home, environment(os.environ)
    usual = args.user or known.get("PRISM_USER") or _git_email()
    mail = wizard.ask("Your mail address, for invitations", usual)
    options = {
        "user": _mail_address(mail, wizard),
        "prices": args.prices or _prices(wizard, known.get("PRISM_LOCAL_PRICES", "")),
        "port": args.port or "",
    }
    settings = {VARIABLES_BY_OPTION[name]: value for name, value in options.items() if value}
    changes = {name: value for name, value in settings.items() if known.get(name) != value}
    Settings.read(changes)  # raises if the daemon would refuse a value
    before = read_env_file(home)
    for name, value in changes.items():
        before_text = f", was {before[name]}" if before.get(name) else ""
        say(f"{name}={value}{before_text}")
        if os.environ.get(name):
            suggest(f"This shell overrides it: unset {name}")
    if changes and wizard.agrees(f"Keep this in {home}/env?", usual=True):
        say(f"Written to {update_env_file(home, changes)}")
        return changes
    return {}


def _prices(wizard: Wizard, now: str) -> str:
    question = "Show what workspaces here would cost on EC2?"
    return "aws" if wizard.agrees(question, usual=now == "aws") else ("none" if now else "")


def _mail_address(value: str, wizard: Wizard) -> str:
    """The mail address; asks again until it looks like one."""
    while value and ("@" not in value or "." not in value.rpartition("@")[2] or " " in value):
        if not wizard.asks:
            raise Invalid(
                f"{value} is not a mail address",
                remediation="Write it like `prism init --user YOU@EXAMPLE.ORG`",
            )
        value = wizard.ask(f"{value} is not a mail address; yours")
    return value


def _git_email() -> str:
    """The mail address that git knows."""
    from prism.cli.checks.context import run  # noqa: PLC0415  cold start: it brings `subprocess`

    ran = run("git", "config", "--global", "user.email")
    return ran.output if ran.code == 0 and "@" in ran.output else ""


def restart_daemon(address: DaemonAddress) -> None:
    """Restart the daemon, so that it reads its settings again."""
    from prism.cli.installation.daemon import stop_daemon  # noqa: PLC0415  cold start

    say("Restarting the daemon; workspaces keep running")
    stop_daemon(address)
    start_daemon(DaemonAddress.of_variables())


def _profile(args: Namespace, wizard: Wizard, wire: Wire) -> str:
    profiles = wire.call(Profiles.list)
    active: str = next(
        (profile["name"] for profile in profiles if profile["active"]), profiles[0]["name"]
    )
    chosen = args.profile
    if chosen is None and len(profiles) > 1 and wizard.asks:
        say("Where workspaces run:")
        chosen = wizard.chosen("Profile", [profile["name"] for profile in profiles], active)
    if chosen not in {None, active}:
        wire.call(Profiles.switch, chosen)
        say(f"{chosen} is the active profile now")
    return chosen or active


def _launch(args: Namespace, wizard: Wizard, wire: Wire) -> str | None:
    template: str | None = args.template
    name: str = args.name
    if template is None:
        if not (wizard.asks and wizard.agrees("Launch a first workspace?", usual=True)):
            return None
        template = wizard.chosen("Template", _templates(wire), FIRST_TEMPLATE)
        name = wizard.ask("What is its name?", name)
    try:
        answer = wire.call(Workspaces.launch, template, name)
    except Problem as problem:
        if problem.code != "NAME_TAKEN":
            raise
        say(f"A workspace {name} already exists")
        suggest(f"See it: `prism show {name}`")
        return name
    if not args.no_wait:
        from prism.cli.output.progress import wait_with_progress  # noqa: PLC0415  cold start: only who waits
        from prism.cli.workspace.launch import connect_hint  # noqa: PLC0415  cold start: only who waits

        wait_with_progress(wire, name, "running", answer["estimated_ready_time"], silent=args.json)
        say(f"{name} is running")
        suggest(connect_hint(wire, name))
    return name


def _templates(wire: Wire) -> list[str]:
    """The templates that this computer can run, the recommended one first."""
    names: list[str] = [template["name"] for template in wire.call(Templates.list)]
    infos = [wire.call(Templates.info, name) for name in names]
    local = [name for name, info in zip(names, infos, strict=True) if info["runs_locally"]]
    return sorted(local, key=lambda it: (it != FIRST_TEMPLATE, it))


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--user", metavar="MAIL", help="your mail address")
    parser.add_argument(
        "--prices",
        choices=("none", "aws"),
        help="what local workspaces cost: nothing, or the prices of EC2",
    )
    parser.add_argument("--port", help="the daemon's port; 0 takes any free port")
    parser.add_argument("--profile", metavar="NAME", help="the profile to use from now on")
    parser.add_argument("--template", help="launch a first workspace from this template")
    parser.add_argument("--name", default="quickstart", help="its name (default: quickstart)")


VERBS = {"init": (_arguments, _init)}
