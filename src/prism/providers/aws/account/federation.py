"""Sign-in links to AWS's console: temporary keys become a sign-in token, and the token a link.

The token is only in the link that a browser is sent to. AWS takes the keys in the query of an
HTTPS request. This module sends that request itself, so that nothing logs it, and an error about
it never contains the query.
"""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode

from prism.providers.aws.account.identity import AwsIdentity
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsRefused, AwsUnavailable

TIMEOUT = 10.0
SESSION_SECONDS = 3600  # seconds that keys for the console are valid
ISSUER_NAME = "prism"
DOMAINS = {
    "aws": ("signin.aws.amazon.com", "console.aws.amazon.com"),
    "aws-cn": ("signin.amazonaws.cn", "console.amazonaws.cn"),
    "aws-us-gov": ("signin.amazonaws-us-gov.com", "console.amazonaws-us-gov.com"),
}
OVERRIDES = ("AWS_ENDPOINT_URL_SIGNIN", "AWS_ENDPOINT_URL")


def sign_in(cloud: Cloud, identity: AwsIdentity, service: str, token: str | None) -> str:
    """The link to the console of a service; requests a sign-in token if `token` is None."""
    endpoint = _endpoint(identity.partition)
    signin_token = token or _request_token(endpoint, _temporary_keys(cloud, identity))
    query = {
        "Action": "login",
        "Issuer": ISSUER_NAME,
        "Destination": _console_url(identity.partition, cloud.region, service),
        "SigninToken": signin_token,
    }
    return f"{endpoint}?{urlencode(query)}"


def _console_url(partition: str, region: str, service: str) -> str:
    domain = DOMAINS.get(partition, DOMAINS["aws"])[1]
    return f"https://{region}.{domain}/{service}/home?region={region}"


def _endpoint(partition: str) -> str:
    """The federation endpoint: an environment variable of the AWS SDK, else AWS's own."""
    for name in OVERRIDES:
        if url := os.environ.get(name):
            return f"{url.rstrip('/')}/federation"
    return f"https://{DOMAINS.get(partition, DOMAINS['aws'])[0]}/federation"


def _temporary_keys(cloud: Cloud, identity: AwsIdentity) -> Mapping[str, str]:
    """The temporary keys of the role; an IAM user has none, so AWS issues new ones."""
    frozen = cloud.credentials().get_frozen_credentials()
    if frozen.token:
        return _as_session(frozen.access_key, frozen.secret_key, frozen.token)
    everything = f"arn:{identity.partition}:iam::aws:policy/AdministratorAccess"
    issued = cloud.call(
        "sts",
        "GetFederationToken",
        Name=ISSUER_NAME,
        DurationSeconds=SESSION_SECONDS,
        PolicyArns=[{"arn": everything}],  # AWS grants only what the user also may do
    )["Credentials"]
    return _as_session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


def _as_session(id: str, key: str, token: str) -> Mapping[str, str]:
    return {"sessionId": id, "sessionKey": key, "sessionToken": token}


def _request_token(endpoint: str, session: Mapping[str, str]) -> str:
    query = urlencode({"Action": "getSigninToken", "Session": json.dumps(session)})
    from urllib.request import urlopen  # noqa: PLC0415  cold start

    try:
        with urlopen(f"{endpoint}?{query}", timeout=TIMEOUT) as answer:
            document: Any = json.loads(answer.read(1 << 20))
        return str(document["SigninToken"])
    except HTTPError as error:
        error.close()
        if error.code >= 500:
            raise AwsUnavailable(details=f"getSigninToken: {error.code}") from None
        raise AwsRefused(
            "AWS gives no sign-in token for these credentials",
            details=f"getSigninToken: {error.code}",
            remediation="See what is missing with `prism doctor`",
        ) from None
    except (URLError, OSError, ValueError, KeyError, TypeError):
        raise AwsUnavailable(details="getSigninToken: no answer that could be read") from None
