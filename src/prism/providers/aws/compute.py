"""A workspace is an EC2 instance; nothing here waits for one.

Every verb asks EC2 once and answers when EC2 has taken the wish; `survey` tells the rest.
EC2 may hide a machine that it has just made, and refuses a verb while another is under way:
both are `Unavailable`, and whoever wished tries again.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec.structs import replace

from prism.connections.ports import Spot
from prism.errors import Unavailable
from prism.providers.aws import launching
from prism.providers.aws import tags as names
from prism.providers.aws.cloud import Cloud
from prism.providers.aws.credits import SURPLUS
from prism.providers.aws.faults import (
    AwsDenied,
    AwsRefused,
    CapacityUnavailable,
    Missing,
    TokenMismatch,
    said,
)
from prism.providers.aws.found import found_of
from prism.providers.aws.ground.images import BASES, DEFAULT
from prism.providers.aws.ground.roles import LOST, WITHOUT
from prism.providers.aws.ground.zones import Subnet
from prism.providers.aws.instance import Instance, read
from prism.providers.aws.parts import Ground, Grounds, Scripts, Way
from prism.providers.aws.ready import Readiness, Stage
from prism.providers.aws.requests import SpotRequests
from prism.providers.aws.seeing import hangs, machine_of, woke
from prism.providers.aws.spot_refusals import SpotRefusals
from prism.providers.aws.survey import Book
from prism.recovery.model import Found
from prism.workspaces.idleness import Idleness, IdleRule
from prism.workspaces.model import Failure, HibernationNotSupported
from prism.workspaces.ports import Access, Machine, NextAttempt, Order, Refused

log = logging.getLogger(__name__)
WRONG_STATE = {"IncorrectInstanceState", "IncorrectState"}
NOT_YET = "not ready to hibernate"
NO_GROUND = "EC2 does not know something that the launch stands on, or not yet"
UNKNOWN_ROLE = "iam instance profile"


class CannotHibernate(HibernationNotSupported, Refused):
    """The machine cannot hibernate."""


class AwsCompute:
    """Implements `workspaces.ports.Compute`, and `connections.ports.Reach`, on EC2."""

    busy = timedelta(seconds=2)
    calm = timedelta(seconds=30)
    patience = timedelta(seconds=60)

    def __init__(
        self,
        cloud: Cloud,
        book: Book,
        readiness: Readiness,
        requests: SpotRequests,
        *,
        grounds: Grounds,
        script: Scripts,
        way: Way,
        welcome: Callable[[str], object] = lambda id: None,
    ) -> None:
        """`welcome` opens a machine to where we are now, behind the scenes."""
        self._cloud, self._book, self._ready = cloud, book, readiness
        self._grounds, self._script, self._way = grounds, script, way
        self._requests, self._welcome = requests, welcome
        self._spot = SpotRefusals(requests, cloud.clock)
        self._unknown: dict[str, datetime] = {}  # since when EC2 says that there is none
        self._used_up: dict[str, datetime] = {}  # since when a token has led to no machine
        self._stopping: dict[
            str, datetime
        ] = {}  # since when it was seen so, where EC2 does not say

    def survey(self) -> Sequence[Machine]:
        """Every machine of ours, by one call for each thousand; the rest goes on behind it."""
        try:
            found = self._book.survey()
        except Refused as no:
            raise _later(no) from no
        known = {it.id for it in found}
        found = [*found, *(it for it in self._requests.heirs if it.id not in known)]
        for it in found[len(known) :]:
            self._book.note(it)
        self._ready.look(found)
        self._requests.look(found)
        return [self._machine(it) for it in found]

    def found(self, ids: Collection[str]) -> Sequence[Found]:
        """Implements `recovery.ports.Recoverable`: what the last survey has read on them."""
        known = [it for it in map(self._book.known, sorted(ids)) if it is not None]
        return [found_of(it, self._machine(it), at_home=self._at_home(it)) for it in known]

    def find(self, id: str, order: Order) -> Machine | None:
        """Implements `workspaces.ports.FindsById`: the survey finds machines by their tags."""
        if not _ours(id) or (it := self._book.look(id)) is None:
            return None
        published = BASES[order.template.base or DEFAULT]
        whole = {**names.instance_tags(order), names.LOGIN: launching.login(order, published)}
        lost = {key: value for key, value in whole.items() if key not in it.tags}
        if not it.gone and {names.MANAGED, names.ID} & lost.keys():
            log.warning("%s has lost tags, which are put back: %s", id, ", ".join(sorted(lost)))
            try:
                self._change(id, "CreateTags", Resources=[id], Tags=names.listed(lost))
            except (
                Refused
            ) as no:  # without our instance profile the daily policy has no such right
                log.error("%s goes on without its tags: %s", id, no)
        it = replace(it, tags={**whole, **it.tags}, key=order.key)
        self._book.note(it)
        return self._machine(it)

    def launch(self, order: Order) -> Machine:
        """Ask for a machine in the zone of this attempt."""
        ground = self._grounds(order.profile)
        subnets = in_zone(order.zone, ground.subnets(order.instance_type, order.key))
        subnet = subnets[order.attempt % len(subnets)]
        last = (order.attempt + 1) % len(subnets) == 0
        try:
            made = self._run(launching.arguments(order, ground, self._script, subnet), ground)
        except CapacityUnavailable as full:
            if not last:
                raise NextAttempt from full
            tried = ", ".join(it.zone for it in subnets)
            raise CapacityUnavailable(
                f"AWS has no room for {order.instance_type} in {tried}",
                details=full.details,
                remediation="Try again later, or take another type or region: "
                "`prism workspace launch --help`",
            ) from full
        except TokenMismatch as other:
            made = self._made_before(order, other)
        return self._machine(made)

    def start(self, id: str) -> None:
        """Power it on, or wake it up; what a boot has not done the next one does."""
        self._forgive(id)
        self._welcome(id)  # who was away since may come from elsewhere now
        try:
            self._change(id, "StartInstances", InstanceIds=[id])
        except CapacityUnavailable as full:
            raise CapacityUnavailable(
                "AWS has no room for it now, and its disk cannot leave the zone",
                details=full.details,
                remediation="Try again later, or give it another type: "
                "`prism workspace resize --help`",
            ) from full
        except AwsRefused as no:
            raise self._spot.to_start(self._book.known(id), no) from no
        self._spot.settled(id)

    def stop(self, id: str) -> None:
        """Power it off; by force where it hangs while it wakes up, or goes down."""
        wish: dict[str, Any] = {"InstanceIds": [id]}
        it = self._book.known(id)
        if it is not None and it.state == "running" and woke(it):
            wish |= {"Force": True} if self._ready.of(it).stage is Stage.UNVERIFIED else {}
        if it is not None and self._hanging(it) is not None:
            wish |= {"Force": True}
            at = names.listed({names.FORCED_OFF: names.instant(self._cloud.clock.now())})
            self._change(id, "CreateTags", Resources=[id], Tags=at)
        self._stop(id, it, wish)

    def hibernate(self, id: str) -> None:
        """Send it to sleep; one that cannot is told why, one that is too young tried again."""
        wish = {"InstanceIds": [id], "Hibernate": True}
        try:
            self._stop(id, self._book.known(id), wish)
        except AwsRefused as no:
            if NOT_YET in no.details:
                raise Unavailable(
                    f"Machine {id} has to be up for a few minutes before it can hibernate",
                    details=no.details,
                ) from no
            if "hibernat" not in no.details.lower():
                raise
            raise CannotHibernate(no.message, details=no.details) from no

    def _stop(self, id: str, it: Instance | None, wish: dict[str, Any]) -> None:
        try:
            self._change(id, "StopInstances", **wish)
        except AwsRefused as no:
            raise self._spot.to_stop(it, no) from no
        self._spot.settled(id)

    def terminate(self, id: str) -> None:
        """Destroy it and its root disk; first the request that would bring another."""
        known = self._book.one(id) if _ours(id) else None
        if known is not None and known.gone:
            return
        if known is not None and known.spot_request:
            self._requests.cancel(known.spot_request)
        self._change(id, "TerminateInstances", InstanceIds=[id])

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Write on it when to go down, for its own timer to read."""
        it = self._book.one(id) if _ours(id) else None
        if it is None:
            return self._nobody(id)
        if it.gone:
            return None
        if at is None:
            gone = [{"Key": names.TTL}, {"Key": names.EXPIRE_ACTION}]
            return self._change(id, "DeleteTags", Resources=[id], Tags=gone)
        launched = names.moment(it.tags.get(names.LAUNCHED_AT))
        tags = names.expiry_tags(at, launched or it.launched, action)
        if launched is None:  # nobody may count from a start that moves
            tags[names.LAUNCHED_AT] = names.instant(it.launched)
        told = names.listed(tags)
        return self._change(id, "CreateTags", Resources=[id], Tags=told)

    def resize(self, id: str, instance_type: str) -> None:
        """Make one that is off another type of machine."""
        kind = {"Value": instance_type}
        wish = {"InstanceId": id, "InstanceType": kind}
        self._change(id, "ModifyInstanceAttribute", **wish)
        burstable = instance_type.partition(".")[0] in SURPLUS
        if burstable and _ours(id) and (it := self._book.one(id)):
            # What was no burstable machine before would be one with unlimited credits.
            credits = launching.credits_of(names.CREDITS in it.tags)
            told = [{"InstanceId": id, "CpuCredits": credits}]
            changed = {"InstanceCreditSpecifications": told}
            self._change(id, "ModifyInstanceCreditSpecification", **changed)

    def watch(self, id: str, rule: IdleRule | None) -> None:
        """Tell its agent what to make of idleness."""
        self._way.watch(id, rule)

    def describe(self, id: str, order: Order) -> None:
        """Change those of its tags that say something else."""
        it = self._book.one(id) if _ours(id) else None
        if it is None:
            return self._nobody(id)
        if it.gone:
            return None
        written, removed = names.changed_facts(it.tags, order)
        if written:
            told = names.listed(written)
            self._change(id, "CreateTags", Resources=[id], Tags=told)
        if removed:
            old = [{"Key": key} for key in removed]
            self._change(id, "DeleteTags", Resources=[id], Tags=old)
        if written or removed:  # until the next survey reads them
            kept = {key: value for key, value in it.tags.items() if key not in removed}
            self._book.note(replace(it, tags=kept | written))
        return None

    def access(self, id: str) -> Access:
        """How to get in, now."""
        return self._way.access(id)

    def spot(self, id: str, port: int) -> Spot | None:
        """Where a port of it is dialled."""
        return self._way.spot(id, port)

    def close(self) -> None:
        """Leave the machines to themselves."""
        self._ready.close()
        self._requests.close()

    def _machine(self, it: Instance) -> Machine:
        idle = self._way.idle(it.id)
        if not it.has_role and not it.gone:
            idle = replace(idle or Idleness(), lacks=WITHOUT)
        return machine_of(it, self._ready.of(it), idle, self._hanging(it))

    def _hanging(self, it: Instance) -> Failure | None:
        now = self._cloud.clock.now()
        if it.state != "stopping":
            self._stopping.pop(it.id, None)
            return None
        return hangs(it, it.changed or self._stopping.setdefault(it.id, now), now)

    def _run(self, arguments: dict[str, Any], ground: Ground) -> Instance:
        try:
            said = self._run_with_role(arguments, ground)
        except Missing as gone:  # removed by hand, or made a moment ago
            ground.forget()
            raise Unavailable(NO_GROUND, details=gone.details) from gone
        except AwsRefused as no:
            if UNKNOWN_ROLE not in no.details.lower():
                raise
            ground.forget()
            raise Unavailable(NO_GROUND, details=no.details) from no
        made = read(said["Instances"][0])
        self._book.note(made)
        return made

    def _run_with_role(self, arguments: dict[str, Any], ground: Ground) -> dict[str, Any]:
        """Ask for it; without its role where that is all that is denied.

        EC2 does not say in clear words what it denies. A denied launch has used no token.
        """
        try:
            return self._cloud.call("ec2", "RunInstances", **arguments)
        except AwsDenied:
            bare = {key: it for key, it in arguments.items() if key != "IamInstanceProfile"}
            if bare == arguments:
                raise
            said = self._cloud.call("ec2", "RunInstances", **bare)
        log.warning("machines may not be given their role (iam:PassRole), so %s", LOST)
        ground.give_no_role()
        return said

    def _made_before(self, order: Order, other: TokenMismatch) -> Instance:
        """The machine that the same attempt has made, when an image or a date was another.

        Where there is none after a while the call has failed, and its token is used up: the next
        attempt has another. A look by tag comes first, so that there are never two.
        """
        if (made := self._book.of_key(order.key)) is not None:
            return made
        now = self._cloud.clock.now()
        since = self._used_up.setdefault(launching.token(order), now)
        if now < since + self.patience:
            raise Unavailable(
                f"The machine of {order.name} was asked for and is not visible yet",
                details=other.details,
            ) from other
        raise NextAttempt from other

    def _change(self, id: str, action: str, **arguments: Any) -> None:
        """Ask EC2 for a change; fine where nothing is left to change.

        Where the machine is in a wrong state for it, it is asked again: what EC2 describes may be
        older than its refusal.
        """
        if not _ours(id):
            return
        try:
            answer = self._cloud.call("ec2", action, **arguments)
        except Missing:
            self._nobody(id)
        except AwsRefused as no:
            if said(no) not in WRONG_STATE:
                raise
            now = self._book.look(id)
            if now is not None and now.gone:
                return
            state = "not visible yet" if now is None else now.state
            raise Unavailable(f"Machine {id} is {state}", details=no.details) from no
        else:
            self._book.changed(id, answer, bool(arguments.get("Hibernate")))

    def _at_home(self, it: Instance) -> bool:
        """Whether this home can enter it."""
        profile = it.tags.get(names.PROFILE)
        return profile is not None and self._grounds(profile).holds(it.key_name)

    def _forgive(self, id: str) -> None:
        """An end that has passed is none for who starts it afterwards.

        Deleted only where it still says what was seen: another one may be on its way.
        """
        it = self._book.known(id)
        if it is None or it.state != "stopped":
            return
        at, now = names.expires_at(it.tags), self._cloud.clock.now()
        if at is not None and at <= now:
            old = [{"Key": names.TTL, "Value": it.tags[names.TTL]}]
            self._change(id, "DeleteTags", Resources=[id], Tags=old)

    def _nobody(self, id: str) -> None:
        """EC2 knows no such machine: it may be too new, and is gone if that stays so."""
        if not _ours(id):
            return
        now = self._cloud.clock.now()
        if now < self._unknown.setdefault(id, now) + self.patience:
            raise Unavailable(f"EC2 does not show machine {id}")


def _later(no: Refused) -> Unavailable:
    """The same refusal, for who has to ask again until it is granted."""
    again = Unavailable(no.message, details=no.details, remediation=no.remediation)
    again.code = no.code
    return again


def in_zone(zone: str | None, subnets: Sequence[Subnet]) -> Sequence[Subnet]:
    """Where a machine may stand that has to be in a zone; raises where there is none."""
    if zone is None:
        return subnets
    if not (found := [it for it in subnets if it.zone == zone]):
        others = ", ".join(it.zone for it in subnets)
        raise CapacityUnavailable(
            f"Its volumes are in {zone}, where such machines are not to be had, only in {others}",
            remediation="Take another type; or take snapshots of the volumes, and restore them: "
            "new volumes go wherever they are attached first",
        )
    return found


def _ours(id: str) -> bool:
    """Whether it may be a machine of EC2 at all."""
    return id.startswith("i-")
