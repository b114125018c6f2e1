"""Actions on existing machines."""

import base64
from typing import Any

from aws_double.ec2 import capacity, credits, life, look, sleep, spot
from aws_double.ec2.consistency import before_changing
from aws_double.ec2.groups import groups_for
from aws_double.ec2.launch import power_on, readable
from aws_double.ec2.model import BY_API, HIBERNATED, Instance
from aws_double.facts.types import architectures, type_of
from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree
from aws_double.world import Call, World


def start_instances(call: Call) -> Tree:
    """StartInstances: from stopped only; running machines stay as they are.

    An interrupted spot machine can only be started by EC2. After a stop, a spot machine cannot
    be started for some time, until its request is disabled.
    """
    instances = look.machines(call, call.args["InstanceIds"])
    for instance in instances:
        if instance.state not in {"stopped", "pending", "running"}:
            raise _wrong_state(instance, "started")
        if instance.state == "stopped" and (instance.taken or call.world.now < instance.startable):
            raise Refusal(
                "IncorrectSpotRequestState",
                f"You can't start the Spot Instance '{instance.id}' because the associated Spot "
                "Instance request is not in an appropriate state to support start.",
            )
        if instance.state == "stopped":
            capacity.room(
                call.world, instance.type, instance.zone, bool(instance.market), range(1, 2)
            )
    return {"StartingInstances": [_apply(instance, _start, call.world) for instance in instances]}


def _start(world: World, instance: Instance) -> None:
    if instance.state == "stopped":
        before_changing(world, instance)
        instance.launched = world.now
        power_on(world, instance)


def stop_instances(call: Call) -> Tree:
    """StopInstances: shut down or hibernate; `Force` also stops a stuck machine."""
    instances, asleep = look.machines(call, call.args["InstanceIds"]), call.args.get("Hibernate")
    for instance in instances:
        _check_stop(call.world, instance, bool(asleep))
    reason = HIBERNATED if asleep else BY_API  # of the request, not of how it ended
    forced = bool(call.args.get("Force"))

    def stop(world: World, instance: Instance) -> None:
        before_changing(world, instance)
        if instance.state == "running":
            instance.forgot = bool(asleep) and sleep.fails(world, instance)
            life.enter(world, instance, "stopping", reason)
            if instance.boots and instance.boots[-1].hung and not forced:
                instance.changes += 1  # its system does not hear, so this never ends by itself
        elif instance.state == "stopping" and forced and not life.is_deaf(world, instance):
            instance.changes += 1
            instance.forgot = instance.forgot or instance.asleep
            life.arrive(world, instance)

    return {"StoppingInstances": [_apply(instance, stop, call.world) for instance in instances]}


def _check_stop(world: World, instance: Instance, asleep: bool) -> None:
    if instance.state in {"pending", "shutting-down", "terminated"}:
        raise _wrong_state(instance, "stopped")
    if instance.stop_protected:
        raise Refusal(
            "OperationNotPermitted",
            f"The instance '{instance.id}' may not be stopped. Modify its 'disableApiStop' "
            "instance attribute and try again.",
        )
    options = (instance.market or {}).get("SpotOptions") or {}
    if instance.market and options.get("SpotInstanceType", "one-time") != "persistent":
        raise Refusal(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{instance.id}' because it is associated with a "
            "one-time Spot Instance request. You can only stop Spot Instances associated with "
            "persistent Spot Instance requests.",
        )
    if spot.is_cancelled(world, instance):  # AWS's documents do not say with which code
        raise Refusal(
            "IncorrectSpotRequestState",
            f"You can't stop the Spot Instance '{instance.id}' because the associated Spot "
            "Instance request is not in an appropriate state to support stop.",
        )
    if asleep and instance.state == "running":
        sleep.check_now(world, instance)


def reboot_instances(call: Call) -> Tree:
    """RebootInstances: the machines keep their addresses."""
    for instance in look.machines(call, call.args["InstanceIds"]):
        if instance.state in {"shutting-down", "terminated"}:
            raise _wrong_state(instance, "rebooted")
        if instance.state == "running":
            life.reboot(call.world, instance)
    return {}


def terminate_instances(call: Call) -> Tree:
    """TerminateInstances: refused if one of the machines is protected."""
    instances = look.machines(call, call.args["InstanceIds"])
    if protected := next((instance for instance in instances if instance.protected), None):
        raise Refusal(
            "OperationNotPermitted",
            f"The instance '{protected.id}' may not be terminated. Modify its "
            "'disableApiTermination' instance attribute and try again.",
        )
    return {
        "TerminatingInstances": [
            _apply(instance, _terminate, call.world) for instance in instances
        ]
    }


def _terminate(world: World, instance: Instance) -> None:
    if instance.state not in {"shutting-down", "terminated"}:
        before_changing(world, instance)
        life.enter(world, instance, "shutting-down", BY_API)


def _apply(instance: Instance, change: Any, world: World) -> Tree:
    before = look.state(instance)
    change(world, instance)
    return {
        "InstanceId": instance.id,
        "PreviousState": before,
        "CurrentState": look.state(instance),
    }


def _wrong_state(instance: Instance, verb: str) -> Refusal:
    return Refusal(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {verb}.",
    )


# ------------------------------------------------------------------ attributes
def modify_instance_attribute(call: Call) -> Tree:
    """ModifyInstanceAttribute: type and user data if it is stopped; the rest at any time."""
    world, args = call.world, call.args
    instance = look.machine(call, args["InstanceId"])
    _normalize_attribute(args)
    before_changing(world, instance)
    if (attribute := args.get("InstanceType")) is not None:
        _resize(world, instance, attribute["Value"])
    if (attribute := args.get("DisableApiTermination")) is not None:
        instance.protected = attribute["Value"]
    if (attribute := args.get("DisableApiStop")) is not None:
        instance.stop_protected = attribute["Value"]
    if (attribute := args.get("InstanceInitiatedShutdownBehavior")) is not None:
        if attribute["Value"] not in {"stop", "terminate"}:
            raise invalid(f"Invalid value '{attribute['Value']}' for the shutdown behavior")
        instance.behaviour = attribute["Value"]
    if (attribute := args.get("UserData")) is not None:
        _check_stopped(instance)
        instance.user_data = base64.b64encode(attribute["Value"]).decode()
        if runs_again(new := readable(instance.user_data)):
            instance.script = new
    if (group_ids := args.get("Groups")) is not None:
        instance.groups = groups_for(world, group_ids, [], instance.subnet.network)
    for attribute in args.get("BlockDeviceMappings", []):
        _set_delete_on_termination(world, instance, attribute)
    life.refresh(world, instance.id)
    return {}


def _normalize_attribute(args: Tree) -> None:
    """Convert the older form of the call, an attribute's name and a value, to the newer one."""
    if name := args.get("Attribute"):
        full = name[0].upper() + name[1:]
        value: Any = args.get("Value")
        if full.startswith("Disable"):
            value = str(value).lower() == "true"
        args[full] = {"Value": value}


def _resize(world: World, instance: Instance, name: str) -> None:
    kind = type_of(name)
    _check_stopped(instance)
    if instance.market:
        raise Refusal(
            "UnsupportedOperation",
            f"The type of the Spot Instance '{instance.id}' cannot be changed while it is "
            "stopped.",
        )
    if instance.asleep:
        raise Refusal(
            "UnsupportedOperation",
            f"The instance '{instance.id}' is hibernated; its type cannot be changed until it was "
            "stopped without hibernation.",
        )
    if instance.hibernates and name != instance.type and not world.rules.retypes:
        raise Refusal(
            "UnsupportedOperation",
            f"The type of the instance '{instance.id}' cannot be changed because it is enabled "
            "for hibernation.",
        )
    if instance.image.architecture not in architectures(kind):
        raise invalid(
            f"The architecture '{architectures(kind)[0]}' of the specified instance type does "
            f"not match the architecture '{instance.image.architecture}' of the instance's image."
        )
    instance.type = name
    credits.retyped(instance, name)


def runs_again(script: str) -> bool:
    """Whether a machine that has booted before runs its new user data.

    EC2 User Guide, "Run commands at launch": scripts and cloud-init directives run at the first
    boot only. cloud-init's documentation: `bootcmd` runs at every boot, and a module that runs
    once an instance leaves a semaphore, `/var/lib/cloud/instance/sem/config_MODULE`.
    """
    return "bootcmd" in script and "sem/config_write_files" in script


def _check_stopped(instance: Instance) -> None:
    if instance.state != "stopped":
        raise Refusal(
            "IncorrectInstanceState",
            f"The instance '{instance.id}' is not in the 'stopped' state.",
        )


def _set_delete_on_termination(world: World, instance: Instance, mapping: Tree) -> None:
    volume = world.disks(instance.id).get(mapping["DeviceName"])
    if volume is None or volume.attachment is None:
        raise Refusal("InvalidInstanceAttributeValue", f"No device '{mapping['DeviceName']}'")
    at = volume.attachment
    at.dies = (mapping.get("Ebs") or {}).get("DeleteOnTermination", at.dies)


def describe_instance_attribute(call: Call) -> Tree:
    """DescribeInstanceAttribute: one attribute."""
    instance, name = look.machine(call, call.args["InstanceId"]), call.args["Attribute"]
    known: Tree = {
        "instanceType": {"InstanceType": {"Value": instance.type}},
        "userData": {"UserData": {"Value": instance.user_data}},
        "disableApiTermination": {"DisableApiTermination": {"Value": instance.protected}},
        "disableApiStop": {"DisableApiStop": {"Value": instance.stop_protected}},
        "rootDeviceName": {"RootDeviceName": {"Value": instance.root}},
        "instanceInitiatedShutdownBehavior": {
            "InstanceInitiatedShutdownBehavior": {"Value": instance.behaviour}
        },
        "groupSet": {"Groups": [{"GroupId": id} for id in instance.groups]},
    }
    if name not in known:
        raise invalid(f"Value ({name}) for parameter attribute is invalid. Unknown attribute.")
    return {"InstanceId": instance.id, **known[name]}


def modify_instance_metadata_options(call: Call) -> Tree:
    """ModifyInstanceMetadataOptions."""
    instance = look.machine(call, call.args["InstanceId"])
    changed = {name: value for name, value in call.args.items() if name.startswith(("Http", "I"))}
    changed.pop("InstanceId")
    instance.metadata = {**instance.metadata, **changed}
    life.refresh(call.world, instance.id)
    return {
        "InstanceId": instance.id,
        "InstanceMetadataOptions": {"State": "pending", **instance.metadata},
    }
