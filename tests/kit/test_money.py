"""Money: whole micro-dollars in Prism, four or two decimals in answers."""

import pytest

from prism.kit.money import Micros, amount, micros, rate, shown


@pytest.mark.parametrize(
    ("usd", "amount"),
    [
        ("0.0416", 41_600),
        ("0", 0),
        ("24.5", 24_500_000),
        ("0.0000005", 0),  # half to even, so that many roundings do not drift
        ("0.0000015", 2),
        ("-1.5", -1_500_000),
        ("90071992547.409931", 90_071_992_547_409_931),  # more than a float can represent
    ],
)
def test_micros_parses_dollars_exactly(usd, amount):
    assert micros(usd) == amount


@pytest.mark.parametrize("usd", ["", "x", "1,5", "NaN", "inf", "1e400000"])
def test_micros_rejects_an_invalid_amount(usd):
    with pytest.raises(ValueError, match="not an amount"):
        micros(usd)


def test_amounts_are_rounded_for_answers_and_texts():
    assert rate(Micros(41_649)) == 0.0416
    assert rate(Micros(41_650)) == 0.0416
    assert rate(Micros(41_651)) == 0.0417
    assert amount(Micros(1_005_000)) == 1.0
    assert amount(Micros(1_015_000)) == 1.02
    assert amount(Micros(24_567_890)) == 24.57
    assert amount(Micros(-5_000)) == -0.0
    assert shown(Micros(41_600)) == "$0.0416"
    assert shown(Micros(0)) == "$0.0000"
