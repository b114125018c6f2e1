"""Tags: of create calls, changed later, described."""

from aws_double.ec2 import consistency, life
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Tags
from aws_double.refusals import Refusal, invalid
from aws_double.tree import Tree
from aws_double.world import Call

KINDS = {  # by the prefix of its ids: a kind of resource, and the error for unknown ids
    "i": ("instance", "InvalidInstanceID.NotFound"),
    "vol": ("volume", "InvalidVolume.NotFound"),
    "snap": ("snapshot", "InvalidSnapshot.NotFound"),
    "ami": ("image", "InvalidAMIID.NotFound"),
    "sg": ("security-group", "InvalidGroup.NotFound"),
    "key": ("key-pair", "InvalidKeyPair.NotFound"),
    "vpc": ("vpc", "InvalidVpcID.NotFound"),
    "subnet": ("subnet", "InvalidSubnetID.NotFound"),
    "sir": ("spot-instances-request", "InvalidSpotInstanceRequestID.NotFound"),
}


def kind_of(id: str) -> str:
    """The kind of resource with that id, as tags and ARNs name it."""
    return KINDS.get(id.partition("-")[0], KINDS["i"])[0]


def requested(args: Tree, kind: str) -> Tags:
    """The tags of a create call for that kind of resource, as EC2 allows them."""
    return checked(specified(args, kind))


def specified(args: Tree, kind: str) -> list[Tree]:
    """The tags of a create call for that kind of resource."""
    for specification in args.get("TagSpecifications", []):
        if specification.get("ResourceType") == kind:
            return list(specification.get("Tags", []))
    return []


def checked(tags: list[Tree]) -> Tags:
    """Tags as EC2 allows them."""
    keys = [each.get("Key", "") for each in tags]
    if len(set(keys)) != len(keys):
        raise invalid(f"Duplicate tag key '{max(keys, key=keys.count)}' specified.")
    for each in tags:
        key, value = each.get("Key", ""), each.get("Value", "")
        if not key or len(key) > 128:
            raise invalid("Tag keys have 1 to 128 characters")
        if key.lower().startswith("aws:"):
            raise invalid("Tag keys starting with 'aws:' are reserved for internal use")
        if len(value) > 256:
            raise invalid("Tag value exceeds the maximum length of 256 characters")
    if len(tags) > 50:
        raise Refusal("TagLimitExceeded", "More than 50 tags")
    return {each["Key"]: each.get("Value", "") for each in tags}


def tag_list(tags: Tags) -> list[Tree]:
    """Tags as they are described."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def create_tags(call: Call) -> Tree:
    """CreateTags: adds or overwrites."""
    new = checked(call.args.get("Tags", []))
    tagged = _tagged(call)
    if any(len({**tags, **new}) > 50 for tags in tagged.values()):
        raise Refusal("TagLimitExceeded", "More than 50 tags")
    for id, tags in tagged.items():
        consistency.before_tagging(call.world, id, tags)
        tags.update(new)
        life.refresh(call.world, id)
    return {}


def delete_tags(call: Call) -> Tree:
    """DeleteTags: by key, or by key and value; all if none is named."""
    for id, tags in _tagged(call).items():
        consistency.before_tagging(call.world, id, tags)
        if not (pairs := call.args.get("Tags")):
            tags.clear()
        for each in pairs or []:
            value = each.get("Value")
            if value is None or tags.get(each["Key"]) == value:
                tags.pop(each["Key"], None)
        life.refresh(call.world, id)
    return {}


def describe_tags(call: Call) -> Tree:
    """DescribeTags: one line for each tag."""
    lines = [
        {
            "ResourceId": id,
            "ResourceType": kind_of(id),
            "Key": key,
            "Value": value,
        }
        for id, tags in call.world.everything_tagged()
        for key, value in consistency.tags_seen_of(call.world, id, tags).items()
    ]
    fields = {
        "resource-id": lambda line: line["ResourceId"],
        "resource-type": lambda line: line["ResourceType"],
        "key": lambda line: line["Key"],
        "value": lambda line: line["Value"],
    }
    lines = chosen(lines, call.args, fields, lambda line: {line["Key"]: line["Value"]})
    return {"Tags": lines}


def _tagged(call: Call) -> dict[str, Tags]:
    """The tags of the resources that a call names; raises if one does not exist."""
    known = dict(call.world.everything_tagged())
    for id in call.args.get("Resources", []):
        if id not in known or consistency.is_hidden(call.world, id):
            _, code = KINDS.get(id.partition("-")[0], ("", "InvalidID"))
            raise Refusal(code, f"The ID '{id}' does not exist")
    return {id: known[id] for id in call.args.get("Resources", [])}
