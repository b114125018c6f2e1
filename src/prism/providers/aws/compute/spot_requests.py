"""Spot requests: a persistent one outlives its machine, and must not bring another."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from prism.errors import Problem
from prism.providers.aws.api import tags as names
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import Missing
from prism.providers.aws.api.unreadable import ItemUnreadable, read_item
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.survey import InstanceCache
from prism.workspaces.ports import ProviderRefused

log = logging.getLogger(__name__)
EVERY = timedelta(minutes=5)  # between two looks through the requests


class SpotRequests:
    """Cancels the requests of machines that are gone, however they went.

    Who destroys a spot machine at its console leaves its request behind, and EC2 launches
    another for it, without any of our tags: one that would cost and that nobody knows. The daemon
    may be away meanwhile, for longer than EC2 remembers the first one; so the requests themselves,
    which keep their tags, are looked through as well.
    """

    def __init__(
        self, cloud: Cloud, instances: InstanceCache, executor: Executor | None = None
    ) -> None:
        self._cloud, self._instances = cloud, instances
        self._executor = executor or ThreadPoolExecutor(1, "aws spot")
        self._ended: set[str] = set()
        self._next = datetime.min.replace(tzinfo=UTC)
        self.heirs: Sequence[Ec2Instance] = ()
        """Machines that EC2 brought for requests of ours and that have none of our tags yet."""

    def cancel(self, request: str) -> None:
        """Its machine goes on, and is the last one."""
        try:
            asked = {"SpotInstanceRequestIds": [request]}
            self._cloud.call("ec2", "CancelSpotInstanceRequests", **asked)
        except Missing:
            return

    def state_of(self, request: str) -> str | None:
        """What has become of one: open, active, disabled, cancelled, closed; None: not shown."""
        try:
            asked = {"SpotInstanceRequestIds": [request]}
            found = self._cloud.call("ec2", "DescribeSpotInstanceRequests", **asked)
        except Missing:
            return None
        return next(
            (str(request["State"]) for request in found.get("SpotInstanceRequests", ())), None
        )

    def look(self, instances: Sequence[Ec2Instance]) -> None:
        """End the requests of those that are gone, behind the scenes, once each."""
        gone = {
            instance.spot_request
            for instance in instances
            if instance.gone and instance.spot_request
        }
        self._ended &= gone
        for request in gone - self._ended:
            self._ended.add(request)
            with suppress(RuntimeError):  # closed meanwhile: whoever looks next ends it
                self._executor.submit(self._end, request)
        if (now := self._cloud.clock.now()) >= self._next:
            self._next = now + EVERY
            with suppress(RuntimeError):
                self._executor.submit(
                    self._survey, frozenset(instance.id for instance in instances)
                )

    def close(self) -> None:
        """Leave them to whoever looks next."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _end(self, request: str) -> None:
        try:
            self.cancel(request)
            for instance in self._instances.of_request(request):
                if not instance.gone and names.ID not in instance.tags:
                    self._cloud.call("ec2", "TerminateInstances", InstanceIds=[instance.id])
        except ProviderRefused as no:  # the least policy lets us destroy only what carries our tag
            log.error("a machine may have come for %s, which is to be terminated: %s", request, no)
        except Problem as problem:
            log.warning("%s: %s", request, problem)
            self._ended.discard(request)

    def _survey(self, known: frozenset[str]) -> None:
        """Look for machines of our requests that no survey of machines shows."""
        states = {"Name": "state", "Values": ["open", "active", "disabled", "cancelled"]}
        try:
            found = self._cloud.pages(
                "ec2",
                "DescribeSpotInstanceRequests",
                "SpotInstanceRequests",
                Filters=[*names.OURS, states],
            )
            strangers = [
                request for request in found if request.get("InstanceId") not in {None, *known}
            ]
            heirs = [self._readable_heir(stranger) for stranger in strangers]
        except ProviderRefused as no:
            log.error("spot requests cannot be looked through: %s", no)
        except Problem as problem:
            log.warning("spot requests: %s", problem)
            self._next = self._cloud.clock.now()
        else:
            self.heirs = [instance for instance in heirs if instance is not None]

    def _readable_heir(self, request: Mapping[str, Any]) -> Ec2Instance | None:
        """As `_heir`; one that cannot be read does not hide the others."""
        try:
            id = str(request.get("SpotInstanceRequestId"))
            return read_item(id, lambda: self._heir(request))
        except ItemUnreadable as odd:
            log.error("spot request: %s (%s)", odd, odd.details)
            return None

    def _heir(self, request: Mapping[str, Any]) -> Ec2Instance | None:
        """A machine that EC2 itself has launched for a request, now ours to be seen.

        One that we launched and that has lost its tags is none: its workspace finds it by its id.
        """
        tags = names.read(request.get("Tags"))
        instance = self._instances.look(request["InstanceId"])
        key = tags.pop(names.ID, "")
        tags = {name: value for name, value in tags.items() if not name.startswith("aws:")}
        if (
            instance is None
            or instance.gone
            or names.ID in instance.tags
            or instance.token.startswith(f"{key}-")
        ):
            return None
        log.warning("EC2 has launched %s for %s: see `prism orphans`", instance.id, key)
        self.cancel(request["SpotInstanceRequestId"])
        try:
            told = names.listed(tags)
            self._cloud.call("ec2", "CreateTags", Resources=[instance.id], Tags=told)
        except ProviderRefused as no:
            # It has no instance profile of ours: only memory knows it then.
            log.error("%s cannot be tagged: %s", instance.id, no)
        return replace(instance, tags={**tags, **instance.tags})
