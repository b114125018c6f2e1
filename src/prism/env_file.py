"""Writes the settings file of a home; other lines in it stay as they are."""

from __future__ import annotations

import fcntl
import os
import re

from prism.annotations import Mapping
from prism.home import lines_of, settings_file

UNQUOTED_VALUE = re.compile(r"[\w@%+=:,./-]*", re.ASCII)  # what needs no quotes in a shell either


def read_env_file(home: str) -> dict[str, str]:
    """The values in the file."""
    return {name: value for _, name, value in lines_of(_text(home)) if value is not None}


def update_env_file(home: str, changes: Mapping[str, str]) -> str:
    """Write these values to the file, all or none; its path."""
    os.makedirs(home, mode=0o700, exist_ok=True)
    path, folder = settings_file(home), os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # another command may change the file, too
        text, draft = with_changes(_text(home), changes), f"{path}.new"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        os.close(folder)
    return path


def with_changes(text: str, changes: Mapping[str, str]) -> str:
    """The text with these values: each replaces the name's line, or is added at the end."""
    lines, missing = text.splitlines(), dict(changes)
    for number, name, _ in lines_of(text):
        if name in changes:  # every line with this name gets the value
            lines[number - 1] = _line(name, changes[name])
            missing.pop(name, None)
    lines += [_line(name, value) for name, value in missing.items()]
    return "".join(f"{line}\n" for line in lines)


def _line(name: str, value: str) -> str:
    return f"{name}={value}" if UNQUOTED_VALUE.fullmatch(value) else f"{name}='{value}'"


def _text(home: str) -> str:
    try:
        with open(settings_file(home), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
