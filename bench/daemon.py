"""The real daemon, with machines that exist only in memory: what is measured is Prism.

On SIGUSR1 it records events for a while, each in a transaction of its own, with the moment
of its commit in it; the monotonic clock is the same in every process of a machine.

Its machines survive it: they are in a file of its home, and the next daemon finds them there.
What a look at them computes is no cost of Prism: a file of its home says how much that was.
One that changes is looked at as often as a workspace of this computer is.
"""

import pickle
import signal
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from prism.daemon import main
from prism.kit.clock import WallClock
from prism.kit.events import Event
from prism.providers.local.compute import LocalCompute
from prism.providers.local.place import place_of
from prism.settings import Settings
from tests.doubles.memory import MemoryComputer

SECONDS, A_SECOND = 10, 100
LOOKED = "bench-looked"


class Ticked(Event, frozen=True, kw_only=True):
    """A moment has passed."""

    event: ClassVar[str] = "bench_ticked"
    number: int
    sent: int  # nanoseconds


def tick(db) -> None:
    begun = time.monotonic()
    for number in range(SECONDS * A_SECOND):
        time.sleep(max(0.0, begun + number / A_SECOND - time.monotonic()))
        with db.write() as tx:
            sent = time.monotonic_ns()
            tx.happened(Ticked(actor="bench", subject="bench", number=number, sent=sent))


def build(*parts, _original=main.build, **more):
    daemon = _original(*parts, **more)
    ticking = threading.Thread(target=tick, args=[daemon.db], daemon=True)
    signal.signal(signal.SIGUSR1, lambda *_: ticking.start())
    return daemon


class Machines(MemoryComputer):
    """They say what looking at them has cost."""

    looked = 0.0  # seconds of processor

    def survey(self):
        began = time.thread_time()
        found = super().survey()
        self.looked += time.thread_time() - began
        draft = settings.folder / f"{LOOKED}-{threading.get_ident()}"
        draft.write_text(str(self.looked))
        draft.replace(settings.folder / LOOKED)
        return found


main.build = build
settings = Settings.read()
machines = Machines(WallClock(), busy=LocalCompute.busy)
kept = settings.folder / "bench-machines"
if kept.is_file():
    machines.__dict__ |= pickle.loads(kept.read_bytes())
ended = main.run(settings, {place_of(settings.folder): machines})
kept.write_bytes(
    pickle.dumps({name: it for name, it in machines.__dict__.items() if name != "_lock"})
)
sys.exit(ended)
