"""What can be done with machines that there are."""

import base64
from typing import Any

from aws_double.ec2 import capacity, credits, life, look, sleep, spot
from aws_double.ec2.consistency import before_changing
from aws_double.ec2.groups import groups_for
from aws_double.ec2.launch import power_on, readable
from aws_double.ec2.model import BY_API, HIBERNATED, Instance
from aws_double.facts.types import architectures, type_of
from aws_double.refusals import Refusal, invalid
from aws_double.world import Call, World

Tree = dict[str, Any]


def start_instances(call: Call) -> Tree:
    """StartInstances: from stopped only; one that runs stays as it is.

    What EC2 has taken back it alone starts again; and for some time after a spot machine has
    stopped, its request is not yet disabled, and it cannot be started.
    """
    found = look.some(call, call.args["InstanceIds"])
    for it in found:
        if it.state not in {"stopped", "pending", "running"}:
            raise _wrong_state(it, "started")
        if it.state == "stopped" and (it.taken or call.world.now < it.startable):
            raise Refusal(
                "IncorrectSpotRequestState",
                f"You can't start the Spot Instance '{it.id}' because the associated Spot "
                "Instance request is not in an appropriate state to support start.",
            )
        if it.state == "stopped":
            capacity.room(call.world, it.type, it.zone, bool(it.market), range(1, 2))
    return {"StartingInstances": [_changed(it, _start, call.world) for it in found]}


def _start(world: World, it: Instance) -> None:
    if it.state == "stopped":
        before_changing(world, it)
        it.launched = world.now
        power_on(world, it)


def stop_instances(call: Call) -> Tree:
    """StopInstances: shut down, or hibernate; by force also one that is stuck."""
    found, asleep = look.some(call, call.args["InstanceIds"]), call.args.get("Hibernate")
    for it in found:
        _check_stop(call.world, it, bool(asleep))
    reason = HIBERNATED if asleep else BY_API  # it says what was begun, not how it ended
    forced = bool(call.args.get("Force"))

    def stop(world: World, it: Instance) -> None:
        before_changing(world, it)
        if it.state == "running":
            it.forgot = bool(asleep) and sleep.fails(world, it)
            life.enter(world, it, "stopping", reason)
            if it.boots and it.boots[-1].hung and not forced:
                it.changes += 1  # its system does not hear, so this never ends by itself
        elif it.state == "stopping" and forced and not life.is_deaf(world, it):
            it.changes += 1
            it.forgot = it.forgot or it.asleep
            life.arrive(world, it)

    return {"StoppingInstances": [_changed(it, stop, call.world) for it in found]}


def _check_stop(world: World, it: Instance, asleep: bool) -> None:
    if it.state in {"pending", "shutting-down", "terminated"}:
        raise _wrong_state(it, "stopped")
    if it.stop_protected:
        raise Refusal(
            "OperationNotPermitted",
            f"The instance '{it.id}' may not be stopped. Modify its 'disableApiStop' instance "
            "attribute and try again.",
        )
    options = (it.market or {}).get("SpotOptions") or {}
    if it.market and options.get("SpotInstanceType", "one-time") != "persistent":
        raise Refusal(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{it.id}' because it is associated with a "
            "one-time Spot Instance request. You can only stop Spot Instances associated with "
            "persistent Spot Instance requests.",
        )
    if spot.is_cancelled(world, it):  # AWS's documents do not say with which code
        raise Refusal(
            "IncorrectSpotRequestState",
            f"You can't stop the Spot Instance '{it.id}' because the associated Spot Instance "
            "request is not in an appropriate state to support stop.",
        )
    if asleep and it.state == "running":
        sleep.check_now(world, it)


def reboot_instances(call: Call) -> Tree:
    """RebootInstances: it boots again and keeps its addresses."""
    for it in look.some(call, call.args["InstanceIds"]):
        if it.state in {"shutting-down", "terminated"}:
            raise _wrong_state(it, "rebooted")
        if it.state == "running":
            life.reboot(call.world, it)
    return {}


def terminate_instances(call: Call) -> Tree:
    """TerminateInstances: one that is gone stays gone; a protected one refuses its zone's."""
    found = look.some(call, call.args["InstanceIds"])
    if protected := next((it for it in found if it.protected), None):
        raise Refusal(
            "OperationNotPermitted",
            f"The instance '{protected.id}' may not be terminated. Modify its "
            "'disableApiTermination' instance attribute and try again.",
        )
    return {"TerminatingInstances": [_changed(it, _terminate, call.world) for it in found]}


def _terminate(world: World, it: Instance) -> None:
    if it.state not in {"shutting-down", "terminated"}:
        before_changing(world, it)
        life.enter(world, it, "shutting-down", BY_API)


def _changed(it: Instance, change: Any, world: World) -> Tree:
    before = look.state(it)
    change(world, it)
    return {"InstanceId": it.id, "PreviousState": before, "CurrentState": look.state(it)}


def _wrong_state(it: Instance, done: str) -> Refusal:
    return Refusal(
        "IncorrectInstanceState",
        f"The instance '{it.id}' is not in a state from which it can be {done}.",
    )


# ------------------------------------------------------------------ attributes
def modify_instance_attribute(call: Call) -> Tree:
    """ModifyInstanceAttribute: the type and user data of a stopped one; the rest at any time."""
    world, args = call.world, call.args
    it = look.one(call, args["InstanceId"])
    _by_name(args)
    before_changing(world, it)
    if (said := args.get("InstanceType")) is not None:
        _resize(world, it, said["Value"])
    if (said := args.get("DisableApiTermination")) is not None:
        it.protected = said["Value"]
    if (said := args.get("DisableApiStop")) is not None:
        it.stop_protected = said["Value"]
    if (said := args.get("InstanceInitiatedShutdownBehavior")) is not None:
        if said["Value"] not in {"stop", "terminate"}:
            raise invalid(f"Invalid value '{said['Value']}' for the shutdown behavior")
        it.behaviour = said["Value"]
    if (said := args.get("UserData")) is not None:
        _stopped(it)
        it.user_data = base64.b64encode(said["Value"]).decode()
        if runs_again(new := readable(it.user_data)):
            it.script = new
    if (wanted := args.get("Groups")) is not None:
        it.groups = groups_for(world, wanted, [], it.subnet.network)
    for said in args.get("BlockDeviceMappings", []):
        _outlives(world, it, said)
    life.touched(world, it.id)
    return {}


def _by_name(args: Tree) -> None:
    """The older way to say it: an attribute's name and a value."""
    if name := args.get("Attribute"):
        full = name[0].upper() + name[1:]
        value: Any = args.get("Value")
        if full.startswith("Disable"):
            value = str(value).lower() == "true"
        args[full] = {"Value": value}


def _resize(world: World, it: Instance, name: str) -> None:
    kind = type_of(name)
    _stopped(it)
    if it.market:
        raise Refusal(
            "UnsupportedOperation",
            f"The type of the Spot Instance '{it.id}' cannot be changed while it is stopped.",
        )
    if it.asleep:
        raise Refusal(
            "UnsupportedOperation",
            f"The instance '{it.id}' is hibernated; its type cannot be changed until it was "
            "stopped without hibernation.",
        )
    if it.hibernates and name != it.type and not world.rules.retypes:
        raise Refusal(
            "UnsupportedOperation",
            f"The type of the instance '{it.id}' cannot be changed because it is enabled for "
            "hibernation.",
        )
    if it.image.architecture not in architectures(kind):
        raise invalid(
            f"The architecture '{architectures(kind)[0]}' of the specified instance type does "
            f"not match the architecture '{it.image.architecture}' of the instance's image."
        )
    it.type = name
    credits.retyped(it, name)


def runs_again(script: str) -> bool:
    """Whether a machine that has booted before does what its new user data says.

    EC2 User Guide, "Run commands at launch": scripts and cloud-init directives run at the first
    boot only. cloud-init's documentation: `bootcmd` runs at every boot, and a module that runs
    once an instance leaves a semaphore, `/var/lib/cloud/instance/sem/config_MODULE`.
    """
    return "bootcmd" in script and "sem/config_write_files" in script


def _stopped(it: Instance) -> None:
    if it.state != "stopped":
        raise Refusal(
            "IncorrectInstanceState", f"The instance '{it.id}' is not in the 'stopped' state."
        )


def _outlives(world: World, it: Instance, said: Tree) -> None:
    volume = world.disks(it.id).get(said["DeviceName"])
    if volume is None or volume.attachment is None:
        raise Refusal("InvalidInstanceAttributeValue", f"No device '{said['DeviceName']}'")
    at = volume.attachment
    at.dies = (said.get("Ebs") or {}).get("DeleteOnTermination", at.dies)


def describe_instance_attribute(call: Call) -> Tree:
    """DescribeInstanceAttribute: one of them."""
    it, name = look.one(call, call.args["InstanceId"]), call.args["Attribute"]
    known: Tree = {
        "instanceType": {"InstanceType": {"Value": it.type}},
        "userData": {"UserData": {"Value": it.user_data}},
        "disableApiTermination": {"DisableApiTermination": {"Value": it.protected}},
        "disableApiStop": {"DisableApiStop": {"Value": it.stop_protected}},
        "rootDeviceName": {"RootDeviceName": {"Value": it.root}},
        "instanceInitiatedShutdownBehavior": {
            "InstanceInitiatedShutdownBehavior": {"Value": it.behaviour}
        },
        "groupSet": {"Groups": [{"GroupId": id} for id in it.groups]},
    }
    if name not in known:
        raise invalid(f"Value ({name}) for parameter attribute is invalid. Unknown attribute.")
    return {"InstanceId": it.id, **known[name]}


def modify_instance_metadata_options(call: Call) -> Tree:
    """ModifyInstanceMetadataOptions."""
    it = look.one(call, call.args["InstanceId"])
    changed = {name: value for name, value in call.args.items() if name.startswith(("Http", "I"))}
    changed.pop("InstanceId")
    it.metadata = {**it.metadata, **changed}
    life.touched(call.world, it.id)
    return {"InstanceId": it.id, "InstanceMetadataOptions": {"State": "pending", **it.metadata}}
