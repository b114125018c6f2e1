"""Which permissions a call needs, on which resources, and whether its caller has them.

Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2" (and
for Amazon EFS, IAM, Systems Manager): an action is allowed only if it is allowed on each of its
resources. The tags of new resources are those of the request, for each kind; existing
resources have their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aws_double import efs
from aws_double.ec2 import spot
from aws_double.ec2.tags import kind_of, specified
from aws_double.policies import Statement, decide
from aws_double.tree import Tree
from aws_double.world import Call, World

MAKES = {  # the kind that a call makes, besides machines
    "CreateSecurityGroup": "security-group",
    "CreateSnapshot": "snapshot",
    "CreateVolume": "volume",
    "ImportKeyPair": "key-pair",
}
ABOUT = {  # arguments with ids of existing resources
    "GroupId": "security-group",
    "InstanceId": "instance",
    "InstanceIds": "instance",
    "KeyPairId": "key-pair",
    "SnapshotId": "snapshot",
    "SpotInstanceRequestIds": "spot-instances-request",
    "VolumeId": "volume",
    "VpcId": "vpc",
}
SEVERAL = ("Resources", "InstanceCreditSpecifications")  # of several kinds, or deeper
FREE_TO_READ = ("Describe", "List", "Search")  # of EC2: they know no resources
SERVICE_LINKED = {"spot": "spot.amazonaws.com", "efs": "elasticfilesystem.amazonaws.com"}
VIA_SERVICE = {"aws:ViaAWSService": "true"}


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a call needs."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Caller:
    """The permissions of callers: everything, if there is no policy.

    `agent` is a word of the User-Agent; if set, the policy binds only callers that send it.
    `principal` are condition keys of the caller itself, such as its tags, besides those that its
    ARN tells.
    """

    policy: tuple[Statement, ...] = ()
    agent: str = ""
    principal: Mapping[str, str] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    denied: list[tuple[str, str]] = field(default_factory=list)

    def bound(self, agent: str) -> bool:
        """Whether the policy limits a caller with this User-Agent."""
        return bool(self.policy) and (not self.agent or self.agent in agent.split())

    def may(self, need: Need, arn: str) -> bool:
        """Whether the policy gives a permission to this principal; records the question."""
        context = {**principal_keys(arn), **self.principal, **need.context}
        allowed, by = decide(self.policy, need.action, need.resource, context)
        if allowed:
            self.used.add((by, need.action))
        else:
            self.denied.append((need.action, need.resource))
        return allowed


def principal_keys(arn: str) -> dict[str, str]:
    """The condition keys that a principal has by its kind.

    IAM User Guide, "AWS global condition context keys": only an IAM user has a username.
    """
    kind, _, path = arn.rpartition(":")[2].partition("/")
    return {"aws:username": path.rpartition("/")[2]} if kind == "user" else {}


def needs(service: str, call: Call) -> Iterator[Need]:
    """Every permission that a call needs, with the keys that each request has."""
    requested = {"aws:RequestedRegion": call.world.region}
    for need in _needs(service, call):
        yield Need(need.action, need.resource, {**requested, **need.context})


def _needs(service: str, call: Call) -> Iterator[Need]:
    if service == "ec2":
        yield from _ec2(call)
    elif service == "elasticfilesystem":
        yield from _efs(call)
    elif service == "iam":
        yield from _iam(call)
    elif service == "ssm":
        name = call.args.get("Name", "").lstrip("/")
        yield Need(f"ssm:{call.action}", f"arn:aws:ssm:{call.world.region}::parameter/{name}")
    elif (service, call.action) == ("sts", "GetFederationToken"):
        name = call.args.get("Name", "")
        arn = f"arn:aws:sts::{call.world.account}:federated-user/{name}"
        yield Need("sts:GetFederationToken", arn)
    elif (service, call.action) != ("sts", "GetCallerIdentity"):  # which needs none
        yield Need(f"{service}:{call.action}")


# ------------------------------------------------------------------ EC2
def _ec2(call: Call) -> Iterator[Need]:
    world, args, action = call.world, call.args, call.action
    if action == "RunInstances":
        yield from _launch(call)
        return
    if action.startswith(FREE_TO_READ):
        yield Need(f"ec2:{action}")
        return
    named = [*_named_resources(world, args)]
    if kind := MAKES.get(action):
        yield from _creation(world, args, action, kind)
    elif not named and not any(args.get(name) for name in (*ABOUT, *SEVERAL)):
        yield Need(f"ec2:{action}")
    # The tags of a request are keys of the request, whichever of its resources is judged.
    requested = _request_tags(args.get("Tags", [])) if action == "CreateTags" else {}
    if kind:
        requested = _request_tags(specified(args, kind))
    for arn, context in named:
        yield Need(f"ec2:{action}", arn, {**context, **requested})


def _creation(world: World, args: Tree, action: str, kind: str) -> Iterator[Need]:
    """The permission to make a resource, and the separate one for its tags."""
    arn, requested = _arn(world, kind, "*"), _request_tags(specified(args, kind))
    yield Need(f"ec2:{action}", arn, requested)
    if requested:
        yield Need("ec2:CreateTags", arn, {**requested, "ec2:CreateAction": action})


def _launch(call: Call) -> Iterator[Need]:
    """RunInstances, with the resources of "Resource-level permissions" in the reference."""
    world, args = call.world, call.args
    interface = (args.get("NetworkInterfaces") or [{}])[0]
    profile = _profile_arn(world, args)
    new = ["instance", "volume", "network-interface"]
    is_spot = (args.get("InstanceMarketOptions") or {}).get("MarketType") == "spot"
    for kind in [*new, *(["spot-instances-request"] if is_spot else [])]:
        context = _request_tags(specified(args, kind))
        if kind == "instance":
            context["ec2:InstanceType"] = str(args.get("InstanceType"))
            context |= {"ec2:InstanceProfile": profile} if profile else {}
        yield Need("ec2:RunInstances", _arn(world, kind, "*"), context)
        if specified(args, kind):
            tagging = {**context, "ec2:CreateAction": "RunInstances"}
            yield Need("ec2:CreateTags", _arn(world, kind, "*"), tagging)
    yield from _sources(world, args)
    if subnet := args.get("SubnetId") or interface.get("SubnetId"):
        yield Need("ec2:RunInstances", _arn(world, "subnet", subnet), _context(world, subnet))
    for id in args.get("SecurityGroupIds") or interface.get("Groups") or []:
        yield Need("ec2:RunInstances", _arn(world, "security-group", id), _context(world, id))
    if key := world.keys.get(args.get("KeyName", "")):
        own = _resource_tags(key.tags)
        yield Need("ec2:RunInstances", _arn(world, "key-pair", key.name), own)
    if role := _passed_role(world, args):
        yield Need("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"})
    if is_spot:
        yield from _service_linked(world, "spot")


def _sources(world: World, args: Tree) -> Iterator[Need]:
    """The image, and each snapshot that a disk is to be made of: their data can be read then."""
    image = world.images.get(str(args.get("ImageId")))
    context = {} if image is None else {"ec2:Owner": image.alias or image.owner}
    context |= {"ec2:Public": str(image.public).lower()} if image else {}
    context |= _resource_tags(image.tags) if image else {}
    yield Need("ec2:RunInstances", _arn(world, "image", str(args.get("ImageId"))), context)
    for mapping in args.get("BlockDeviceMappings") or []:
        if id := (mapping.get("Ebs") or {}).get("SnapshotId"):
            tags = _resource_tags(_tags_by_id(world).get(id, {}))
            yield Need(
                "ec2:RunInstances",
                _arn(world, "snapshot", id),
                {"ec2:Owner": world.account, **tags},
            )


def _service_linked(world: World, which: str) -> Iterator[Need]:
    """The permission to create a service-linked role, which an account's first use needs."""
    if which not in world.owner.service_linked:
        name = SERVICE_LINKED[which]
        arn = f"arn:aws:iam::{world.account}:role/aws-service-role/{name}/AWSServiceRole"
        yield Need("iam:CreateServiceLinkedRole", arn, {"iam:AWSServiceName": name})


def _named_resources(world: World, args: Tree) -> Iterator[tuple[str, dict[str, str]]]:
    """The existing resources that a call names, with their tags; missing ones fail later."""
    ids = [
        (id, kind)
        for name, kind in ABOUT.items()
        for id in (args[name] if isinstance(args.get(name), list) else [args.get(name)])
        if id
    ]
    changed = args.get("InstanceCreditSpecifications", [])
    ids += [(change["InstanceId"], "instance") for change in changed]
    ids += [(id, kind_of(id)) for id in args.get("Resources", [])]
    keys = set() if args.get("PublicKeyMaterial") else {args.get("KeyPairId"), args.get("KeyName")}
    for key in world.keys.values():  # its ARN has its name, whatever the request names it by
        if {key.id, key.name} & keys:
            yield _arn(world, "key-pair", key.name), _resource_tags(key.tags)
    tags = _tags_by_id(world)
    for id, kind in ids:
        if id in tags:
            yield _arn(world, kind, id), _context(world, id)


def _tags_by_id(world: World) -> dict[str, dict[str, str]]:
    requests = {request.id: request.tags for request in spot.requests(world).values()}
    return dict(world.everything_tagged()) | requests


def _context(world: World, id: str) -> dict[str, str]:
    context = _resource_tags(_tags_by_id(world).get(id, {}))
    machine = world.instances.get(id)
    if machine is not None:
        context["ec2:InstanceType"] = machine.type
        if machine.profile:
            context["ec2:InstanceProfile"] = _instance_profile(world, machine.profile)
    inside = world.subnets.get(id) or world.groups.get(id)
    if inside is not None:
        context["ec2:Vpc"] = _arn(world, "vpc", inside.network)
    return context


# ------------------------------------------------------------------ other services
def _efs(call: Call) -> Iterator[Need]:
    world, args, action = call.world, call.args, f"elasticfilesystem:{call.action}"
    any_system = f"arn:aws:elasticfilesystem:{world.region}:{world.account}:file-system/*"
    if call.action == "CreateFileSystem":
        requested = _request_tags(args.get("Tags", []))
        yield Need(action, any_system, requested)
        tagging = {**requested, "elasticfilesystem:CreateAction": "CreateFileSystem"}
        yield Need("elasticfilesystem:TagResource", any_system, tagging)
        yield from _service_linked(world, "efs")
        return
    id = args.get("FileSystemId") or args.get("ResourceId")
    if target := args.get("MountTargetId"):
        id = efs.system_of(world, target)
    tags = efs.tags_of(world, id or "")
    if tags is None and not call.action.startswith("Describe"):
        return  # EFS answers first that it does not exist
    own = _resource_tags(tags or {}) | _request_tags(args.get("Tags", []))
    yield Need(action, any_system if tags is None else any_system.replace("*", str(id)), own)
    # EFS User Guide, API reference of CreateMountTarget and DeleteMountTarget: EFS looks at and
    # makes network interfaces by the caller's own permissions, so it asks EC2 on their behalf.
    for also in ALSO_OF_EFS.get(call.action, ()):
        yield Need(f"ec2:{also}", "*", VIA_SERVICE)


ALSO_OF_EFS = {
    "CreateMountTarget": (
        "DescribeSubnets",
        "DescribeNetworkInterfaces",
        "CreateNetworkInterface",
    ),
    "DeleteMountTarget": ("DeleteNetworkInterface",),
}


def _iam(call: Call) -> Iterator[Need]:
    args, root = call.args, f"arn:aws:iam::{call.world.account}"
    profile, role = args.get("InstanceProfileName"), args.get("RoleName")
    resource = f"instance-profile/{profile}" if profile else f"role/{role}"
    if call.action == "SimulatePrincipalPolicy":
        yield Need("iam:SimulatePrincipalPolicy", args.get("PolicySourceArn", "*"))
        return
    yield Need(f"iam:{call.action}", f"{root}:{resource}", _request_tags(args.get("Tags", [])))
    if args.get("Tags"):
        tagging = "TagInstanceProfile" if profile else "TagRole"
        yield Need(f"iam:{tagging}", f"{root}:{resource}", _request_tags(args["Tags"]))
    if call.action == "AddRoleToInstanceProfile":
        # IAM User Guide, "Use instance profiles": adding a role to one requires PassRole.
        passed = {"iam:PassedToService": "ec2.amazonaws.com"}
        yield Need("iam:PassRole", f"{root}:role/{role}", passed)


# ------------------------------------------------------------------ ARNs and tags
def _arn(world: World, kind: str, id: str) -> str:
    """Service Authorization Reference: images and snapshots have no account in their ARN."""
    account = "" if kind in {"image", "snapshot"} else world.account
    return f"arn:aws:ec2:{world.region}:{account}:{kind}/{id}"


def _instance_profile(world: World, name: str) -> str:
    return f"arn:aws:iam::{world.account}:instance-profile/{name}"


def _profile_arn(world: World, args: Tree) -> str | None:
    profile = args.get("IamInstanceProfile") or {}
    if profile.get("Arn"):
        return str(profile["Arn"])
    return _instance_profile(world, profile["Name"]) if profile.get("Name") else None


def _passed_role(world: World, args: Tree) -> str | None:
    arn = _profile_arn(world, args)
    profile = world.owner.profiles.get(arn.rpartition("/")[2]) if arn else None
    roles = profile["Roles"] if profile else []
    return str(roles[0]["Arn"]) if roles else None


def _request_tags(tags: list[Tree]) -> dict[str, str]:
    return {f"aws:RequestTag/{tag['Key']}": tag.get("Value", "") for tag in tags}


def _resource_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
