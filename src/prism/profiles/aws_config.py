"""AWS's own configuration file, as far as profiles are concerned."""

import configparser
import logging
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


def config_file(environ: Mapping[str, str]) -> Path:
    """Where AWS's tools keep it."""
    return Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()


def sections(file: Path) -> dict[str, str | None]:
    """The region of each profile in the file; none if it cannot be read, which is logged."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, default_section="", allow_no_value=True
    )
    try:
        parser.read_string(file.read_text("utf-8"), str(file))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError, configparser.Error) as error:
        log.warning("no profiles from %s: %s", file, error)
        return {}
    # Other kinds of section (`sso-session`, `services`) are no profiles.
    names = {s: s.removeprefix("profile ").strip() for s in parser.sections()}
    return {
        name: parser.get(section, "region", fallback=None) or None
        for section, name in names.items()
        if section == "default" or section.startswith("profile ")
    }
