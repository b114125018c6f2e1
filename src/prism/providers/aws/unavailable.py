"""Stands in for a location that is unavailable: its calls raise the reason."""

from datetime import timedelta
from typing import NoReturn

from prism.errors import Problem


class UnavailableProvider:
    """Implements `Compute`, `PortFinder`, `Logs`, `Files`: each call raises the reason."""

    busy = timedelta(seconds=2)
    calm = timedelta(seconds=30)
    patience = timedelta(minutes=1)
    asleep = False

    def __init__(self, reason: Problem) -> None:
        self.reason = reason

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise anew(self.reason)

    survey = launch = start = stop = hibernate = terminate = expire = resize = _refuse
    change_template = watch = describe = access = tail = after = _refuse
    scan = open = begin = make_folder = rename = remove = _refuse


def anew(problem: Problem) -> Problem:
    """A copy of the problem to raise again: an exception keeps the traceback of each raise."""
    return type(problem).copied(problem)
