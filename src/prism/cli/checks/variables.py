"""The settings, as they were written down."""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from prism.cli.checks.world import Finding, World, broken, ok, skipped, warning
from prism.home import lines_of, settings_file
from prism.settings import SettingInvalid, Settings, variable

KNOWN = {variable(name) for name in Settings.__struct_fields__}
OURS = {"PRISM_MACHINE"}  # set inside of workspaces
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def settings(world: World) -> Iterator[Finding]:
    """Every `PRISM_…` variable, and every line of the settings' file."""
    given = {name: value for name, value in world.environ.items() if name.startswith("PRISM_")}
    for name in given.keys() - KNOWN - OURS:
        yield warning(f"{name} is not a setting of Prism", _meant(name))
    yield from _wrong({name: value for name, value in given.items() if name in KNOWN and value})
    yield from _file(world)
    named = sorted(given.keys() & KNOWN)
    yield ok(", ".join(named) if named else "all have their defaults")


def who_you_are(world: World) -> Finding:
    """Invitations go by a mail address; whom a daemon elsewhere takes you for, it says."""
    if world.place.url:
        if world.status is None:
            return skipped("the daemon at PRISM_URL does not answer")
        return ok(f"{world.status['user']}, according to the daemon at PRISM_URL")
    user = world.environ.get("PRISM_USER", "")
    if not user:
        said = "PRISM_USER is not set: invitations cannot find you"
        return warning(said, "`prism init --user YOU@EXAMPLE.ORG`")
    if not MAIL.fullmatch(user):
        said = f"PRISM_USER is {user}, no mail address: invitations cannot find you"
        return warning(said, "`prism init --user YOU@EXAMPLE.ORG`")
    return ok(user)


def _wrong(given: Mapping[str, str]) -> Iterator[Finding]:
    sound = {}
    for name, value in given.items():
        alone = {name: value} if name != "PRISM_HOST" else {}
        try:
            Settings.read(alone)
            sound[name] = value
        except SettingInvalid as wrong:
            yield broken(wrong.message, wrong.remediation)
    try:
        Settings.read(sound)
    except SettingInvalid as wrong:
        yield broken(wrong.message, wrong.remediation)


def _file(world: World) -> Iterator[Finding]:
    path = settings_file(world.place.home)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return
    except (OSError, UnicodeError) as error:
        yield broken(f"{path} cannot be read: {error}", f"Correct it, or remove it: rm {path}")
        return
    if os.stat(path).st_mode & 0o077:
        yield warning(f"other users may read {path}", f"chmod 600 {path}")
    for number, name, value in lines_of(text):
        where = f"{path}, line {number}"
        if value is None:
            yield broken(f"{where} is no NAME=value", "Correct the line")
        elif name == "PRISM_HOME":
            said = f"{where}: the file lies in the home, so it cannot say where that is"
            yield broken(said, "Remove the line")
        elif name not in KNOWN:
            yield broken(f"{where}: {name} is not a setting of Prism", _meant(name))


def _meant(name: str) -> str:
    near = get_close_matches(name, KNOWN, 1, 0.6)
    return f"Did you mean {near[0]}?" if near else f"Remove it: unset {name}"
