"""Names that look like others."""

import pytest

from prism.kit.look_alike_names import CYRILLIC, GREEK, look_alike, why_deceptive

MIXED = " in a word with Latin letters"


@pytest.mark.parametrize(
    "other",
    [
        "REEF lab",
        "Ｒｅｅｆ Lab",  # full width
        "Reef\u00a0 Lab",
        "R\u0435\u0435f Lab",  # Cyrillic
        "Reef\ufe0f Lab\u3164",  # a variation selector and a filler
    ],
)
def test_name_looks_like_another(other):
    assert look_alike("Reef Lab", other)
    assert look_alike(other, "Reef Lab")


@pytest.mark.parametrize("other", ["Reef Lab 2", "ReefLab", "Reéf Lab", "Риф", "Reet Lab"])
def test_other_names_do_not_look_alike(other):
    assert not look_alike("Reef Lab", other)


def test_word_of_cyrillic_letters_looks_like_a_latin_one():
    assert look_alike("COCOA", "\u0421\u041e\u0421\u041e\u0410")
    assert look_alike("\u0412\u0430\u0441\u044f", "\u0432\u0430\u0441\u044f"), "another case"


def test_cases_of_a_sharp_s_look_alike():
    assert look_alike("Straße", "STRASSE")


@pytest.mark.parametrize("letters", [CYRILLIC, GREEK])
def test_letters_that_look_latin_are_paired_with_ascii(letters):
    foreign, latin = letters
    assert len(foreign) == len(latin)
    assert not foreign.isascii()
    assert not any(letter.isascii() for letter in foreign)
    assert latin.isascii()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Re\u200bef", "U+200B (ZERO WIDTH SPACE) is invisible"),
        ("Reef\u202efer", "U+202E (RIGHT-TO-LEFT OVERRIDE) is invisible"),
        ("Re\u2028ef", "U+2028 (LINE SEPARATOR) is invisible"),
        ("Re\tef", "U+0009 (a control character) is invisible"),
        (
            "R\u0435ef",
            "'\u0435', U+0435 (CYRILLIC SMALL LETTER IE), is" + MIXED,
        ),
        (
            "a TNF\u03b1",
            "'\u03b1', U+03B1 (GREEK SMALL LETTER ALPHA), is" + MIXED,
        ),
    ],
)
def test_deceptive_name_is_refused_with_its_character(name, why):
    assert why_deceptive(name) == why


@pytest.mark.parametrize(
    "name", ["Reef 2", "α-synuclein", "Лаборатория A", "珊瑚 Reef", "Reéf", "شعاب", "Ελλάδα"]
)
def test_honest_name_is_accepted(name):
    assert why_deceptive(name) is None
