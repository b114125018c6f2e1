"""What is sent: framing that two readers would read differently, and WebSockets out of bounds."""

import ast
from collections import Counter

import pytest

from tests.attacks.surfaces import OF_FILE, ROOT, table

pytestmark = pytest.mark.xdist_group("lab")


def test_every_file_of_attacks_belongs_to_a_surface():
    here = {f"tests/attacks/{it.name}" for it in (ROOT / "tests/attacks").glob("test_*.py")}
    assert here <= set(OF_FILE)
    for file in OF_FILE:
        tree = ast.parse((ROOT / file).read_text())
        assert any(getattr(it, "name", "").startswith("test_") for it in tree.body), file
    said = table(Counter({"tests/attacks/test_gate.py": 1000, "tests/kit/test_gate.py": 5}))
    assert "| gate | 1,005 | 7 |" in said
    assert said.endswith(f"1,005 in all, in 2 of {len(OF_FILE)} files.")
