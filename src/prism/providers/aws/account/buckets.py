"""Where S3 is for a profile, and a login for programs that read it from their environment."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from prism.errors import Conflict, Problem, Unavailable
from prism.profiles.model import Profile
from prism.profiles.providers import TRAITS
from prism.providers.aws.api.credentials import CredentialChain
from prism.providers.aws.api.faults import AwsThrottled, AwsUnavailable, fault_of_response

DEFAULT_REGION = "us-east-1"


class BucketMissing(Conflict, code="BUCKET_MISSING"):
    """There is no such bucket."""


class BucketForbidden(Conflict, code="BUCKET_FORBIDDEN"):
    """The login may not use the bucket."""


class S3Login(NamedTuple):
    """The address and region of S3, and variables with the credentials."""

    url: str
    region: str
    environment: Mapping[str, str]


def s3_login(profile: Profile | None, bucket: str) -> S3Login:
    """The login of a profile, or the default one of AWS, for a bucket.

    Raises a `Problem` if AWS does not answer, if there are no credentials, or if they cannot
    reach the bucket; restic would make one that is missing.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  cold start: only AWS needs it

    name = None if profile is None else profile.aws_profile
    region = None if profile is None or TRAITS[profile.provider].region else profile.region
    chain = CredentialChain(name, region)
    keys, session = chain.require().get_frozen_credentials(), chain.session
    client = session.client("s3", region_name=session.region_name or DEFAULT_REGION)
    try:
        bucket_answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        raise _refusal(error.response, bucket) from error
    except BotoCoreError as error:
        raise Unavailable("S3 does not answer", details=str(error)) from error
    finally:
        client.close()
    environment = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key}
    if keys.token:
        environment["AWS_SESSION_TOKEN"] = keys.token
    where = bucket_answer.get("BucketRegion") or session.region_name or DEFAULT_REGION
    regional = session.client("s3", region_name=where)
    url = regional.meta.endpoint_url
    regional.close()
    return S3Login(url, where, environment)


def _refusal(answer: Mapping[str, Any], bucket: str) -> Problem:
    fault = fault_of_response("s3:HeadBucket", answer)
    if isinstance(fault, AwsThrottled | AwsUnavailable):
        return fault
    code = fault.aws_code
    if code in {"404", "NoSuchBucket"}:
        return BucketMissing(
            f"There is no bucket {bucket}", remediation=f"Make it: `aws s3 mb s3://{bucket}`"
        )
    return BucketForbidden(
        f"The login of AWS may not use the bucket {bucket}",
        details=f"S3 answered {code}",
        remediation="It needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject",
    )
