"""The federation endpoint of the console: a sign-in token for a session's keys."""

import hashlib
import json
from urllib.parse import parse_qs

from aws_double.protocols import Reply, Request

FEDERATION_PATH = "/federation"


def answer(request: Request) -> Reply:
    """`Action=getSigninToken` with a session as JSON; anything else is a page we do not have."""
    parameters = {key: values[0] for key, values in parse_qs(request.query).items()}
    try:
        session = json.loads(parameters.get("Session", ""))
        complete = {"sessionId", "sessionKey", "sessionToken"} <= set(session)
    except (ValueError, TypeError):
        complete = False
    if parameters.get("Action") != "getSigninToken" or not complete:
        return Reply(400, b"", {"content-type": "text/html"})
    token = hashlib.sha256(parameters["Session"].encode()).hexdigest()
    body = json.dumps({"SigninToken": token}).encode()
    return Reply(200, body, {"content-type": "application/json"})
