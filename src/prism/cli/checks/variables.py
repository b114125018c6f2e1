"""Checks of the settings, and of who you are."""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from prism.cli.checks.context import CheckContext, Finding, broken, ok, skipped, warning
from prism.home import NETWORK_VARIABLES, lines_of, settings_file
from prism.settings import SettingInvalid, Settings, variable

KNOWN = {variable(name) for name in Settings.__struct_fields__}
WITH_OTHERS = {  # variables that need others to be valid
    *("PRISM_HOST", "PRISM_TLS_CERT", "PRISM_TLS_KEY", "PRISM_TRUSTED_PROXIES"),
    *("PRISM_APPS_DOMAIN", "PRISM_OIDC_ISSUER"),
}
OWN_VARIABLES = {"PRISM_MACHINE"}  # set inside of workspaces
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


def settings(context: CheckContext) -> Iterator[Finding]:
    """Every `PRISM_…` variable, and every line of the settings' file."""
    env = {name: value for name, value in context.environ.items() if name.startswith("PRISM_")}
    for name in env.keys() - KNOWN - OWN_VARIABLES:
        yield warning(f"{name} is not a setting of Prism", _suggestion(name))
    yield from _invalid({name: value for name, value in env.items() if name in KNOWN and value})
    yield from _env_file_findings(context)
    named = sorted(env.keys() & KNOWN)
    yield ok(", ".join(named) if named else "all have their defaults")


def who_you_are(context: CheckContext) -> Finding:
    """The user name: a mail address for invitations, or the name that a remote daemon gives."""
    if context.address.url:
        if context.status is None:
            return skipped(context.no_answer)
        by = context.address.named_by
        return ok(f"{context.status['user']}, according to the daemon at {by}")
    user = context.environ.get("PRISM_USER", "")
    if not user:
        message = "PRISM_USER is not set: invitations cannot find you"
        return warning(message, "`prism init --user YOU@EXAMPLE.ORG`")
    if not MAIL.fullmatch(user):
        message = f"PRISM_USER is {user}, not a mail address: invitations cannot find you"
        return warning(message, "`prism init --user YOU@EXAMPLE.ORG`")
    return ok(user)


def _invalid(variables: Mapping[str, str]) -> Iterator[Finding]:
    sound = {}
    for name, value in variables.items():
        alone = {name: value} if name not in WITH_OTHERS else {}
        try:
            Settings.read(alone)
            sound[name] = value
        except SettingInvalid as error:
            yield broken(error.message, error.remediation)
    try:
        Settings.read(sound)
    except SettingInvalid as error:
        yield broken(error.message, error.remediation)


def _env_file_findings(context: CheckContext) -> Iterator[Finding]:
    path = settings_file(context.address.home)
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
            yield broken(f"{where} is not NAME=value", "Correct the line")
        elif name == "PRISM_HOME":
            message = f"{where}: the file lies in the home, so it cannot say where that is"
            yield broken(message, "Remove the line")
        elif name not in KNOWN | NETWORK_VARIABLES:
            yield broken(f"{where}: {name} is not a setting of Prism", _suggestion(name))


def _suggestion(name: str) -> str:
    near = get_close_matches(name, KNOWN, 1, 0.6)
    return f"Did you mean {near[0]}?" if near else f"Remove it: unset {name}"
