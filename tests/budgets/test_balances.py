"""Balances of caps, and how amounts of money are written."""

from prism.budgets.balances import Balance, dollars
from prism.budgets.model import Cap
from prism.kit.money import Micros


def test_dollars_shows_all_digits_of_amounts_below_one_cent():
    assert [dollars(amount) for amount in (10_000, 9_999, 0, -10_000)] == [
        "$0.01",
        "$0.009999",
        "$0.00",
        "-$0.01",
    ]


def test_dollars_omits_the_sign_of_an_amount_rounded_to_zero():
    assert [dollars(amount, 4) for amount in (-10, -100)] == ["$0.0000", "-$0.0001"]


def test_balance_outside_of_a_period_has_zero_left():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(5), alert=0.8)
    assert Balance(cap, None, 0, 0).left == 0


def test_cap_prevents_launches_at_100_percent_by_default():
    cap = Cap(column="pool", id="b", name="grant", amount=Micros(5), alert=0.8)
    assert cap.prevent == 1.0
