"""Where a cap stands, and how its money is said."""

from prism.budgets.balances import Balance, dollars
from prism.budgets.model import Cap
from prism.kit.money import Micros


def test_a_cent_is_said_in_cents_and_less_than_that_with_all_its_digits():
    assert [dollars(amount) for amount in (10_000, 9_999, 0, -10_000)] == [
        "$0.01",
        "$0.009999",
        "$0.00",
        "-$0.01",
    ]


def test_what_rounds_to_nothing_has_no_sign():
    assert [dollars(amount, 4) for amount in (-10, -100)] == ["$0.0000", "-$0.0001"]


def test_nothing_is_left_outside_of_its_periods():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(5), alert=0.8)
    assert Balance(cap, None, 0, 0).left == 0


def test_launches_are_paid_up_to_the_whole_cap_unless_less_is_said():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(5), alert=0.8)
    assert cap.prevent == 1.0
