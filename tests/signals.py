"""Signals as whoever starts us may have left them."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

DEAFENED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)


@contextmanager
def all_ignored() -> Iterator[None]:
    """As by `nohup`, and by a shell that runs a script's command in the background."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in DEAFENED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def heed() -> None:
    """Whatever this process was started by, it and what it starts ignores none of them."""
    for number in DEAFENED:
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
