"""Shortens the text of a failure to the lines that matter; `--verbose` prints all of it."""

from __future__ import annotations

MAX_MESSAGE_LENGTH = 240  # characters of a line without `--verbose`
OUTPUT_MARKS = ("Its last output: ", "its last output: ")
WHOLE = "see all of it with `--verbose`"


def brief(message: str, details: str, hint: str) -> tuple[str, str, str]:
    """A failure in three lines: what failed, the end of the program's output, and what to do.

    If anything is left out, the last line says where to read it.
    """
    head, words = _split_output(message)
    lines = (_start(head), _end(words) if words else _start(details), hint)
    whole = lines[0] == message and lines[1] == details
    if whole or (words and not details and len(words) <= MAX_MESSAGE_LENGTH):
        return lines
    return (*lines[:2], f"{hint}; {WHOLE}" if hint else WHOLE.capitalize())


def _split_output(message: str) -> tuple[str, str]:
    """The message without the program output that it quotes at its end, and that output."""
    for mark in OUTPUT_MARKS:
        head, separator, words = message.partition(mark)
        if separator:
            return head.rstrip(" ;"), words.strip()
    return message, ""


def _start(text: str) -> str:
    return (
        text if len(text) <= MAX_MESSAGE_LENGTH else text[: MAX_MESSAGE_LENGTH - 1].rstrip() + "…"
    )


def _end(text: str) -> str:
    """The end of a program's output, where the reason usually is; starts with a whole word."""
    if len(text) <= MAX_MESSAGE_LENGTH:
        return text
    return "…" + text[-MAX_MESSAGE_LENGTH:].partition(" ")[2]
