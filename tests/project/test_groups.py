"""A fixture with the scope `module` is made once, because the tests of its file share a worker."""

import pytest


@pytest.fixture(scope="module")
def shared_fixture() -> str:
    return "made once"


@pytest.mark.usefixtures("shared_fixture")
def test_tests_that_share_a_fixture_are_an_xdist_group(request):
    file = "tests/project/test_groups.py"
    group = f"@{file}" if request.config.getoption("loadgroup", False) else ""
    assert request.node.nodeid == f"{file}::{request.node.name}{group}"
