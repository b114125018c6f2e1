"""Prices and the stopped clock are those of `tests/budgets`."""

from tests.budgets.conftest import clocked_daemon  # noqa: F401  the fixture
