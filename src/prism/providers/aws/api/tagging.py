"""What everything that Prism makes once for many workspaces carries, and how repeats end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prism.errors import Problem
from prism.providers.aws.api.faults import said
from prism.providers.aws.api.tags import MANAGED, NAME, Tags, listed, specified


def tagged(kind: str, name: str) -> list[dict[str, Any]]:
    """`TagSpecifications` of something that belongs to no single workspace."""
    return specified(_shared(name), kind)


def tags(name: str) -> list[dict[str, str]]:
    """The same, as IAM wants it."""
    return listed(_shared(name))


def _shared(name: str) -> Tags:
    return {NAME: name, MANAGED: "true"}


@contextmanager
def accepting(*codes: str) -> Iterator[None]:
    """Go on where AWS says one of these: it is there already, or gone, as it was wanted."""
    try:
        yield
    except Problem as no:
        if said(no) not in codes:
            raise
