"""Keeps in the home who may use the daemon, for starts without these variables.

`prism` starts the daemon when it needs one, in an environment that need not be that of the first
start. Without this, a daemon for people with tokens would come back as one that needs none.
"""

from collections.abc import Mapping

from prism.env_file import read_env_file, update_env_file
from prism.errors import Unavailable
from prism.home import settings_file
from prism.settings import Settings, variable

ACCESS_SETTINGS = ("auth", "host", "public_url")


class AccessNotKept(Unavailable, code="ACCESS_NOT_KEPT"):
    """The home cannot keep who may use the daemon."""


def keep_access(settings: Settings) -> None:
    """Write the settings of team mode into the home's file, unless they are there already."""
    folder = str(settings.folder)
    try:
        if changes := access_changes(settings, read_env_file(folder)):
            update_env_file(folder, changes)
    except OSError as error:
        raise AccessNotKept(
            f"{settings_file(folder)} cannot be written",
            details=f"the next start would not ask for tokens ({error.strerror or error})",
            remediation=f"Make it writable, or write {variable('auth')}=tokens into it",
        ) from error


def access_changes(settings: Settings, written: Mapping[str, str]) -> dict[str, str]:
    """The lines that the file needs; none in local mode, which is the default."""
    if settings.auth != "tokens":
        return {}
    ours = {variable(name): str(getattr(settings, name)) for name in ACCESS_SETTINGS}
    standard = {variable(name): str(getattr(Settings(), name)) for name in ACCESS_SETTINGS}
    return {
        name: value
        for name, value in ours.items()
        if value != (written.get(name) or standard[name])
    }
