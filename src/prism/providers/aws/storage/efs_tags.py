r"""Tags of EFS, which allows fewer characters in them than EC2 does: pure.

EFS API Reference, "Tag": a value matches `^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$`. Any other character is
written as `=` and the hexadecimal digits of its UTF-8 bytes, two for each byte, as in
quoted-printable; so is a `=` that is followed by two such digits.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping

from prism.providers.aws.api.tags import MAX_TAG_LENGTH, Tags, read

PLAIN = set("_.:/+-@")
CODED = re.compile(r"(?:=[0-9A-F]{2})+")


def encoded(tags: Mapping[str, str]) -> Tags:
    """The tags in EFS's format."""
    return {key: _encode(value) for key, value in tags.items()}


def decoded(answered: Iterable[Mapping[str, str]] | None) -> Tags:
    """The tags as they were before `encoded`."""
    return {key: CODED.sub(_decode_match, value) for key, value in read(answered).items()}


def _encode(value: str) -> str:
    """The encoded value, cut at the maximum length, but never within a character's code."""
    pieces, left = [], MAX_TAG_LENGTH
    for position, letter in enumerate(value):
        digits = "".join(f"={byte:02X}" for byte in letter.encode())
        piece = letter if _is_allowed(value, position) else digits
        if len(piece) > left:
            break
        pieces.append(piece)
        left -= len(piece)
    return "".join(pieces)


def _is_allowed(value: str, position: int) -> bool:
    letter = value[position]
    if letter == "=":
        return not re.match(r"=[0-9A-F]{2}", value[position:])
    return letter in PLAIN or unicodedata.category(letter)[0] in "LZN"


def _decode_match(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("=", "")).decode(errors="replace")
