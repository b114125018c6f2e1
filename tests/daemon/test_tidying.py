"""The thread that removes old rows and keeps the disk reserve."""

from typing import Any

from prism.daemon.app import RESERVE_EVERY, TIDY_EVERY, _tidy_periodically
from prism.kit.database.database_faults import DatabaseBusy


class Periods:
    """An event that is set after so many waits, each of which ends at once."""

    def __init__(self, count):
        self.count = count

    def wait(self, timeout):
        self.count -= 1
        return self.count < 0


class Application:
    """Counts the calls; the first of each kind fails."""

    def __init__(self):
        self.reserve, self.kept, self.tidied = self, 0, 0

    def keep(self):
        self.kept += 1
        if self.kept == 1:
            raise OSError

    def tidy(self):
        self.tidied += 1
        if self.tidied == 1:
            raise DatabaseBusy


def test_tidying_goes_on_after_an_error():
    count = int(TIDY_EVERY / RESERVE_EVERY) * 2
    application: Any = Application()
    periods: Any = Periods(count)
    _tidy_periodically(application, periods)
    assert (application.kept, application.tidied) == (count, 2)
