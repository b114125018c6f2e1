"""IAM: roles, instance profiles, and simulated policies.

IAM User Guide, "Troubleshoot IAM: changes that I make are not always immediately visible": what
was just made may be refused as unknown, by IAM itself and, for longer, by other services.
"""

from urllib.parse import quote

from aws_double.ec2.tags import checked, tag_list
from aws_double.faults import named
from aws_double.policies import decide
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call, World


def _already_exists(kind: str, name: str) -> Refusal:
    return Refusal("EntityAlreadyExists", f"{kind} with name {name} already exists.", 409)


def _hide(call: Call, *key: str) -> None:
    call.world.owner.unseen[key] = call.world.after("iam")


def _is_hidden(world: World, *key: str) -> bool:
    until = world.owner.unseen.get(key)
    return until is not None and until > world.now


def roles_in(world: World, profile: str) -> list[Tree]:
    """The visible roles of a profile."""
    roles = world.owner.profiles[profile]["Roles"]
    return [] if _is_hidden(world, "role in", profile) else roles


def _role(call: Call) -> Tree:
    name = call.args["RoleName"]
    role = call.world.owner.roles.get(name)
    if role is None or _is_hidden(call.world, "role", name):
        raise Refusal("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    return role


def _profile(call: Call) -> Tree:
    name = call.args["InstanceProfileName"]
    profile = call.world.owner.profiles.get(name)
    if profile is None or _is_hidden(call.world, "profile", name):
        raise Refusal("NoSuchEntity", f"Instance Profile {name} cannot be found.", 404)
    return profile


def _policies(call: Call) -> Tree:
    policies: Tree = call.world.owner.policies.setdefault(_role(call)["RoleName"], {})
    return policies


# ------------------------------------------------------------------ roles
def create_role(call: Call) -> Tree:
    """CreateRole: there is no client token, but names are unique."""
    owner, args = call.world.owner, call.args
    name, path = args["RoleName"], args.get("Path", "/")
    if name in owner.roles:
        raise _already_exists("Role", name)
    owner.roles[name] = {
        "Path": path,
        "RoleName": name,
        "RoleId": f"AROA{owner.letters(name)}",
        "Arn": f"arn:aws:iam::{owner.id}:role{path}{name}",
        "CreateDate": call.now,
        "AssumeRolePolicyDocument": quote(args["AssumeRolePolicyDocument"], safe=""),
        "Description": args.get("Description"),
        "Tags": tag_list(checked(args.get("Tags", []))),
    }
    _hide(call, "role", name)
    return {"Role": owner.roles[name]}


def get_role(call: Call) -> Tree:
    """GetRole."""
    return {"Role": _role(call)}


def list_roles(call: Call) -> Tree:
    """ListRoles."""
    roles = call.world.owner.roles.items()
    visible = [role for name, role in roles if not _is_hidden(call.world, "role", name)]
    return {"Roles": visible, "IsTruncated": False}


def delete_role(call: Call) -> Tree:
    """DeleteRole: not while it has policies or is in an instance profile."""
    owner, name = call.world.owner, _role(call)["RoleName"]
    used = any(
        name == role["RoleName"]
        for profile in owner.profiles.values()
        for role in profile["Roles"]
    )
    if used or owner.policies.get(name):
        raise Refusal("DeleteConflict", "Cannot delete entity, must remove what it has.", 409)
    del owner.roles[name]
    return {}


def put_role_policy(call: Call) -> Tree:
    """PutRolePolicy: creates or replaces it."""
    policies, name = _policies(call), call.args["PolicyName"]
    if name not in policies:
        _hide(call, "policy", call.args["RoleName"], name)
    policies[name] = call.args["PolicyDocument"]
    return {}


def get_role_policy(call: Call) -> Tree:
    """GetRolePolicy."""
    name, policies = call.args["PolicyName"], _policies(call)
    if name not in policies or _is_hidden(call.world, "policy", call.args["RoleName"], name):
        raise Refusal("NoSuchEntity", f"The role policy {name} cannot be found.", 404)
    document = quote(policies[name], safe="")
    role = call.args["RoleName"]
    return {"RoleName": role, "PolicyName": name, "PolicyDocument": document}


def delete_role_policy(call: Call) -> Tree:
    """DeleteRolePolicy."""
    if _policies(call).pop(call.args["PolicyName"], None) is None:
        raise Refusal("NoSuchEntity", "The role policy cannot be found.", 404)
    return {}


# ------------------------------------------------------------------ instance profiles
def create_instance_profile(call: Call) -> Tree:
    """CreateInstanceProfile: there is no client token, but names are unique."""
    owner, args = call.world.owner, call.args
    name, path = args["InstanceProfileName"], args.get("Path", "/")
    if name in owner.profiles:
        raise _already_exists("Instance Profile", name)
    owner.profiles[name] = {
        "Path": path,
        "InstanceProfileName": name,
        "InstanceProfileId": f"AIPA{owner.letters(name)}",
        "Arn": f"arn:aws:iam::{owner.id}:instance-profile{path}{name}",
        "CreateDate": call.now,
        "Roles": [],
        "Tags": tag_list(checked(args.get("Tags", []))),
    }
    _hide(call, "profile", name)
    return {"InstanceProfile": owner.profiles[name]}


def get_instance_profile(call: Call) -> Tree:
    """GetInstanceProfile."""
    profile = _profile(call)
    roles = roles_in(call.world, profile["InstanceProfileName"])
    return {"InstanceProfile": {**profile, "Roles": roles}}


def add_role_to_instance_profile(call: Call) -> Tree:
    """AddRoleToInstanceProfile: one role at most."""
    role, profile = _role(call), _profile(call)
    if profile["Roles"]:
        raise Refusal(
            "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409
        )
    profile["Roles"].append(role)
    _hide(call, "role in", profile["InstanceProfileName"])
    return {}


def remove_role_from_instance_profile(call: Call) -> Tree:
    """RemoveRoleFromInstanceProfile."""
    role, profile = _role(call), _profile(call)
    if role not in profile["Roles"]:
        raise Refusal("NoSuchEntity", "The role is not in the instance profile.", 404)
    profile["Roles"].remove(role)
    return {}


def delete_instance_profile(call: Call) -> Tree:
    """DeleteInstanceProfile: not while it has a role."""
    if _profile(call)["Roles"]:
        raise Refusal("DeleteConflict", "Cannot delete entity, must remove roles first.", 409)
    del call.world.owner.profiles[call.args["InstanceProfileName"]]
    return {}


# ------------------------------------------------------------------ permissions
def _check_source(call: Call) -> None:
    """Refuse a role without its path.

    That of Identity Center has the region but us-east-1 (IAM Identity Center User Guide,
    "Referencing permission sets in resource policies").
    """
    source = call.args["PolicySourceArn"]
    name = source.rpartition("/")[2]
    known = call.world.owner.roles.get(name)
    if ":role/" in source and known is not None and known["Arn"] != source:
        raise Refusal("NoSuchEntity", f"The policy source {source} cannot be found.", 404)
    if (region := call.world.sessions.portal_regions.get(name)) is None:
        return
    folder = "" if region == "us-east-1" else f"{region}/"
    if not source.endswith(f":role/aws-reserved/sso.amazonaws.com/{folder}{name}"):
        raise Refusal("NoSuchEntity", f"The policy source {source} cannot be found.", 404)


def simulate_principal_policy(call: Call) -> Tree:
    """SimulatePrincipalPolicy: the decisions of the rules and the caller's policy.

    Each action on each resource, with the context that is given; without a policy everything
    is allowed that the rules do not deny.
    """
    context = {
        entry["ContextKeyName"]: entry["ContextKeyValues"][0]
        for entry in call.args.get("ContextEntries", [])
    }
    _check_source(call)
    results = []
    for full in call.args["ActionNames"]:
        service, _, action = full.partition(":")
        denied = any(named(rule, service, action) for rule in call.world.rules.denied)
        policy = call.world.owner.policy
        for resource in call.args.get("ResourceArns") or ["*"]:
            allowed = not denied and (not policy or decide(policy, full, resource, context)[0])
            results.append(
                {
                    "EvalActionName": full,
                    "EvalResourceName": resource,
                    "EvalDecision": "allowed" if allowed else "implicitDeny",
                    "MatchedStatements": [],
                    "MissingContextValues": [],
                    "OrganizationsDecisionDetail": {
                        "AllowedByOrganizations": not any(
                            named(rule, service, action) for rule in call.world.rules.organization
                        )
                    },
                }
            )
    return {"EvaluationResults": results, "IsTruncated": False}
