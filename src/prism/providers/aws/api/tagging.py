"""Tags of resources that many workspaces share, and errors that a repeated call accepts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prism.errors import Problem
from prism.providers.aws.api.faults import code_of
from prism.providers.aws.api.tags import MANAGED, NAME_TAG, Tags, listed, specified


def tagged(kind: str, name: str) -> list[dict[str, Any]]:
    """`TagSpecifications` of something that belongs to no single workspace."""
    return specified(_shared(name), kind)


def tags(name: str) -> list[dict[str, str]]:
    """The tags in IAM's format."""
    return listed(_shared(name))


def _shared(name: str) -> Tags:
    return {NAME_TAG: name, MANAGED: "true"}


@contextmanager
def accepting(*codes: str) -> Iterator[None]:
    """Ignore these error codes, which mean that the requested state exists already."""
    try:
        yield
    except Problem as error:
        if code_of(error) not in codes:
            raise
