"""Signals that the parent process may have ignored."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)


@contextmanager
def ignored_signals() -> Iterator[None]:
    """Ignores signals as `nohup` does, or a shell for a command in the background."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def receive_signals() -> None:
    """Lets this process and its children receive these signals if its parent ignores them."""
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
