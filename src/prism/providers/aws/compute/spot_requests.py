"""Cancels spot requests: a persistent one outlives its machine, and would launch another."""

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
SURVEY_EVERY = timedelta(minutes=5)  # between two surveys of the requests


class SpotRequests:
    """Cancels the requests of machines that are gone, however they were terminated.

    If you terminate a spot machine in AWS's console, its request stays, and EC2 launches another
    machine for it, without our tags, which costs money unnoticed. The daemon may be off for longer
    than EC2 shows the first machine, so it also lists the requests, which keep their tags.
    """

    def __init__(
        self, cloud: Cloud, instances: InstanceCache, executor: Executor | None = None
    ) -> None:
        self._cloud, self._instances = cloud, instances
        self._executor = executor or ThreadPoolExecutor(1, "aws spot")
        self._ended: set[str] = set()
        self._next = datetime.min.replace(tzinfo=UTC)
        self.untagged: Sequence[Ec2Instance] = ()
        """Machines that EC2 launched for our requests, and that have none of our tags yet."""

    def cancel(self, request: str) -> None:
        """Cancel a request: its machine keeps running, and EC2 launches no other one."""
        with suppress(Missing):
            arguments = {"SpotInstanceRequestIds": [request]}
            self._cloud.call("ec2", "CancelSpotInstanceRequests", **arguments)

    def state_of(self, request: str) -> str | None:
        """The state: open, active, disabled, cancelled or closed; None if EC2 does not show it."""
        try:
            arguments = {"SpotInstanceRequestIds": [request]}
            answer = self._cloud.call("ec2", "DescribeSpotInstanceRequests", **arguments)
        except Missing:
            return None
        return next(
            (str(request["State"]) for request in answer.get("SpotInstanceRequests", ())), None
        )

    def look(self, instances: Sequence[Ec2Instance]) -> None:
        """Cancel the requests of machines that are gone, in the background, once each."""
        ended = {
            instance.spot_request
            for instance in instances
            if instance.gone and instance.spot_request
        }
        self._ended &= ended
        for request in ended - self._ended:
            self._ended.add(request)
            with suppress(RuntimeError):  # closed meanwhile: the next daemon cancels it
                self._executor.submit(self._cancel_and_terminate, request)
        if (now := self._cloud.clock.now()) >= self._next:
            self._next = now + SURVEY_EVERY
            with suppress(RuntimeError):
                self._executor.submit(
                    self._survey, frozenset(instance.id for instance in instances)
                )

    def close(self) -> None:
        """Stop; the next daemon continues."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _cancel_and_terminate(self, request: str) -> None:
        try:
            self.cancel(request)
            for instance in self._instances.of_request(request):
                if not instance.gone and names.ID_TAG not in instance.tags:
                    self._cloud.call("ec2", "TerminateInstances", InstanceIds=[instance.id])
        except ProviderRefused as why:  # the daily policy allows this only with our tag
            log.error("the machine of %s may run, and has to be terminated: %s", request, why)
        except Problem as problem:
            log.warning("%s: %s", request, problem)
            self._ended.discard(request)

    def _survey(self, known: frozenset[str]) -> None:
        """Find machines of our requests that the survey of machines does not show."""
        states = {"Name": "state", "Values": ["open", "active", "disabled", "cancelled"]}
        try:
            requests = self._cloud.pages(
                "ec2",
                "DescribeSpotInstanceRequests",
                "SpotInstanceRequests",
                Filters=[*names.OWN_FILTER, states],
            )
            unseen = [
                request for request in requests if request.get("InstanceId") not in {None, *known}
            ]
            untagged = [self._adopt_if_readable(request) for request in unseen]
        except ProviderRefused as error:
            log.error("spot requests cannot be listed: %s", error)
        except Problem as problem:
            log.warning("spot requests: %s", problem)
            self._next = self._cloud.clock.now()
        else:
            self.untagged = [instance for instance in untagged if instance is not None]

    def _adopt_if_readable(self, request: Mapping[str, Any]) -> Ec2Instance | None:
        """`_adopt`, but None if the item cannot be read, so that the others are still adopted."""
        try:
            id = str(request.get("SpotInstanceRequestId"))
            return read_item(id, lambda: self._adopt(request))
        except ItemUnreadable as error:
            log.error("spot request: %s (%s)", error, error.details)
            return None

    def _adopt(self, request: Mapping[str, Any]) -> Ec2Instance | None:
        """A machine that EC2 has launched for a request; it gets the request's tags.

        None for a machine that we launched and that has lost its tags: its workspace finds it by
        its id.
        """
        tags = names.read(request.get("Tags"))
        instance = self._instances.look(request["InstanceId"])
        key = tags.pop(names.ID_TAG, "")
        tags = {name: value for name, value in tags.items() if not name.startswith("aws:")}
        if (
            instance is None
            or instance.gone
            or names.ID_TAG in instance.tags
            or instance.token.startswith(f"{key}-")
        ):
            return None
        log.warning("EC2 has launched %s for %s: see `prism orphans`", instance.id, key)
        self.cancel(request["SpotInstanceRequestId"])
        try:
            self._cloud.tag(instance.id, tags)
        except ProviderRefused as error:
            # Without our instance profile, the policy denies the tags: only the cache has them.
            log.error("%s cannot be tagged: %s", instance.id, error)
        return replace(instance, tags={**tags, **instance.tags})
