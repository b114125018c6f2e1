"""The documents name real accounts only as far as the record of `make aws-proof` does."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[3]
RECORD = ROOT / "docs" / "aws-proof.json"
SENTENCES = {
    "README.md": "not yet against a real account",
    "docs/aws.md": "has not been used with a real account",
}


def passed_on_a_real_account():
    """Whether each point has passed against a real account."""
    if not RECORD.exists():
        return False
    record = json.loads(RECORD.read_text())
    return record["passed"] and record["against"] != "the double"


def test_documents_say_that_no_real_account_was_used_until_the_proof_passes():
    for page, sentence in SENTENCES.items():
        text = " ".join((ROOT / page).read_text().split())
        assert (sentence in text) is not passed_on_a_real_account(), page
