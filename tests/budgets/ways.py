"""Which functions of Prism run for a request: its way through the code."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

import prism

SOURCE = str(Path(prism.__file__).parent)
TOOL = 4  # an id that no debugger, coverage or profiler uses
MONITORING: Any = vars(sys).get("monitoring")  # since Python 3.12
ANONYMOUS = ("<genexpr>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>", "<module>")


class Way:
    """The calls of functions by file and name, in the order of their first call."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    def add(self, code: CodeType, _offset: int) -> Any:
        """Count one call; a code of another program or without a name is not counted again."""
        if not code.co_filename.startswith(SOURCE) or code.co_name in ANONYMOUS:
            return MONITORING.DISABLE
        self.calls[code.co_filename[len(SOURCE) + 1 :], code.co_qualname] += 1
        return None

    @property
    def files(self) -> int:
        """How many files the functions are in."""
        return len({file for file, _ in self.calls})

    @property
    def functions(self) -> int:
        """How many functions ran."""
        return len(self.calls)

    def __str__(self) -> str:
        """The way, file by file in the order in which it reaches them."""
        of: dict[str, list[str]] = {}
        for (file, name), count in self.calls.items():
            of.setdefault(file, []).append(name if count == 1 else f"{name} x{count}")
        counted = f"{self.files} files, {self.functions} functions, {self.calls.total()} calls"
        return "\n".join([counted, *(f"{file}: {', '.join(names)}" for file, names in of.items())])


@contextmanager
def watched() -> Iterator[Way]:
    """Count the functions that run within the block, in all threads."""
    way, monitoring = Way(), MONITORING
    monitoring.use_tool_id(TOOL, "ways")
    try:
        monitoring.register_callback(TOOL, monitoring.events.PY_START, way.add)
        monitoring.set_events(TOOL, monitoring.events.PY_START)
        yield way
    finally:
        monitoring.set_events(TOOL, 0)
        monitoring.register_callback(TOOL, monitoring.events.PY_START, None)
        monitoring.free_tool_id(TOOL)


def way_of(request: Callable[[], Any], status: int) -> Way:
    """The way of one request, which is answered with this status."""
    with watched() as way:
        answer = request()
    assert answer.status_code == status, answer.text
    return way
