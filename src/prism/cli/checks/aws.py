"""Checks of AWS's files and variables, and of the daemon's access; they show no secret.

Only the daemon asks AWS, and only for profiles that are active.
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prism.cli.checks.context import CheckContext, Finding, broken, ok, skipped, warning
from prism.client.daemon import Daemon
from prism.client.profiles import Profiles
from prism.errors import Problem

KEY_VARIABLE, SECRET_VARIABLE = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
# Variables that give credentials to containers, clusters and single sign-on.
ELSEWHERE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
WAYS = {"aws_access_key_id", "role_arn", "sso_session", "sso_start_url", "credential_process"}


def aws_credentials(context: CheckContext) -> Iterator[Finding]:
    """The profiles and variables that can give AWS credentials."""
    profiles: list[str] = []
    for path, shared in _files(context.environ):
        try:
            profiles += _profiles(path, shared=shared)
        except (OSError, ValueError) as error:
            why = str(error).splitlines()[0]
            yield broken(f"{path} cannot be read: {why}", f"Correct {path}")
            continue
        if shared and path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield warning(f"other users may read {path}", f"chmod 600 {path}")
    if bool(context.environ.get(KEY_VARIABLE)) != bool(context.environ.get(SECRET_VARIABLE)):
        missing = SECRET_VARIABLE if context.environ.get(KEY_VARIABLE) else KEY_VARIABLE
        message = f"half of a key is in the environment: {missing} is missing"
        yield broken(message, f"export {missing}=…, or unset the other variable")
    chosen = context.environ.get("AWS_PROFILE") or context.environ.get("AWS_DEFAULT_PROFILE")
    if chosen and chosen not in profiles:
        yield broken(f"AWS_PROFILE is {chosen}, which no file has", "unset AWS_PROFILE")
    yield from _prism_profiles(context, profiles)
    yield ok(_credential_sources(profiles, context.environ))


def aws_access(context: CheckContext) -> Iterator[Finding]:
    """The AWS identity of each active profile, and the permissions that it lacks."""
    if context.status is None:
        yield skipped(context.no_answer)
        return
    if context.status.get("aws_connectivity") in {None, "not_configured"}:
        yield ok("not used")
        return
    try:
        accesses = context.ask(Daemon.aws)
    except Problem as problem:
        yield warning(f"the daemon cannot say: {problem.message}", "`prism aws check`")
        return
    for access in accesses:
        yield _access_finding(access)
    if not accesses:
        yield ok("no AWS profile is active, so AWS was not asked")


def _access_finding(access: Mapping[str, Any]) -> Finding:
    profile = f"profile {access['profile']}"
    if access["problem"]:
        fix = access["remediation"] or ""
        if not fix or "prism doctor" in fix:
            fix = f"`prism aws check {access['profile']}`"
        return broken(f"{profile}: {access['problem']}", fix)
    identity = f"{profile} is {access['identity']} in {access['region']}"
    if access["missing"]:
        lacks = ", ".join(access["missing"])
        fix = access["remediation"] or "Attach what `prism aws policy` prints"
        return warning(f"{identity}, and may not {lacks}", fix)
    refused = [check for check in access.get("checks", ()) if check["name"] == "launch"]
    if refused and refused[0]["ok"] is False:
        return warning(f"{identity}; {refused[0]['message']}", refused[0]["remediation"])
    if access["note"]:
        return warning(f"{identity}; {access['note']}", "`prism aws setup`, as an administrator")
    unsure = (
        f"; {len(access['unknown'])} permissions could not be tried" if access["unknown"] else ""
    )
    return ok(f"{identity}, and no missing permission is known{unsure}" if unsure else identity)


def _prism_profiles(context: CheckContext, aws_profiles: list[str]) -> Iterator[Finding]:
    """Prism's profiles that name a missing AWS profile."""
    if context.status is None:
        return
    for profile in context.ask(Profiles.list):
        name = profile.get("aws_profile")
        if name and name not in aws_profiles:
            text = f"the profile {profile['name']} uses the AWS profile {name}, which no file has"
            fix = f"aws configure --profile {name}, or `prism profile update {profile['name']}`"
            yield broken(text, fix)


def _credential_sources(profiles: list[str], environ: Mapping[str, str]) -> str:
    sources = [f"profiles {', '.join(dict.fromkeys(profiles))}"] if profiles else []
    sources += (
        ["keys in the environment"]
        if environ.get(KEY_VARIABLE) and environ.get(SECRET_VARIABLE)
        else []
    )
    sources += [f"{name}" for name in ELSEWHERE if environ.get(name)]
    return "; ".join(sources) or "none: workspaces run on this machine only"


def _files(environ: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    home = environ.get("HOME") or "~"
    for name, usual, shared in (
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", True),
        ("AWS_CONFIG_FILE", "config", False),
    ):
        yield Path(environ.get(name) or f"{home}/.aws/{usual}").expanduser(), shared


def _profiles(path: Path, *, shared: bool) -> list[str]:
    """The profiles of a file that can get credentials."""
    if not path.exists():
        return []
    import configparser  # noqa: PLC0415  cold start: many have no such file

    parser = configparser.RawConfigParser(strict=False, default_section="", allow_no_value=True)
    try:
        parser.read_string(path.read_text("utf-8"))
    except configparser.Error as error:
        raise ValueError(str(error)) from error
    names = []
    for section in parser.sections():
        profile = shared or section == "default" or section.startswith("profile ")
        if profile and WAYS & set(parser.options(section)):
            names.append(section.removeprefix("profile ").strip())
    return names
