"""CPU credits of burstable machines: `standard`, or `unlimited`, which costs more."""

from aws_double.ec2 import look
from aws_double.ec2.model import Instance
from aws_double.facts.types import type_of
from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree
from aws_double.world import Call

OPTIONS = {"standard", "unlimited"}
STANDARD_BY_DEFAULT = "t2"  # all later families launch as unlimited


def credits_for(type: str, args: Tree) -> str | None:
    """The credit option of a launch; none where the type earns no credits."""
    option = (args.get("CreditSpecification") or {}).get("CpuCredits")
    if option is not None and option not in OPTIONS:
        raise invalid(f"Invalid value '{option}' for CreditSpecification.CpuCredits")
    if not _burstable(type):
        if option is not None:
            raise Refusal(
                "InvalidParameterCombination",
                f"The credit specification is not supported for the instance type {type}.",
            )
        return None
    return option or usual(type)


def usual(type: str) -> str | None:
    """The default option of a machine of that type."""
    if not _burstable(type):
        return None
    return "standard" if type.startswith(f"{STANDARD_BY_DEFAULT}.") else "unlimited"


def retyped(instance: Instance, type: str) -> None:
    """A machine that becomes another type keeps its option, if it had one."""
    instance.credits = (instance.credits or usual(type)) if _burstable(type) else None


def describe_instance_credit_specifications(call: Call) -> Tree:
    """DescribeInstanceCreditSpecifications: of burstable ones, by id."""
    instances = look.machines(call, call.args.get("InstanceIds") or [])
    listed = [
        {"InstanceId": instance.id, "CpuCredits": instance.credits}
        for instance in instances
        if instance.credits
    ]
    return {"InstanceCreditSpecifications": listed}


def modify_instance_credit_specification(call: Call) -> Tree:
    """ModifyInstanceCreditSpecification: of running and stopped ones, each by itself."""
    changed, failed = [], []
    for change in call.args.get("InstanceCreditSpecifications", []):
        id = change["InstanceId"]
        if (why := _refusal(call, id)) is not None:
            error = {"Code": why.code, "Message": why.message}
            failed.append({"InstanceId": id, "Error": error})
            continue
        look.machine(call, id).credits = change["CpuCredits"]
        changed.append({"InstanceId": id})
    return {
        "SuccessfulInstanceCreditSpecifications": changed,
        "UnsuccessfulInstanceCreditSpecifications": failed,
    }


def _refusal(call: Call, id: str) -> Refusal | None:
    """Why the option of a machine cannot be changed: an answer for each, not an error."""
    try:
        instance = look.machine(call, id)
    except Refusal as unknown:
        return unknown
    if instance.state not in {"running", "stopped"}:
        return Refusal("IncorrectInstanceState", f"{id} is neither running nor stopped.")
    if instance.credits is None:
        return Refusal("InstanceCreditSpecification.NotSupported", f"{id} is not burstable.")
    return None


def _burstable(type: str) -> bool:
    return bool(type_of(type).get("BurstablePerformanceSupported"))
