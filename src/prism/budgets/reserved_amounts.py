"""The reserved money of each cap, cached for a version of the reservations.

A reservation reserves an amount that stays the same, or that shrinks while the ledger counts the
same seconds. The constant amounts are summed once for each cap and period; the shrinking ones are
computed from their rows for each moment, because each row is rounded on its own.
`ReservedAmounts.at` gives the same sums as `reserved_compute` and `reserved_disk` of each
reservation at that moment.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from prism.budgets.model import Cap, Reservation, Window
from prism.budgets.plan import reserved_compute, reserved_disk

NEVER = 2**62  # seconds since 1970, later than every end; stands for no end


class ReservationReader(Protocol):
    """Returns the reserved money of caps."""

    def of(self, cap: Cap, within: Window) -> tuple[int, int]:
        """The reserved money of a cap in one of its periods: for compute, and for disks."""


class ReservedAmounts:
    """The reserved money of one cap in one of its periods."""

    def __init__(self, cap: Cap, within: Window, rows: Sequence[Reservation]) -> None:
        self._within, self._is_own = within, cap.is_own
        self._runs = [replace(row, counted=0) for row in rows if row.running]
        self._kept = [row for row in rows if row.kept]
        self._compute = sum(reserved_compute(row, 0, within) for row in rows if not row.running)
        self._disks = sum(
            reserved_disk(row, 0, within, own=cap.is_own) for row in rows if not row.kept
        )
        self._ran: tuple[Mapping[str, int], int, int] | None = None
        self._last: tuple[Mapping[str, int], int, tuple[int, int]] | None = None

    def at(self, now: int, counted: Mapping[str, int]) -> tuple[int, int]:
        """For compute, and for disks; `counted` is until when the ledger counts compute, by id."""
        last = self._last
        if last is not None and last[0] is counted and last[1] == now:
            return last[2]
        sums = self._running(now, counted), self._kept_until(now)
        self._last = (counted, now, sums)
        return sums

    def _kept_until(self, now: int) -> int:
        """For disks; this changes every second."""
        disks = (reserved_disk(row, now, self._within, own=self._is_own) for row in self._kept)
        return self._disks + sum(disks)

    def _running(self, now: int, counted: Mapping[str, int]) -> int:
        """For compute; this stays the same from one survey of the machines to the next."""
        ran = self._ran  # another thread may replace it meanwhile
        if ran is not None and ran[0] is counted and now >= ran[1]:
            return ran[2]
        compute, surveyed_at = self._compute, 0
        for row in self._runs:
            until = counted.get(row.id) or NEVER
            surveyed_at = max(surveyed_at, until)
            compute += reserved_compute(row, min(now, until), self._within)
        self._ran = (counted, surveyed_at, compute) if now >= surveyed_at else None
        return compute


class ReservationSums:
    """All reservations of one version, by the cap that pays."""

    def __init__(self, every: Sequence[Reservation]) -> None:
        self._rows: dict[tuple[str, str], list[Reservation]] = {}
        self._sums: dict[tuple[str, str, Window], ReservedAmounts] = {}
        for row in every:
            for column in ("project", "allocation", "pool"):
                if (id := getattr(row, column)) is not None:
                    self._rows.setdefault((column, id), []).append(row)

    def of(self, cap: Cap, within: Window) -> ReservedAmounts:
        """The reserved money of a cap in one of its periods."""
        key = (cap.column, cap.id, within)
        if key not in self._sums:
            self._sums[key] = ReservedAmounts(cap, within, self._rows.get(key[:2], ()))
        return self._sums[key]


class ReservedNow(NamedTuple):
    """The reserved money at one moment, from sums in memory."""

    sums: ReservationSums
    counted: Mapping[str, int]
    now: int

    def of(self, cap: Cap, within: Window) -> tuple[int, int]:
        """The reserved money of a cap in one of its periods: for compute, and for disks."""
        return self.sums.of(cap, within).at(self.now, self.counted)


class ReservedIgnored:
    """Stands for no reservations: callers that need only settled money skip the slow part."""

    def of(self, cap: Cap, within: Window) -> tuple[int, int]:
        """Zero."""
        return 0, 0
