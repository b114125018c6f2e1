"""STS: the caller's identity, and temporary credentials."""

import hashlib
from datetime import timedelta

from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call

USER = "prism"


def get_caller_identity(call: Call) -> Tree:
    """GetCallerIdentity."""
    account = call.world.account
    return {
        "Account": account,
        "Arn": f"arn:aws:iam::{account}:user/{USER}",
        "UserId": f"AIDA{_letters(account, 'user')[:16]}",
    }


def get_federation_token(call: Call) -> Tree:
    """GetFederationToken: 15 minutes to 36 hours."""
    account, name = call.world.account, call.args["Name"]
    return {
        "Credentials": _credentials(call, name, 43200, 129600),
        "FederatedUser": {
            "FederatedUserId": f"{account}:{name}",
            "Arn": f"arn:aws:sts::{account}:federated-user/{name}",
        },
        "PackedPolicySize": 1,
    }


def assume_role(call: Call) -> Tree:
    """AssumeRole: 15 minutes to 12 hours."""
    role, session = call.args["RoleArn"], call.args["RoleSessionName"]
    name = role.rpartition("/")[2]
    return {
        "Credentials": _credentials(call, session, 3600, 43200),
        "AssumedRoleUser": {
            "AssumedRoleId": f"AROA{_letters(role)[:16]}:{session}",
            "Arn": f"arn:aws:sts::{call.world.account}:assumed-role/{name}/{session}",
        },
    }


def get_session_token(call: Call) -> Tree:
    """GetSessionToken."""
    return {"Credentials": _credentials(call, "session", 43200, 129600)}


def _credentials(call: Call, name: str, usual: int, most: int) -> Tree:
    seconds = call.args.get("DurationSeconds", usual)
    if not 900 <= seconds <= most:
        raise Refusal("ValidationError", f"DurationSeconds must be between 900 and {most}")
    id = call.world.new_id("sts")
    return {
        "AccessKeyId": f"ASIA{_letters(id, name)[:16]}",
        "SecretAccessKey": _letters(id, name, "secret")[:40],
        "SessionToken": _letters(id, name, "token") * 2,
        "Expiration": call.now + timedelta(seconds=seconds),
    }


def _letters(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest().upper()
