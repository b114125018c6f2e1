"""Fills in placeholders of templates, and escapes texts for shells and systemd."""

import re
import shlex
import unicodedata
from collections.abc import Mapping
from typing import Any

from prism.templates.model import TemplateInvalid

# The same placeholders as in a local workspace.
BLANK = re.compile(r"(?<!\$)\{(port|token|home|name|parameters\.[A-Za-z_][A-Za-z0-9_-]*)\}")
# Characters that are literal in a shell, with or without quotes.
PLAIN = re.compile(r"[\w@%+=:,./ -]*")


class PlaceholderFiller:
    """Fills in the placeholders of one machine; other braces stay as they are."""

    def __init__(self, name: str, home: str, parameters: Mapping[str, Any]) -> None:
        self._known = {"name": name, "home": home}
        self._known |= {
            f"parameters.{parameter}": _as_text(value) for parameter, value in parameters.items()
        }

    def fill(self, text: str, port: int | None = None, token: str = "") -> str:
        """The text with its placeholders filled in."""
        known = self._known | {"port": str(port), "token": token}
        return BLANK.sub(lambda blank: known.get(blank[1], ""), text)

    def shell(self, text: str, field: str) -> str:
        """The text for a shell; raises if a value has characters that a shell interprets."""
        for blank in BLANK.findall(text):
            if not PLAIN.fullmatch(self.fill(f"{{{blank}}}")):
                raise TemplateInvalid(
                    f"`{blank}` cannot be used in a shell command: it contains characters that a "
                    "shell interprets",
                    details=f"{field}: {{{blank}}} may contain letters, digits and @%+=:,./ _-",
                    remediation="Launch with another value, or let the template pass it in "
                    "`environment`",
                )
        return self.fill(text)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def one_line(text: str, field: str) -> str:
    """The text; raises if it has line breaks or other control characters."""
    if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter != "\t" for letter in text):
        raise TemplateInvalid(
            "a value contains a line break or another control character",
            details=f"{field}: one line, without control characters",
            remediation="Launch with another value, or correct the template",
        )
    return text


def unit_word(text: str) -> str:
    """One word of a systemd command line, quoted."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return inside if re.fullmatch(r"[\w@+=:,./%-]+", inside) else f'"{inside}"'


def environment_line(name: str, value: str) -> str:
    """One line of a systemd `EnvironmentFile`."""
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return f'{name}="{escaped}"'


def export_line(name: str, value: str) -> str:
    """One line of a shell's profile."""
    return f"export {name}={shlex.quote(value)}"
