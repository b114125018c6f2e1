"""The page of proofs keeps the results of other runs."""

import pytest

from tests import proofs

PAGE = proofs.PAGE.read_text()


def test_result_is_added_or_replaced_and_others_are_kept():
    page = proofs.written(proofs.HEAD, "Mutants", "10 killed.")
    for case, result in (("stop", "2 points"), ("launch", "1 point"), ("stop", "3 points")):
        page = proofs.written(page, f"Killed on AWS: {case}", result)
    rows = "| case | result |\n|---|---|\n| launch | 1 point |\n| stop | 3 points |\n\n## Mutants"
    assert rows in page
    assert page.count("## Killed on AWS") == 1
    assert page.endswith("## Mutants\n\n10 killed.\n")


@pytest.mark.parametrize("section", proofs.SHARED)
def test_page_has_the_generated_text_of_each_section(section):
    [text] = [
        match["text"] for match in proofs.SECTION.finditer(PAGE) if match["title"] == section
    ]
    (_, _), (case, result), *_ = proofs.ROW.findall(text)
    assert proofs.written(PAGE, f"{section}: {case}", result) == PAGE
