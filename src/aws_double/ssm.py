"""SSM parameters: the public ones for images, and the account's own. The rest is moto's."""

from typing import cast

from aws_double.facts.images import NEW, parameters
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call


def _own(call: Call) -> dict[str, Tree]:
    return cast(dict[str, Tree], call.world.service_state.setdefault("parameters", {}))


def _known(call: Call) -> dict[str, Tree]:
    """Every parameter in the region, by name."""
    public = {
        name: {
            "Name": name,
            "Type": "String",
            "Value": value,
            "Version": 42,
            "LastModifiedDate": NEW,
            "ARN": f"arn:aws:ssm:{call.world.region}::parameter{name}",
            "DataType": "aws:ec2:image",
        }
        for name, value in parameters(call.world.region).items()
    }
    return public | _own(call)


def get_parameter(call: Call) -> Tree:
    """GetParameter."""
    if (parameter := _known(call).get(call.args["Name"])) is None:
        raise _unknown()
    return {"Parameter": parameter}


def get_parameters(call: Call) -> Tree:
    """GetParameters: up to 10; unknown ones are listed, not refused."""
    names, known = call.args["Names"], _known(call)
    if len(names) > 10:
        raise Refusal("ValidationException", "Member must have length less than or equal to 10")
    return {
        "Parameters": [known[name] for name in names if name in known],
        "InvalidParameters": [name for name in names if name not in known],
    }


def get_parameters_by_path(call: Call) -> Tree:
    """GetParametersByPath: a page of at most 10."""
    path, deep = call.args["Path"].rstrip("/") + "/", call.args.get("Recursive", False)
    known = _known(call)
    names = sorted(name for name in known if name.startswith(path))
    names = [name for name in names if deep or "/" not in name[len(path) :]]
    start, size = int(call.args.get("NextToken") or 0), call.args.get("MaxResults", 10)
    more = str(start + size) if start + size < len(names) else None
    return {"Parameters": [known[name] for name in names[start : start + size]], "NextToken": more}


def put_parameter(call: Call) -> Tree:
    """PutParameter: replaces only with Overwrite; not below the reserved paths of AWS."""
    name, args, own = call.args["Name"], call.args, _own(call)
    if name.lower().startswith(("/aws", "/ssm")):
        raise Refusal("AccessDeniedException", "No access to reserved parameter name")
    before = own.get(name)
    if before and not args.get("Overwrite"):
        raise Refusal("ParameterAlreadyExists", "The parameter already exists.")
    version = before["Version"] + 1 if before else 1
    place = f"{call.world.region}:{call.world.account}"
    own[name] = {
        "Name": name,
        "Type": args.get("Type") or (before or {}).get("Type", "String"),
        "Value": args["Value"],
        "Version": version,
        "LastModifiedDate": call.now,
        "ARN": f"arn:aws:ssm:{place}:parameter/{name.lstrip('/')}",
        "DataType": "text",
    }
    return {"Version": version, "Tier": "Standard"}


def delete_parameter(call: Call) -> Tree:
    """DeleteParameter."""
    if _own(call).pop(call.args["Name"], None) is None:
        raise _unknown()
    return {}


def _unknown() -> Refusal:
    return Refusal("ParameterNotFound", "")
