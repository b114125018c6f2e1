"""Signing in to AWS's own pages: temporary keys become a token, and the token a link.

The token stands only in the link that a browser is sent to. Keys are sent to AWS alone: AWS
takes them in the query of a request over TLS, so that request is made here, by hand, where
nothing logs it, and an error about it never says what was asked.
"""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode

from prism.providers.aws.account.identity import AwsIdentity
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import AwsRefused, AwsUnavailable, CredentialsMissing

PATIENCE = 10.0
LASTS = 3600  # seconds that keys made for a console are good for
NAME = "prism"
DOMAINS = {
    "aws": ("signin.aws.amazon.com", "console.aws.amazon.com"),
    "aws-cn": ("signin.amazonaws.cn", "console.amazonaws.cn"),
    "aws-us-gov": ("signin.amazonaws-us-gov.com", "console.amazonaws-us-gov.com"),
}
OVERRIDES = ("AWS_ENDPOINT_URL_SIGNIN", "AWS_ENDPOINT_URL")


def sign_in(cloud: Cloud, identity: AwsIdentity, service: str, token: str | None) -> str:
    """The link to a service's own pages; `token` is a sign-in token that somebody has already."""
    endpoint = _endpoint(identity.partition)
    found = token or _token(endpoint, _session(cloud, identity))
    asked = {
        "Action": "login",
        "Issuer": NAME,
        "Destination": _page(identity.partition, cloud.region, service),
        "SigninToken": found,
    }
    return f"{endpoint}?{urlencode(asked)}"


def _page(partition: str, region: str, service: str) -> str:
    domain = DOMAINS.get(partition, DOMAINS["aws"])[1]
    return f"https://{region}.{domain}/{service}/home?region={region}"


def _endpoint(partition: str) -> str:
    """AWS's own, or that of a double, said as AWS's tools want it said."""
    for name in OVERRIDES:
        if said := os.environ.get(name):
            return f"{said.rstrip('/')}/federation"
    return f"https://{DOMAINS.get(partition, DOMAINS['aws'])[0]}/federation"


def _session(cloud: Cloud, identity: AwsIdentity) -> Mapping[str, str]:
    """Temporary keys: those of a role as they are, for a user made for this."""
    keys = cloud.session().get_credentials()
    if keys is None:
        raise CredentialsMissing(remediation="See what is missing with `prism doctor`")
    frozen = keys.get_frozen_credentials()
    if frozen.token:
        return _named(frozen.access_key, frozen.secret_key, frozen.token)
    everything = f"arn:{identity.partition}:iam::aws:policy/AdministratorAccess"
    made = cloud.call(
        "sts",
        "GetFederationToken",
        Name=NAME,
        DurationSeconds=LASTS,
        PolicyArns=[{"arn": everything}],  # of this, what the user may do himself
    )["Credentials"]
    return _named(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def _named(id: str, key: str, token: str) -> Mapping[str, str]:
    return {"sessionId": id, "sessionKey": key, "sessionToken": token}


def _token(endpoint: str, session: Mapping[str, str]) -> str:
    asked = urlencode({"Action": "getSigninToken", "Session": json.dumps(session)})
    from urllib.request import urlopen  # noqa: PLC0415  cold start

    try:
        with urlopen(f"{endpoint}?{asked}", timeout=PATIENCE) as answer:
            said: Any = json.loads(answer.read(1 << 20))
        return str(said["SigninToken"])
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
