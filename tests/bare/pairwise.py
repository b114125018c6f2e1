"""A small set of rows in which each pair of values of two factors occurs."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product

Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs_of(row: Mapping[str, str]) -> set[Pair]:
    """The pairs of values that occur in a row."""
    return set(combinations(sorted(row.items()), 2))


def all_pairs(factors: Mapping[str, Sequence[str]]) -> set[Pair]:
    """The pairs of values that rows can have."""
    return {
        pair
        for first, second in combinations(sorted(factors), 2)
        for pair in product(
            [(first, value) for value in factors[first]],
            [(second, value) for value in factors[second]],
        )
    }


def covering(factors: Mapping[str, Sequence[str]], first: Sequence[Row] = ()) -> list[Row]:
    """Rows in which each pair occurs; they begin with `first`.

    Each row begins with a pair that is missing, and gets, factor by factor, the value that adds
    the most missing pairs. So early rows cover more than late ones.
    """
    rows = [*first]
    missing = all_pairs(factors).difference(*map(pairs_of, rows))
    while missing:
        row: Row = dict(min(missing))
        for factor in sorted(factors.keys() - row.keys(), key=lambda it: (-len(factors[it]), it)):
            gains = {value: _gain(row, factor, value, missing) for value in factors[factor]}
            row[factor] = max(factors[factor], key=lambda value: gains[value])
        missing -= pairs_of(row)
        rows.append(row)
    return rows


def _gain(row: Row, factor: str, value: str, missing: set[Pair]) -> int:
    return sum(tuple(sorted((item, (factor, value)))) in missing for item in row.items())
