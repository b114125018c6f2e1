"""Opens security groups to our current address after it has changed, in the background.

Security groups admit one address, and a laptop gets another one in each network. Prism notices the
change only when a connection gets no answer, in a request for which people wait. So a background
thread makes the calls to AWS, at most once a minute.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from prism.errors import Problem
from prism.kit.clock import Clock
from prism.providers.aws.api import tags as names

if TYPE_CHECKING:  # `compute` imports this package
    from prism.providers.aws.compute.survey import InstanceCache
    from prism.providers.aws.prerequisites.launch import PrerequisitesByProfile

log = logging.getLogger(__name__)
PAUSE = timedelta(minutes=1)


class IngressUpdater:
    """Opens the groups of a profile to our current address if a machine does not answer.

    Each profile has its own groups, so the limit of once a minute is per profile: a broken machine
    does not delay other profiles.
    """

    def __init__(
        self,
        instances: "InstanceCache",
        prerequisites_of: "PrerequisitesByProfile",
        clock: Clock,
        executor: Executor | None = None,
    ) -> None:
        self._instances, self._prerequisites_of, self._clock = instances, prerequisites_of, clock
        self._executor = executor or ThreadPoolExecutor(1, "aws ingress")
        self._lock = threading.Lock()
        self._next: dict[str, datetime] = {}
        self.listeners: list[Callable[[], object]] = []
        """Called in the background thread when machines may be reachable again."""

    def request(self, id: str) -> None:
        """Open the groups for a machine that does not answer, or that starts; does not wait."""
        instance = self._instances.known(id)
        if instance is None or (profile := instance.tags.get(names.PROFILE)) is None:
            return
        now = self._clock.now()
        with self._lock:
            if now < self._next.get(profile, now) <= now + PAUSE:  # else the clock was set back
                return
            self._next[profile] = now + PAUSE
        with suppress(RuntimeError):  # closed meanwhile
            self._executor.submit(self._open_groups, profile, instance.key_name)

    def close(self) -> None:
        """Make no more calls."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _open_groups(self, profile: str, key: str | None) -> None:
        try:
            prerequisites = self._prerequisites_of(profile)
            if not prerequisites.holds(key):  # the machine belongs to another computer
                return
            cidr = prerequisites.open_ingress()
            log.info("machines of profile %s are open to %s", profile, cidr)
            for listen in self.listeners:
                listen()
        except Problem as problem:
            log.warning("machines of profile %s cannot be opened: %s", profile, problem)
