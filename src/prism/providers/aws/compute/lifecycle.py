"""Workspaces as EC2 instances.

Every verb makes its call and returns when EC2 has accepted it; `survey` shows the result later.
EC2 may not show a machine that it has just made, and refuses a verb while another is under way:
both raise `Unavailable`, and the caller tries again.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec.structs import replace

from prism.errors import Problem, Unavailable
from prism.providers.aws.api import tags as names
from prism.providers.aws.api.cloud import Answer, Cloud
from prism.providers.aws.api.faults import (
    AwsDenied,
    AwsRefused,
    CapacityUnavailable,
    Missing,
    TokenMismatch,
    TypeNotOffered,
    code_of,
)
from prism.providers.aws.compute import launching
from prism.providers.aws.compute.instance import Ec2Instance, read
from prism.providers.aws.compute.orphan_tags import machine_of_tags
from prism.providers.aws.compute.parts import Connectivity, Scripts
from prism.providers.aws.compute.readiness import BootStage, Readiness, woke
from prism.providers.aws.compute.spot_refusals import SpotRefusals
from prism.providers.aws.compute.spot_requests import SpotRequests
from prism.providers.aws.compute.state_mapping import hangs, machine_of
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.network.subnets import Subnet
from prism.providers.aws.prerequisites.images import BASES, HIDDEN_IMAGES
from prism.providers.aws.prerequisites.launch import (
    AwsLaunchPrerequisites,
    PrerequisitesByProfile,
)
from prism.providers.aws.prerequisites.roles import LOST, WITHOUT
from prism.providers.aws.prices.credits import SURPLUS
from prism.recovery.model import FoundMachine
from prism.templates.model import DEFAULT_BASE
from prism.workspaces.idleness import Idleness
from prism.workspaces.model import HibernationNotSupported, WorkspaceFailure
from prism.workspaces.ports import Machine, MachineSpec, NextAttempt, ProviderRefused

log = logging.getLogger(__name__)
WRONG_STATE = {"IncorrectInstanceState", "IncorrectState"}
NOT_YET = "not ready to hibernate"  # in EC2's message
PREREQUISITE_GONE = "EC2 does not know a resource that the launch needs, or not yet"
UNKNOWN_ROLE = "iam instance profile"
PREREQUISITE_TIMEOUT = timedelta(minutes=10)  # EC2: eventual consistency, about five minutes


class CannotHibernate(HibernationNotSupported, ProviderRefused):
    """The machine cannot hibernate."""


class AwsCompute:
    """Implements `workspaces.ports.Compute`, and `connections.ports.PortFinder`, on EC2."""

    busy = timedelta(seconds=2)
    calm = timedelta(seconds=30)
    patience = timedelta(seconds=60)

    def __init__(
        self,
        cloud: Cloud,
        instances: InstanceCache,
        readiness: Readiness,
        requests: SpotRequests,
        *,
        prerequisites_of: PrerequisitesByProfile,
        script: Scripts,
        connectivity: Connectivity,
        open_ingress: Callable[[str], object] = lambda id: None,
    ) -> None:
        """`open_ingress` opens a machine to our current address, in the background."""
        self._cloud, self._instances, self._ready = cloud, instances, readiness
        self._prerequisites_of, self._script = prerequisites_of, script
        self._connectivity, self.access = connectivity, connectivity.access
        self.watch, self.address_of = connectivity.watch, connectivity.address_of
        self._requests, self._open_ingress = requests, open_ingress
        self._spot = SpotRefusals(requests, cloud.clock)
        self._unknown: dict[str, datetime] = {}  # since when EC2 denies that the machine exists
        self._missing: dict[str, datetime] = {}  # since when a launch lacks a prerequisite
        self._used_up: dict[str, datetime] = {}  # since when EC2 shows no machine for a used token
        # Since when we have seen each machine stopping, if EC2 does not say so.
        self._stopping: dict[str, datetime] = {}

    def survey(self) -> Sequence[Machine]:
        """All our machines, with one call per thousand; starts other calls in the background."""
        try:
            instances = self._instances.survey()
        except ProviderRefused as error:
            raise Unavailable.copied(error) from error
        known = {instance.id for instance in instances}
        untagged = [instance for instance in self._requests.untagged if instance.id not in known]
        for instance in untagged:
            self._instances.note(instance)
        instances = [*instances, *untagged]
        self._ready.look(instances)
        self._requests.look(instances)
        return [self._machine(instance) for instance in instances]

    def found(self, ids: Collection[str]) -> Sequence[FoundMachine]:
        """Implements `RecoverableLocation`, from the tags that the last survey read."""
        return [
            machine_of_tags(instance, self._machine(instance), at_home=self._has_key(instance))
            for instance in map(self._instances.known, sorted(ids))
            if instance is not None
        ]

    def find(self, id: str | None, spec: MachineSpec) -> Machine | None:
        """Implements `workspaces.ports.FindsById`: the survey finds machines by their tags."""
        self._instances.require_readable(spec.key)
        if id is None or not _is_instance_id(id) or (instance := self._instances.look(id)) is None:
            return None
        published = BASES[spec.template.base or DEFAULT_BASE]
        expected = {**names.instance_tags(spec), names.LOGIN: launching.login(spec, published)}
        lost = {key: value for key, value in expected.items() if key not in instance.tags}
        if not instance.gone and {names.MANAGED, names.ID_TAG} & lost.keys():
            log.warning("%s has lost tags, written again: %s", id, ", ".join(sorted(lost)))
            try:
                self._change(id, "CreateTags", Resources=[id], Tags=names.listed(lost))
            except ProviderRefused as error:
                # Without our instance profile the daily policy has no such right.
                log.error("the tags of %s cannot be written again: %s", id, error)
        instance = replace(instance, tags={**expected, **instance.tags}, key=spec.key)
        self._instances.note(instance)
        return self._machine(instance)

    def launch(self, spec: MachineSpec) -> Machine:
        """Ask for a machine in the zone of this attempt."""
        prerequisites = self._prerequisites_of(spec.profile)
        subnets = in_zone(spec.zone, prerequisites.subnets(spec.instance_type, spec.key))
        subnet = subnets[spec.attempt % len(subnets)]
        last = (spec.attempt + 1) % len(subnets) == 0
        try:
            request = launching.arguments(spec, prerequisites, self._script, subnet)
            instance = self._run(request, prerequisites, spec)
        except CapacityUnavailable as full:
            if not last:
                raise NextAttempt from full
            zones = ", ".join(subnet.zone for subnet in subnets)
            offered = not isinstance(full, TypeNotOffered)
            lacks = "has no capacity for" if offered else "does not offer"
            raise type(full)(
                f"AWS {lacks} {spec.instance_type} in {zones}",
                details=full.details,
                remediation=("Try again later, or choose" if offered else "Choose")
                + " another type or region: `prism workspace launch --help`",
            ) from full
        except TokenMismatch as other:
            instance = self._find_earlier_launch(spec, other)
        self._missing.pop(spec.key, None)
        return self._machine(instance)

    def start(self, id: str) -> None:
        """Boot or resume a machine; a boot continues a setup that the last one did not finish."""
        self._delete_past_expiry(id)
        self._open_ingress(id)  # our address may have changed
        try:
            self._change(id, "StartInstances", InstanceIds=[id])
        except CapacityUnavailable as full:
            raise CapacityUnavailable(
                "AWS has no capacity for it now, and its disk cannot leave the zone",
                details=full.details,
                remediation="Try again later, or give it another type: "
                "`prism workspace resize --help`",
            ) from full
        except AwsRefused as error:
            raise self._spot.to_start(self._instances.known(id), error) from error
        self._spot.settled(id)

    def stop(self, id: str) -> None:
        """Power a machine off; by force if it hangs while it resumes or stops."""
        arguments: dict[str, Any] = {"InstanceIds": [id]}
        instance = self._instances.known(id)
        if instance is not None and instance.state == "running" and woke(instance):
            unverified = self._ready.of(instance).stage is BootStage.UNVERIFIED
            arguments |= {"Force": True} if unverified else {}
        if instance is not None and self._hang_failure(instance) is not None:
            arguments["Force"] = True
            at = names.listed({names.FORCED_OFF: names.instant(self._cloud.clock.now())})
            self._change(id, "CreateTags", Resources=[id], Tags=at)
        self._stop(id, instance, arguments)

    def hibernate(self, id: str) -> None:
        """Hibernate a machine; raises `Unavailable`, to be retried, if it has just started."""
        arguments = {"InstanceIds": [id], "Hibernate": True}
        try:
            self._stop(id, self._instances.known(id), arguments)
        except AwsRefused as error:
            if NOT_YET in error.details:
                raise Unavailable(
                    f"Machine {id} has to be up for a few minutes before it can hibernate",
                    details=error.details,
                ) from error
            if "hibernat" not in error.details.lower():
                raise
            raise CannotHibernate(error.message, details=error.details) from error

    def _stop(self, id: str, instance: Ec2Instance | None, arguments: dict[str, Any]) -> None:
        try:
            self._change(id, "StopInstances", **arguments)
        except AwsRefused as error:
            raise self._spot.to_stop(instance, error) from error
        self._spot.settled(id)

    def terminate(self, id: str) -> None:
        """Cancel the machine's spot request, which would launch another one, and terminate it."""
        known = self._instances.one(id) if _is_instance_id(id) else None
        if known is not None and known.gone:
            return
        if known is not None and known.spot_request:
            self._requests.cancel(known.spot_request)
        self._change(id, "TerminateInstances", InstanceIds=[id])

    def expire(self, id: str, at: datetime | None, action: Literal["hibernate", "stop"]) -> None:
        """Write the expiry and its action into the tags, which the machine's own timer reads."""
        if (instance := self._living(id)) is None:
            return
        if at is None:
            gone = [{"Key": names.TTL}, {"Key": names.EXPIRE_ACTION}]
            self._change(id, "DeleteTags", Resources=[id], Tags=gone)
            return
        launched = names.moment(instance.tags.get(names.LAUNCHED_AT))
        tags = names.expiry_tags(at, launched or instance.launched, action)
        if launched is None:  # its LaunchTime, from which the expiry counts, may still change
            tags[names.LAUNCHED_AT] = names.instant(instance.launched)
        self._change(id, "CreateTags", Resources=[id], Tags=names.listed(tags))

    def resize(self, id: str, instance_type: str) -> None:
        """Change the type of a machine that is off."""
        kind = {"Value": instance_type}
        self._change(id, "ModifyInstanceAttribute", InstanceId=id, InstanceType=kind)
        burstable = instance_type.partition(".")[0] in SURPLUS
        if burstable and _is_instance_id(id) and (instance := self._instances.one(id)):
            # A machine that becomes burstable gets unlimited credits by default.
            self._set_credits(id, launching.credits_of(names.CREDITS in instance.tags))

    def _set_credits(self, id: str, option: str) -> None:
        """Set the CPU credits; EC2 reports a failure for each machine inside of its answer."""
        specifications = [{"InstanceId": id, "CpuCredits": option}]
        answer = self._change(
            id,
            "ModifyInstanceCreditSpecification",
            InstanceCreditSpecifications=specifications,
        )
        for failed in answer.get("UnsuccessfulInstanceCreditSpecifications", ()):
            error = failed.get("Error", {})
            details = f"{error.get('Code')}: {error.get('Message')}"
            if error.get("Code") in {*WRONG_STATE, "InvalidInstanceID.NotFound"}:
                raise Unavailable(f"EC2 cannot set the CPU credits of {id} yet", details=details)
            raise AwsRefused(
                f"EC2 did not set the CPU credits of {id} to {option!r}, which changes its price",
                details=details,
            )

    def change_template(self, id: str, spec: MachineSpec) -> None:
        """Replace the user data of a machine that is off; its next boot uses them."""
        prerequisites = self._prerequisites_of(spec.profile)
        image = prerequisites.image(spec.template.base, spec.instance_type)
        key = prerequisites.key()
        user_data = {"Value": self._script(spec, image, key, again=True)}
        self._change(id, "ModifyInstanceAttribute", InstanceId=id, UserData=user_data)

    def describe(self, id: str, spec: MachineSpec) -> None:
        """Change the tags that differ from the spec."""
        if (instance := self._living(id)) is None:
            return
        written, removed = names.changed_facts(instance.tags, spec)
        if written:
            self._change(id, "CreateTags", Resources=[id], Tags=names.listed(written))
        if removed:
            old = [{"Key": key} for key in removed]
            self._change(id, "DeleteTags", Resources=[id], Tags=old)
        if written or removed:  # used until the next survey reads the tags
            unchanged = {key: value for key, value in instance.tags.items() if key not in removed}
            self._instances.note(replace(instance, tags=unchanged | written))

    def close(self) -> None:
        """Make no more calls in the background; machines keep running."""
        self._ready.close()
        self._requests.close()

    def _machine(self, instance: Ec2Instance) -> Machine:
        idle = self._connectivity.idle(instance.id)
        if not instance.has_role and not instance.gone:
            idle = replace(idle or Idleness(), lacks=WITHOUT)
        return machine_of(instance, self._ready.of(instance), idle, self._hang_failure(instance))

    def _hang_failure(self, instance: Ec2Instance) -> WorkspaceFailure | None:
        now = self._cloud.clock.now()
        if instance.state != "stopping":
            self._stopping.pop(instance.id, None)
            return None
        return hangs(
            instance, instance.changed or self._stopping.setdefault(instance.id, now), now
        )

    def _run(
        self, arguments: dict[str, Any], prerequisites: AwsLaunchPrerequisites, spec: MachineSpec
    ) -> Ec2Instance:
        try:
            answer = self._run_with_role(arguments, prerequisites)
        except Missing as gone:  # removed by hand, or just made and not visible yet
            prerequisites.forget()
            raise self._unknown_prerequisite(spec, gone) from gone
        except AwsRefused as error:
            if UNKNOWN_ROLE not in error.details.lower():
                raise
            prerequisites.forget()
            raise self._unknown_prerequisite(spec, error) from error
        instance = read(answer["Instances"][0])
        self._instances.note(instance)
        return instance

    def _unknown_prerequisite(self, spec: MachineSpec, error: Problem) -> Problem:
        """What a launch lacks: not visible yet for some minutes, and then a refusal."""
        now, code = self._cloud.clock.now(), code_of(error)
        since = self._missing.setdefault(spec.key, now)
        if now < since + PREREQUISITE_TIMEOUT:
            return Unavailable(f"{PREREQUISITE_GONE} ({code})", details=error.details)
        del self._missing[spec.key]
        hidden = code.startswith("InvalidAMIID")
        refused = AwsRefused(
            f"EC2 does not know a resource that the launch needs: {error.message} ({code})",
            details=error.details,
            remediation=HIDDEN_IMAGES if hidden else "See what is missing: `prism aws check`",
        )
        refused.aws_code = code
        return refused

    def _run_with_role(
        self, arguments: dict[str, Any], prerequisites: AwsLaunchPrerequisites
    ) -> dict[str, Any]:
        """Launch a machine; if that is denied, once more without its role.

        EC2 does not say whether it denies the role or the launch. A denied launch does not use up
        its token.
        """
        try:
            return self._cloud.call("ec2", "RunInstances", **arguments)
        except AwsDenied:
            bare = {key: value for key, value in arguments.items() if key != "IamInstanceProfile"}
            if bare == arguments:
                raise
            answer = self._cloud.call("ec2", "RunInstances", **bare)
        log.warning("machines may not be given their role (iam:PassRole), so %s", LOST)
        prerequisites.give_no_role()
        return answer

    def _find_earlier_launch(self, spec: MachineSpec, other: TokenMismatch) -> Ec2Instance:
        """The machine of an earlier call with this token, but with another image or date.

        If EC2 shows none after a while, that call has failed and its token is used up: the next
        attempt has another. A search by tag comes first, so that there are never two machines.
        """
        if (instance := self._instances.of_key(spec.key)) is not None:
            return instance
        now = self._cloud.clock.now()
        since = self._used_up.setdefault(launching.token(spec), now)
        if now < since + self.patience:
            raise Unavailable(
                f"The machine of {spec.name} was asked for and is not visible yet",
                details=other.details,
            ) from other
        raise NextAttempt from other

    def _change(self, id: str, action: str, **arguments: Any) -> Answer:
        """Make a call that changes a machine; does nothing if the machine is gone.

        If EC2 refuses because of the machine's state, its state is read anew: the known state may
        be outdated.
        """
        if not _is_instance_id(id):
            return {}
        try:
            answer = self._cloud.call("ec2", action, **arguments)
        except Missing:
            self._raise_if_new(id)
            return {}
        except AwsRefused as error:
            if code_of(error) not in WRONG_STATE:
                raise
            now = self._instances.look(id)
            if now is not None and now.gone:
                return {}
            state = "not visible yet" if now is None else now.state
            raise Unavailable(f"Machine {id} is {state}", details=error.details) from error
        else:
            self._unknown.pop(id, None)
            self._instances.changed(id, answer, bool(arguments.get("Hibernate")))
            return answer

    def _has_key(self, instance: Ec2Instance) -> bool:
        """Whether this home has the machine's private key."""
        profile = instance.tags.get(names.PROFILE)
        return profile is not None and self._prerequisites_of(profile).holds(instance.key_name)

    def _delete_past_expiry(self, id: str) -> None:
        """Delete an expiry that has passed, before a start, unless it was changed meanwhile."""
        instance = self._instances.known(id)
        if instance is None or instance.state != "stopped":
            return
        at, now = names.expires_at(instance.tags), self._cloud.clock.now()
        if at is not None and at <= now:
            old = [{"Key": names.TTL, "Value": instance.tags[names.TTL]}]
            self._change(id, "DeleteTags", Resources=[id], Tags=old)

    def _living(self, id: str) -> Ec2Instance | None:
        """The machine unless it is gone; raises `Unavailable` if EC2 may not show it yet."""
        instance = self._instances.one(id) if _is_instance_id(id) else None
        if instance is None:
            self._raise_if_new(id)
            return None
        self._unknown.pop(id, None)
        return None if instance.gone else instance

    def _raise_if_new(self, id: str) -> None:
        """Raise `Unavailable` for a machine that EC2 has not known for less than `patience`."""
        if not _is_instance_id(id):
            return
        now = self._cloud.clock.now()
        if now < self._unknown.setdefault(id, now) + self.patience:
            raise Unavailable(f"EC2 does not show machine {id}")


def in_zone(zone: str | None, subnets: Sequence[Subnet]) -> Sequence[Subnet]:
    """The subnets in a zone, or all if it is None; raises if there is none."""
    if zone is None:
        return subnets
    if not (matching := [subnet for subnet in subnets if subnet.zone == zone]):
        zones = ", ".join(subnet.zone for subnet in subnets)
        raise CapacityUnavailable(
            f"Its volumes are in {zone}, where there are no such machines; they are in {zones}",
            remediation="Choose another type; or take snapshots of the volumes, and restore them: "
            "new volumes go wherever they are attached first",
        )
    return matching


def _is_instance_id(id: str) -> bool:
    """Whether the id has the format of EC2's instance ids."""
    return id.startswith("i-")
