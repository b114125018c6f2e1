"""Characters that EFS does not allow in tags are encoded, and decoded again."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.providers.aws.storage.efs_tags import decoded, encoded

SURE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def allowed(letter):
    return letter in "_.:/=+-@" or unicodedata.category(letter)[0] in "LZN"


@given(SURE)
def test_encoded_value_is_valid_for_efs_and_decoded_unchanged(value):
    encoding = encoded({"k": value})["k"]
    assert all(map(allowed, encoding))
    assert len(encoding) <= 256
    if len(encoding) < 240:
        assert decoded([{"Key": "k", "Value": encoding}]) == {"k": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Ada Lovelace <ada@example.org>", "Ada Lovelace =3Cada@example.org=3E"),
        ("plain-1_2.3:/=+@ ü 4", "plain-1_2.3:/=+@ ü 4"),
        ("a=3C", "a=3D3C"),
        ("x" * 300, "x" * 256),
        ("'" * 100, "=27" * 85),
    ],
)
def test_encoding_keeps_allowed_characters_readable(value, text):
    assert encoded({"k": value}) == {"k": text}
    assert re.fullmatch(r"[^<>']*", text)
