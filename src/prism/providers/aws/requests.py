"""Spot requests: a persistent one outlives its machine, and must not bring another."""

import logging
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress

from prism.errors import Problem
from prism.providers.aws import tags as names
from prism.providers.aws.cloud import Cloud
from prism.providers.aws.faults import Missing
from prism.providers.aws.survey import Book, Instance
from prism.workspaces.ports import Refused

log = logging.getLogger(__name__)


class SpotRequests:
    """Cancels the requests of machines that are gone, however they went.

    Who destroys a spot machine at its console leaves its request behind, and EC2 launches
    another for it, without any of our tags: one that would cost and that nobody knows.
    """

    def __init__(self, cloud: Cloud, book: Book, hands: Executor | None = None) -> None:
        self._cloud, self._book = cloud, book
        self._hands = hands or ThreadPoolExecutor(1, "aws spot")
        self._ended: set[str] = set()

    def cancel(self, request: str) -> None:
        """Its machine goes on, and is the last one."""
        try:
            asked = {"SpotInstanceRequestIds": [request]}
            self._cloud.call("ec2", "CancelSpotInstanceRequests", **asked)
        except Missing:
            return

    def look(self, instances: Iterable[Instance]) -> None:
        """End the requests of those that are gone, behind the scenes, once each."""
        gone = {it.spot_request for it in instances if it.gone and it.spot_request}
        self._ended &= gone
        for request in gone - self._ended:
            self._ended.add(request)
            with suppress(RuntimeError):  # closed meanwhile: whoever looks next ends it
                self._hands.submit(self._end, request)

    def close(self) -> None:
        """Leave them to whoever looks next."""
        self._hands.shutdown(wait=False, cancel_futures=True)

    def _end(self, request: str) -> None:
        try:
            self.cancel(request)
            for it in self._book.of_request(request):
                if not it.gone and names.ID not in it.tags:
                    self._cloud.call("ec2", "TerminateInstances", InstanceIds=[it.id])
        except Refused as no:  # the least policy lets us destroy only what carries our tag
            log.error("a machine may have come for %s, which is to be terminated: %s", request, no)
        except Problem as problem:
            log.warning("%s: %s", request, problem)
            self._ended.discard(request)
