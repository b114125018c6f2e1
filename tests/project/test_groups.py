"""What a file shares is made once in a run, because its tests stay in one worker."""

import pytest


@pytest.fixture(scope="module")
def shared_fixture() -> str:
    return "made once"


@pytest.mark.usefixtures("shared_fixture")
def test_tests_that_share_a_fixture_are_a_group_of_xdist(request):
    file = "tests/project/test_groups.py"
    group = f"@{file}" if request.config.getoption("loadgroup", False) else ""
    assert request.node.nodeid == f"{file}::{request.node.name}{group}"
