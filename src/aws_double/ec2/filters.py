"""Filters and pages of describe actions."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from re import Pattern, compile, escape
from typing import Any, TypeVar

from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree

Thing = TypeVar("Thing")


def chosen(
    things: Iterable[Thing],
    args: Tree,
    fields: Mapping[str, Callable[[Thing], Any]],
    tags: Callable[[Thing], dict[str, str]] = lambda _: {},
) -> list[Thing]:
    """The resources that match one value of every filter of a call; values may have wildcards."""
    tests = [_test(each, fields, tags) for each in args.get("Filters", [])]
    return [thing for thing in things if all(test(thing) for test in tests)]


def _test(
    filter: Tree,
    fields: Mapping[str, Callable[[Thing], Any]],
    tags: Callable[[Thing], dict[str, str]],
) -> Callable[[Thing], bool]:
    name, patterns = filter.get("Name", ""), [_pattern(item) for item in filter.get("Values", [])]
    if len(patterns) > 200:
        raise Refusal("FilterLimitExceeded", "The maximum number of filter values is 200")
    if name.startswith("tag:"):
        key = name[4:]
        return lambda thing: (value := tags(thing).get(key)) is not None and _fits(patterns, value)
    if name == "tag-key":
        return lambda thing: any(_fits(patterns, key) for key in tags(thing))
    if (field := fields.get(name)) is None:
        raise invalid(f"The filter '{name}' is invalid")
    return lambda thing: any(_fits(patterns, value) for value in _listed(field(thing)))


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(item) for item in value] if isinstance(value, list | tuple | set) else [str(value)]


def _fits(patterns: list[Pattern[str]], value: str) -> bool:
    return any(pattern.fullmatch(value) for pattern in patterns)


@cache
def _pattern(text: str) -> Pattern[str]:
    r"""`*` matches any text, `?` one character; a backslash escapes them."""
    parts, plain = [], False
    for letter in text:
        if plain or letter not in "*?\\":
            parts.append(escape(letter))
            plain = False
        elif letter == "\\":
            plain = True
        else:
            parts.append(".*" if letter == "*" else ".")
    return compile("".join(parts), 16)  # re.DOTALL


def page(
    things: dict[int, Thing], args: Tree, least: int = 5, most: int = 1000
) -> tuple[list[Thing], str | None]:
    """One page of resources in the order of their numbers, and the token of the next page."""
    after = _read_token(args["NextToken"]) if args.get("NextToken") else -1
    left = sorted(number for number in things if number > after)
    size = args.get("MaxResults", len(left))
    if "MaxResults" in args and not least <= size <= most:
        raise invalid(
            f"Value ( {size} ) for parameter maxResults is invalid. "
            f"Expecting a value between {least} and {most}."
        )
    listed = [things[number] for number in left[:size]]
    if len(left) <= size:
        return listed, None
    return listed, base64.urlsafe_b64encode(f"after {left[size - 1]}".encode()).decode()


def _read_token(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("after "))
    except (ValueError, binascii.Error) as error:
        raise Refusal("InvalidNextToken", "The specified token is invalid") from error
