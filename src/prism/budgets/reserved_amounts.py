"""What is set aside of each cap, kept in memory for a version of the reservations.

A reservation holds an amount that stays the same, or shrinks as the ledger counts the same
seconds. The first is summed once for each cap and period; the second is counted from its rows
for each moment, because each is rounded on its own. `SetAside.at` gives the same sums as
`held_compute` and `held_disk` of each reservation do at that moment.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from prism.budgets.model import Cap, Reservation, Window
from prism.budgets.plan import held_compute, held_disk

NEVER = 2**62  # seconds: what has no end in the ledger counts until now


class SetAside:
    """What is set aside of one cap in one of its periods."""

    def __init__(self, cap: Cap, within: Window, rows: Sequence[Reservation]) -> None:
        self._within, self._is_own = within, cap.is_own
        self._runs = [replace(row, counted=0) for row in rows if row.running]
        self._kept = [row for row in rows if row.kept]
        self._compute = sum(held_compute(row, 0, within) for row in rows if not row.running)
        self._disks = sum(
            held_disk(row, 0, within, own=cap.is_own) for row in rows if not row.kept
        )
        self._ran: tuple[Mapping[str, int], int, int] | None = None
        self._last: tuple[Mapping[str, int], int, tuple[int, int]] | None = None

    def at(self, now: int, counted: Mapping[str, int]) -> tuple[int, int]:
        """For running, and for disks; `counted` is until when what runs counts, by its id."""
        last = self._last
        if last is not None and last[0] is counted and last[1] == now:
            return last[2]
        sums = self._running(now, counted), self._kept_until(now)
        self._last = (counted, now, sums)
        return sums

    def _kept_until(self, now: int) -> int:
        """For disks: each costs a little more with every second."""
        disks = (held_disk(row, now, self._within, own=self._is_own) for row in self._kept)
        return self._disks + sum(disks)

    def _running(self, now: int, counted: Mapping[str, int]) -> int:
        """For running: what runs is the same from the last look at any of it until the next."""
        if self._ran is not None and self._ran[0] is counted and now >= self._ran[1]:
            return self._ran[2]
        held, looked = self._compute, 0
        for row in self._runs:
            until = counted.get(row.id) or NEVER
            looked = max(looked, until)
            held += held_compute(row, min(now, until), self._within)
        self._ran = (counted, looked, held) if now >= looked else None
        return held


class ReservationSums:
    """All reservations of one version, by what they are set aside of."""

    def __init__(self, every: Sequence[Reservation]) -> None:
        self._rows: dict[tuple[str, str], list[Reservation]] = {}
        self._sums: dict[tuple[str, str, Window], SetAside] = {}
        for row in every:
            for column in ("project", "allocation", "pool"):
                if (id := getattr(row, column)) is not None:
                    self._rows.setdefault((column, id), []).append(row)

    def of(self, cap: Cap, within: Window) -> SetAside:
        """What is set aside of a cap in one of its periods."""
        key = (cap.column, cap.id, within)
        if key not in self._sums:
            self._sums[key] = SetAside(cap, within, self._rows.get(key[:2], ()))
        return self._sums[key]


class HeldNow(NamedTuple):
    """What is set aside at one moment."""

    sums: ReservationSums
    counted: Mapping[str, int]
    now: int

    def of(self, cap: Cap, within: Window) -> tuple[int, int]:
        """Of a cap in one of its periods: for running, and for disks."""
        return self.sums.of(cap, within).at(self.now, self.counted)
