"""The setup that an administrator runs once per account: it creates the role of machines.

`prism aws setup` prints it, applies it, or writes it as CloudFormation or Terraform. It calls only
`SETUP_ACTIONS`, and can be repeated.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from textwrap import indent
from typing import Any

import yaml
from msgspec import Struct

from prism.errors import Conflict, Problem, Unavailable
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import Missing, code_of
from prism.providers.aws.api.tagging import accepting, tags
from prism.providers.aws.api.tags import MANAGED, read
from prism.providers.aws.prerequisites.roles import (
    DESCRIPTION,
    NAME,
    POLICY,
    RIGHTS,
    TRUST,
    exists,
    has_rights,
    has_role,
)

EXISTS = "EntityAlreadyExists"
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)  # seconds between checks whether IAM shows the change


class SetupRefused(Conflict, code="AWS_SETUP_REFUSED"):
    """The account already has a resource with that name that Prism did not create."""


class NotVisible(Unavailable, code="AWS_NOT_VISIBLE_YET"):
    """IAM does not show the new resource yet."""


class SetupStep(Struct, frozen=True, kw_only=True):
    """One resource that the setup creates; `done` if it exists."""

    what: str
    done: bool


class _Part(Struct, frozen=True):
    what: str
    exists: Callable[[Cloud], bool]
    make: Callable[[Cloud], None]


def look(cloud: Cloud) -> list[SetupStep]:
    """The steps of the setup, and which are done; changes nothing."""
    _refuse_foreign_role(cloud)
    return [SetupStep(what=part.what, done=part.exists(cloud)) for part in PARTS]


def apply(cloud: Cloud) -> list[SetupStep]:
    """Create the missing resources in order; the role has no effect before the last one exists.

    Waits after each one until IAM shows it, because the next one needs it, and a launch right
    after the setup must find it. IAM User Guide, "Troubleshoot IAM: changes that I make are not
    always immediately visible".
    """
    _refuse_foreign_role(cloud)
    for part in PARTS:
        _make_and_wait(cloud, part)
        if part is PARTS[0]:  # it may exist already without being visible yet
            _refuse_foreign_role(cloud)
    return [SetupStep(what=part.what, done=True) for part in PARTS]


def _make_and_wait(cloud: Cloud, part: _Part) -> None:
    if part.exists(cloud):
        return
    is_made = False
    for pause in PAUSES:
        if not is_made:
            with suppress(Missing):  # IAM may hide again what it has just shown
                part.make(cloud)
                is_made = True
        if part.exists(cloud):
            return
        cloud.wait(pause)
    raise NotVisible(
        f"IAM does not show this yet: {part.what}",
        details="It exists; IAM shows it after a while",
        remediation="Run it again, which makes only what is missing: `prism aws setup`",
    )


def cloudformation() -> str:
    """The setup as a template of CloudFormation."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Prism: lets the machines that it launches stop themselves",
        "Resources": {
            "MachineRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": NAME,
                    "Description": DESCRIPTION,
                    "AssumeRolePolicyDocument": TRUST,
                    "Policies": [{"PolicyName": POLICY, "PolicyDocument": RIGHTS}],
                    "Tags": tags(NAME),
                },
            },
            "MachineInstanceProfile": {
                "Type": "AWS::IAM::InstanceProfile",
                "Properties": {
                    "InstanceProfileName": NAME,
                    "Roles": [{"Ref": "MachineRole"}],
                },
            },
        },
    }
    return yaml.dump(template, Dumper=_NoAliases, sort_keys=False, width=100)


def terraform() -> str:
    """The setup as a file for Terraform."""
    return _TERRAFORM.format(
        name=NAME,
        policy=POLICY,
        description=DESCRIPTION,
        tags="".join(f'    "{tag["Key"]}" = "{tag["Value"]}"\n' for tag in tags(NAME)),
        trust=_terraform_json(TRUST),
        rights=_terraform_json(RIGHTS),
    )


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _refuse_foreign_role(cloud: Cloud) -> None:
    """Raise if Prism did not create the role: it may have rights that machines must not get."""
    try:
        role = cloud.call("iam", "GetRole", RoleName=NAME)["Role"]
    except Missing:
        return
    if read(role.get("Tags")).get(MANAGED) != "true":
        raise SetupRefused(
            f"The account has a role {NAME} that Prism did not make, so Prism leaves it alone",
            details=f"{role['Arn']} has no tag {MANAGED}=true",
            remediation="Remove that role; or, if Prism may use it, tag it: "
            f"`aws iam tag-role --role-name {NAME} --tags Key={MANAGED},Value=true`",
        )


def _role_exists(cloud: Cloud) -> bool:
    return exists(cloud, "GetRole", RoleName=NAME)


def _profile_exists(cloud: Cloud) -> bool:
    return exists(cloud, "GetInstanceProfile", InstanceProfileName=NAME)


def _make_role(cloud: Cloud) -> None:
    with accepting(EXISTS):  # created meanwhile, or by a call whose answer was lost
        cloud.call(
            "iam",
            "CreateRole",
            RoleName=NAME,
            AssumeRolePolicyDocument=json.dumps(TRUST),
            Description=DESCRIPTION,
            Tags=tags(NAME),
        )


def _put_role_policy(cloud: Cloud) -> None:
    rights = json.dumps(RIGHTS)
    cloud.call("iam", "PutRolePolicy", RoleName=NAME, PolicyName=POLICY, PolicyDocument=rights)


def _make_profile(cloud: Cloud) -> None:
    with accepting(EXISTS):
        cloud.call("iam", "CreateInstanceProfile", InstanceProfileName=NAME, Tags=tags(NAME))


def _add_role(cloud: Cloud) -> None:
    """A profile takes one role: `LimitExceeded` is ignored only if it already has ours."""
    try:
        cloud.call("iam", "AddRoleToInstanceProfile", InstanceProfileName=NAME, RoleName=NAME)
    except Problem as error:
        if code_of(error) not in {EXISTS, "LimitExceeded"}:
            raise
        profile = cloud.call("iam", "GetInstanceProfile", InstanceProfileName=NAME)
        if not (roles := [role["RoleName"] for role in profile["InstanceProfile"]["Roles"]]):
            raise Missing("IAM does not show yet which role it is") from error
        if roles != [NAME]:
            raise


PARTS = (
    _Part(f"role {NAME}, which only EC2 may assume", _role_exists, _make_role),
    _Part(
        f"its inline policy {POLICY}: ec2:StopInstances, by a machine on itself",
        lambda cloud: _role_exists(cloud) and has_rights(cloud),
        _put_role_policy,
    ),
    _Part(f"instance profile {NAME}", _profile_exists, _make_profile),
    _Part(f"role {NAME} in instance profile {NAME}", has_role, _add_role),
)


def _terraform_json(document: Any) -> str:
    """JSON in which Terraform leaves IAM's own `${…}` variables as they are."""
    return indent(json.dumps(document, indent=2).replace("${", "$${"), "    ")


_TERRAFORM = """\
resource "aws_iam_role" "prism_machine" {{
  name        = "{name}"
  description = "{description}"
  tags = {{
{tags}  }}
  assume_role_policy = <<-JSON
{trust}
  JSON
}}

resource "aws_iam_role_policy" "prism_machine" {{
  name   = "{policy}"
  role   = aws_iam_role.prism_machine.id
  policy = <<-JSON
{rights}
  JSON
}}

resource "aws_iam_instance_profile" "prism_machine" {{
  name = "{name}"
  role = aws_iam_role.prism_machine.name
}}
"""
