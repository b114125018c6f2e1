"""Words of templates and parameters, made safe for whoever reads them on the machine."""

import re
import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any

from prism.templates.model import TemplateInvalid

# The same blanks that a local workspace's supervisor fills in.
BLANK = re.compile(r"(?<!\$)\{(port|token|home|name|parameters\.[A-Za-z_][A-Za-z0-9_-]*)\}")
# What means itself to a shell, whatever quotes it stands in.
PLAIN = re.compile(r"[\w@%+=:,./ -]*")


class Filler:
    """Fills blanks in with what is known of one machine; other braces stay as they are."""

    def __init__(self, name: str, home: str, parameters: Mapping[str, Any]) -> None:
        self._known = {"name": name, "home": home}
        self._known |= {
            f"parameters.{parameter}": _said(value) for parameter, value in parameters.items()
        }

    def fill(self, text: str, port: int | None = None, token: str = "") -> str:
        """The text as its reader gets it."""
        known = self._known | {"port": str(port), "token": token}
        return BLANK.sub(lambda blank: known.get(blank[1], ""), text)

    def shell(self, text: str, where: str) -> str:
        """A text that a shell will read: what is filled in must not say anything to it."""
        for blank in BLANK.findall(text):
            if not PLAIN.fullmatch(self.fill(f"{{{blank}}}")):
                raise TemplateInvalid(
                    f"`{blank}` cannot stand in a shell command: it holds characters that a "
                    "shell reads",
                    details=f"{where}: {{{blank}}} may be letters, digits and @%+=:,./ _-",
                    remediation="Launch with another value, or have the template hand it over in "
                    "`environment`",
                )
        return self.fill(text)


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def one_line(text: str, where: str) -> str:
    """The text, refused where it would end a line or is not for the eyes at all."""
    if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter != "\t" for letter in text):
        raise TemplateInvalid(
            "a value holds a line break or another control character",
            details=f"{where}: one line, without control characters",
            remediation="Launch with another value, or correct the template",
        )
    return text


def unit_word(text: str) -> str:
    """One word of a systemd command line that means itself."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return inside if re.fullmatch(r"[\w@+=:,./%-]+", inside) else f'"{inside}"'


def environment_line(name: str, value: str) -> str:
    """One line of a systemd `EnvironmentFile`."""
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return f'{name}="{escaped}"'


def export_line(name: str, value: str) -> str:
    """One line of a shell's profile."""
    return f"export {name}={shlex.quote(value)}"
