"""Names that a reader takes for another name, and names that are made to be taken for others.

Two names look alike if they are equal in Unicode's compatibility form (NFKC) without case, where
Cyrillic and Greek letters count as the Latin letters that they look like. Characters of the same
script are told apart, such as `l` and `1`.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from prism.errors import ValidationFailed

INVISIBLE_CATEGORIES = {"Cf", "Cc", "Zl", "Zp"}
# These are shown as a space, or not at all, but belong to other categories.
BLANKS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f]")
IDEOGRAPHIC_STOP = "\u3002"  # a dot in the names of hosts, also for mail servers
CYRILLIC = ("АВЕЅІЈКМНОРСТУХԚԜаеѕіјорсухһԁԛԝӏ", "ABESIJKMHOPCTYXQWaesijopcyxhdqwl")
GREEK = ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορυ", "ABEZHIKMNOPTYXavopu")
LATIN_LOOK = str.maketrans("".join((CYRILLIC[0], GREEK[0])), "".join((CYRILLIC[1], GREEK[1])))
SCRIPTS = ("LATIN", "CYRILLIC", "GREEK")
LETTERS = re.compile(r"[^\W\d_]+")


def look_alike(name: str, other: str) -> bool:
    """Whether a reader takes one name for the other."""
    return not _forms(name).isdisjoint(_forms(other))


def why_deceptive(name: str) -> str | None:
    """Which character of a name deceives its reader, and how; None if none does."""
    for character in name:
        if unicodedata.category(character) in INVISIBLE_CATEGORIES:
            return f"{_label(character)} is invisible"
    for word in LETTERS.findall(name):
        scripts = [_script(letter) for letter in word]
        if "LATIN" in scripts:
            for letter, script in zip(word, scripts, strict=True):
                if script in SCRIPTS[1:]:
                    return f"{letter!r}, {_label(letter)}, is in a word with Latin letters"
    return None


def require_honest_address(email: str, other_addresses: Iterable[str] = ()) -> None:
    """Raise if people can take a mail address, in lower case, for another one."""
    if why := why_deceptive(email):
        raise ValidationFailed.of(
            ("email", why), remediation="Leave that character out, or type the word in one script"
        )
    for other in other_addresses:
        is_plain = (
            email.isascii() and other.isascii()
        )  # most are, and differ if they are not equal
        if not is_plain and other != email and look_alike(email, other):
            raise ValidationFailed.of(
                ("email", f"{email} looks like {other}, who is known to this project"),
                remediation="Ask the person for another address, in letters of one script",
            )


@lru_cache(4096)
def _forms(name: str) -> set[str]:
    """What a name looks like, by its own letters and by Latin ones.

    Both, since only one case of a letter may look Latin: `В` does, and `в` does not.
    """
    plain = unicodedata.normalize("NFKC", name).replace(IDEOGRAPHIC_STOP, ".")
    visible_text = " ".join(BLANKS.sub("", plain).split())
    return {_without_case(visible_text), _without_case(visible_text.translate(LATIN_LOOK))}


def _without_case(text: str) -> str:
    return unicodedata.normalize("NFKC", text.casefold())


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _label(character: str) -> str:
    name = unicodedata.name(character, "a control character")
    return f"U+{ord(character):04X} ({name})"
