"""The real daemon, with machines that exist only in memory: what is measured is Prism.

On SIGUSR1 it records events for a while, each in a transaction of its own, with the moment
of its commit in it; the monotonic clock is the same in every process of a machine.

Its machines are saved to a file in its home when it ends, and the next daemon loads them.
The processor time of their surveys is no cost of Prism: another file in its home sums it up.
A machine that changes is surveyed as often as a workspace of this computer.
"""

import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).parents[1]))

from prism.daemon import main
from prism.daemon.app import App
from prism.kit.clock import WallClock
from prism.kit.db import Database
from prism.kit.events import Event
from prism.providers.local.compute import LocalCompute
from prism.providers.local.location import location_of
from prism.settings import Settings
from prism.workspaces.ports import Machine
from tests.doubles.memory import MemoryComputer

SECONDS, A_SECOND = 10, 100
LOOKED = "bench-looked"


class Ticked(Event, frozen=True, kw_only=True):
    """A moment has passed."""

    event: ClassVar[str] = "bench_ticked"
    number: int
    sent: int  # nanoseconds


def tick(db: Database) -> None:
    begun = time.monotonic()
    for number in range(SECONDS * A_SECOND):
        time.sleep(max(0.0, begun + number / A_SECOND - time.monotonic()))
        with db.write() as tx:
            sent = time.monotonic_ns()
            tx.happened(Ticked(actor="bench", subject="bench", number=number, sent=sent))


def prepare(daemon: App, _original: Callable[[App], None] = App.prepare) -> None:
    _original(daemon)
    ticking = threading.Thread(target=tick, args=[daemon.db], daemon=True)
    signal.signal(signal.SIGUSR1, lambda *_: ticking.start())


class Machines(MemoryComputer):
    """Machines that write down the processor time of their surveys."""

    looked = 0.0  # seconds of processor

    def survey(self) -> list[Machine]:
        began = time.thread_time()
        survey = super().survey()
        self.looked += time.thread_time() - began
        draft = settings.folder / f"{LOOKED}-{threading.get_ident()}"
        draft.write_text(str(self.looked))
        draft.replace(settings.folder / LOOKED)
        return survey


setattr(App, App.prepare.__name__, prepare)
settings = Settings.read()
machines = Machines(WallClock(), busy=LocalCompute.busy)
machines_file = settings.folder / "bench-machines"
if machines_file.is_file():
    machines.__dict__ |= pickle.loads(machines_file.read_bytes())
ended = main.run(settings, {location_of(settings.folder): machines})
machines_file.write_bytes(
    pickle.dumps({name: field for name, field in vars(machines).items() if name != "_lock"})
)
sys.exit(ended)
