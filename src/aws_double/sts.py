"""STS: the caller's identity, and temporary credentials."""

import hashlib
from datetime import timedelta
from urllib.parse import unquote

from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call

USER = "prism"
MFA_CODE = "123456"  # what every device of the double shows
MFA_CONDITION = "aws:MultiFactorAuthPresent"


def get_caller_identity(call: Call) -> Tree:
    """GetCallerIdentity."""
    account = call.world.account
    return {
        "Account": account,
        "Arn": call.world.owner.caller,
        "UserId": f"AIDA{_letters(account, 'user')[:16]}",
    }


def get_federation_token(call: Call) -> Tree:
    """GetFederationToken: 15 minutes to 36 hours."""
    account, name = call.world.account, call.args["Name"]
    arn = f"arn:aws:sts::{account}:federated-user/{name}"
    return {
        "Credentials": _credentials(call, arn, 43200, 129600),
        "FederatedUser": {"FederatedUserId": f"{account}:{name}", "Arn": arn},
        "PackedPolicySize": 1,
    }


def assume_role(call: Call) -> Tree:
    """AssumeRole: 15 minutes to 12 hours; with a code, if the role's trust asks for MFA."""
    role, session = call.args["RoleArn"], call.args["RoleSessionName"]
    name, account = role.rpartition("/")[2], role.split(":")[4]
    arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    _check_mfa(call, role, name)
    return {
        "Credentials": _credentials(call, arn, 3600, 43200),
        "AssumedRoleUser": {"AssumedRoleId": f"AROA{_letters(role)[:16]}:{session}", "Arn": arn},
    }


def _check_mfa(call: Call, arn: str, name: str) -> None:
    """IAM User Guide, "Secure API access with MFA": the trust policy has the condition."""
    code = call.args.get("TokenCode")
    if code is not None and code != MFA_CODE:
        wrong = "MultiFactorAuthentication failed with invalid MFA one time pass code."
        raise Refusal("AccessDenied", wrong, 403)
    known = call.world.owner.roles.get(name)
    if known and code is None and MFA_CONDITION in unquote(known["AssumeRolePolicyDocument"]):
        caller = call.world.owner.caller
        message = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise Refusal("AccessDenied", message, 403)


def get_session_token(call: Call) -> Tree:
    """GetSessionToken."""
    return {"Credentials": _credentials(call, call.world.owner.caller, 43200, 129600)}


def _credentials(call: Call, arn: str, usual: int, most: int) -> Tree:
    seconds = call.args.get("DurationSeconds", usual)
    if not 900 <= seconds <= most:
        raise Refusal("ValidationError", f"DurationSeconds must be between 900 and {most}")
    account = arn.split(":")[4]
    return call.world.sessions.issue(account, arn, timedelta(seconds=seconds))


def _letters(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest().upper()
