"""The page of proofs keeps what other runs have written."""

import pytest

from tests import proofs

PAGE = proofs.PAGE.read_text()


def test_a_row_is_added_or_replaced_and_the_others_stay():
    page = proofs.written(proofs.HEAD, "Mutants", "10 killed.")
    for case, result in (("stop", "2 points"), ("launch", "1 point"), ("stop", "3 points")):
        page = proofs.written(page, f"Killed on AWS: {case}", result)
    rows = "| case | result |\n|---|---|\n| launch | 1 point |\n| stop | 3 points |\n\n## Mutants"
    assert rows in page
    assert page.count("## Killed on AWS") == 1
    assert page.endswith("## Mutants\n\n10 killed.\n")


@pytest.mark.parametrize("section", proofs.SHARED)
def test_the_page_has_the_words_of_each_section_of_cases(section):
    [text] = [
        match["text"] for match in proofs.SECTION.finditer(PAGE) if match["title"] == section
    ]
    (_, _), (case, result), *_ = proofs.ROW.findall(text)
    assert proofs.written(PAGE, f"{section}: {case}", result) == PAGE
