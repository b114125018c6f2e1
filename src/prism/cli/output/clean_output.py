"""Cleans what is printed: only this module writes sequences that control the terminal.

Names, errors, logs and messages come from a daemon, and to it from templates, workspaces and other
people. A control character in them could move the cursor, set the title, answer in your name or
hide text; a bidirectional one could show words in another order. `clean_streams` wraps both
standard streams, so callers need not clean what they print. Prism marks its own sequences with a
random word that nobody else can know.
"""

from __future__ import annotations

import os
import re
import sys

from prism.annotations import Any, TextIO

# Control sequences are removed; a single control character becomes U+FFFD.
SEQUENCE = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
)
ALONE = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f"
)
HOSTILE = re.compile(f"({SEQUENCE})|[{ALONE}]")
LONE_CHARACTER = re.compile(f"[{ALONE}]")
MARK_WORD = os.urandom(16).hex()
MARKED_TEXT = re.compile(f"\x00{MARK_WORD}([^\x00]*)\x00")


def cleaned(text: str) -> str:
    """The text without control sequences and characters; line feeds and tabs stay."""
    if text.isprintable() or not HOSTILE.search(text):
        return text
    return HOSTILE.sub(lambda match: "" if match[1] else "\N{REPLACEMENT CHARACTER}", text)


def escaped(text: str) -> str:
    """The JSON, with characters that could control a terminal written as escapes."""
    return LONE_CHARACTER.sub(lambda match: _escape(ord(match[0])), text)


def control(sequence: str, stream: TextIO) -> str:
    """A terminal sequence of Prism, marked so that a `CleanStream` lets it pass."""
    return f"\x00{MARK_WORD}{sequence}\x00" if isinstance(stream, CleanStream) else sequence


class CleanStream:
    """A stream of text that cleans everything written to it."""

    def __init__(self, stream: TextIO) -> None:
        self.inner = stream

    def write(self, text: str) -> int:
        """Write the text, cleaned except for sequences that Prism marked."""
        if MARK_WORD not in text:
            return self.inner.write(cleaned(text))
        parts = MARKED_TEXT.split(text)
        parts[::2] = map(cleaned, parts[::2])
        return self.inner.write("".join(parts))

    def writelines(self, lines: Any) -> None:
        """Write every line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def for_programs(stream: TextIO) -> TextIO:
    """The stream for a table or a report: not cleaned unless it is a terminal."""
    if isinstance(stream, CleanStream) and not stream.isatty():
        return stream.inner
    return stream


def clean_streams() -> None:
    """Wrap stdout and stderr, so that everything that this process prints is cleaned."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, CleanStream):
            setattr(sys, name, CleanStream(stream))


def _escape(code: int) -> str:
    if code > 0xFFFF:  # JSON writes it as a surrogate pair
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
