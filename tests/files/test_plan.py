"""Paths that are refused before a provider is called, ranges, names for browsers."""

import pytest

from prism.errors import ValidationFailed
from prism.files.plan import checked, download_name, part_of, span


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "..",
        "../secret",
        "a/../../b",
        "a\0b",
        "",
        ".",
        "a" * 256,
        "a/" * 2100,
        "\ud800",
    ],
)
def test_invalid_path_is_rejected(path):
    with pytest.raises(ValidationFailed):
        checked(path)


@pytest.mark.parametrize(
    ("path", "expected"), [("a//b/./c/", "a/b/c"), ("..a/b..", "..a/b.."), ("é ü", "é ü")]
)
def test_path_is_normalized(path, expected):
    assert checked(path) == expected


def test_empty_path_is_the_home_if_a_folder_is_meant():
    assert checked("", home=True) == ""
    assert checked("./", home=True) == ""


def test_part_name_is_short_enough_and_differs_per_file():
    assert len(part_of("é" * 127).encode()) < 255
    assert part_of("a") != part_of("b")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", (0, 10)),
        ("bytes=4-", (4, 6)),
        ("bytes=4-5", (4, 2)),
        ("bytes=4-99", (4, 6)),
        ("bytes=10-", (10, 0)),
        ("bytes=99-", (99, 0)),
        ("bytes=5-4", None),
        ("bytes=-5", None),
        ("bytes=1-2,4-5", None),
        ("lines=1-2", None),
        ("", None),
    ],
)
def test_range_header_is_parsed_to_offset_and_length(header, expected):
    assert span(header, 10) == expected


def test_file_name_is_escaped_in_the_content_disposition_header():
    assert (
        download_name('a/"b"\r\nX: é') == "attachment; filename*=UTF-8''%22b%22%0D%0AX%3A%20%C3%A9"
    )
