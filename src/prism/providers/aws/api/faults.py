"""AWS's errors as Prism's problems.

Unavailable
├── AwsThrottled        too many calls; nothing was done
├── AccountPending      AWS is still verifying the account
├── AwsUnavailable      no answer, or an error in AWS; the call may have had its effect
└── CredentialsMissing  AWS does not accept the credentials, or there are none
NotFound
└── Missing             AWS does not know this id (yet)
Refused
├── CapacityUnavailable no capacity there; `TypeNotOffered`: never, in that zone
├── NotInFreePlan       the account has the Free plan
├── QuotaExceeded       a quota of the account is reached
├── TokenMismatch       our token was used with other parameters
├── AwsDenied           the caller lacks a permission (also `Denied`)
├── ImageNotAuthorized, TermsNotAccepted, NotSubscribed   something that the account needs first
└── AwsRefused          anything else, with AWS's code in the details
"""

from collections.abc import Mapping
from typing import Any

from prism.certificates import certificate_advice
from prism.connections.model import AwsCredentialsMissing
from prism.errors import Denied, NotFound, Problem, Unavailable
from prism.providers.aws.api.denials import denial_of, readable
from prism.workspaces.ports import ProviderRefused

THROTTLED = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "SnapshotCreationPerVolumeRateExceeded",  # one in 15 seconds for each volume
    "Throttling",
    "ThrottledException",
    "ThrottlingException",
    "TooManyRequestsException",
}
CREDENTIAL_CODES = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
DENIED = {"AccessDenied", "AccessDeniedException", "Blocked", "UnauthorizedOperation"}
FULL = {
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientVolumeCapacity",
    "SpotMaxPriceTooLow",
}
UNAVAILABLE_CODES = {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
}
NOT_THERE = ("NotFound", "NotFoundException", "NoSuchEntity", "ID.Malformed", "Id.Malformed")
OF_MACHINES = {"InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"}
QUOTA = ("LimitExceeded", "LimitExceededException", "CountExceeded")
QUOTAS = "https://console.aws.amazon.com/servicequotas"


class AwsProblem(Problem):
    """An error that AWS answered; `aws_code` is AWS's own code."""

    aws_code = ""


class AwsThrottled(AwsProblem, Unavailable, code="AWS_THROTTLED"):
    """AWS throttles requests; Prism continues by itself."""


class AwsUnavailable(AwsProblem, Unavailable, code="AWS_UNAVAILABLE"):
    """AWS does not answer; Prism tries again."""


class CredentialsMissing(AwsProblem, AwsCredentialsMissing):
    """Prism has no AWS credentials that are valid here."""


class Missing(AwsProblem, NotFound):
    """AWS does not know this id; `code` and `aws_code` are AWS's error code."""


class CapacityUnavailable(AwsProblem, ProviderRefused):
    """AWS has no capacity for this machine type there."""


class QuotaExceeded(AwsProblem, ProviderRefused, code="QUOTA_EXCEEDED"):
    """The account has reached a quota."""


class TokenMismatch(AwsProblem, ProviderRefused, code="AWS_TOKEN_MISMATCH"):
    """The same request was sent before with other parameters."""


class AwsDenied(AwsProblem, Denied, ProviderRefused, code="AWS_PERMISSION_DENIED"):
    """The AWS credentials lack a permission."""


class RegionNotEnabled(CredentialsMissing, code="AWS_REGION_NOT_ENABLED"):
    """The account has not enabled that region, so its credentials are not valid there."""


class ImageNotAuthorized(AwsProblem, ProviderRefused, code="IMAGE_NOT_AUTHORIZED"):
    """The account may not launch machines from that image."""


class TermsNotAccepted(AwsProblem, ProviderRefused, code="MARKETPLACE_TERMS"):
    """The account has not accepted the terms of a product in AWS Marketplace."""


class NotSubscribed(AwsProblem, ProviderRefused, code="AWS_NOT_SUBSCRIBED"):
    """The account is not signed up for that service."""


class TypeNotOffered(CapacityUnavailable, code="TYPE_NOT_OFFERED"):
    """EC2 does not offer this machine type in that zone."""


class NotInFreePlan(AwsProblem, ProviderRefused, code="AWS_FREE_PLAN"):
    """AWS's Free plan does not include this machine type."""


class AccountPending(AwsProblem, Unavailable, code="AWS_ACCOUNT_PENDING"):
    """AWS is still verifying the account for this region; Prism tries again."""


class AwsRefused(AwsProblem, ProviderRefused, code="AWS_REFUSED"):
    """AWS refused."""


KINDS: tuple[tuple[set[str], type[AwsProblem]], ...] = (
    (THROTTLED, AwsThrottled),
    (CREDENTIAL_CODES, CredentialsMissing),
    (DENIED, AwsDenied),
    (FULL, CapacityUnavailable),
    (UNAVAILABLE_CODES, AwsUnavailable),
    ({"IdempotentParameterMismatch"}, TokenMismatch),
)


# Codes with several meanings, decided by a part of AWS's message; the first match counts.
BY_WORDS: tuple[tuple[str, str, type[AwsProblem], str, str], ...] = (
    (
        "AuthFailure",
        "not authorized for image",
        ImageNotAuthorized,
        "The account may not launch machines from that image",
        "Choose another template or region, or ask the image's owner to share it with the account",
    ),
    (
        "OptInRequired",
        "marketplace",
        TermsNotAccepted,
        "The image is a product of AWS Marketplace whose terms the account has not accepted",
        "Accept them at the address that AWS names, or choose another template",
    ),
    (
        "OptInRequired",
        "",
        NotSubscribed,
        "The AWS account is not signed up for that service",
        "Sign in to AWS's console as the account's owner, and finish what it asks for",
    ),
    (
        "ConcurrentSnapshotLimitExceeded",  # five per volume; one for st1 and sc1
        "",
        AwsThrottled,
        "Other snapshots of that volume are under way; this one follows",
        "",
    ),
    (
        "PendingSnapshotLimitExceeded",
        "",
        AwsThrottled,
        "Too many snapshots of the account are under way; this one follows",
        "",
    ),
    (
        "Unsupported",
        "availability zone",
        TypeNotOffered,
        "EC2 does not offer this machine type in that zone",
        "Choose another type or region",
    ),
    (
        "InvalidParameterCombination",
        "not eligible for free tier",
        NotInFreePlan,
        "AWS's Free plan does not include this machine type",
        "Choose a type that it includes, such as `--instance-type t3.small`, or upgrade the plan "
        "in AWS's console (Billing and Cost Management)",
    ),
    (
        "PendingVerification",
        "",
        AccountPending,
        "AWS is still verifying the account for this region, which takes up to four hours; Prism "
        "tries again",
        "",
    ),
    (
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        "",
        AwsDenied,
        "The AWS credentials may not make the role of EC2 Spot (iam:CreateServiceLinkedRole)",
        "Attach what `prism aws policy` prints",
    ),
)


def fault_of(name: str, code: str, message: str, status: int) -> AwsProblem:
    """The problem for what AWS answered to `service:Action`."""
    details = f"{name}: {code}: {message}"
    for meant, words, special_kind, sentence, way_on in BY_WORDS:
        if code == meant and words in message.lower():
            special = special_kind(sentence, details=details, remediation=way_on)
            special.aws_code = code
            return special
    kind = _problem_class(code, status)
    if kind is AwsDenied:
        return _denied(name, code, message)
    fault = kind(
        _message(kind, name, code, message),
        details=details,
        remediation=_remediation(kind, code),
    )
    fault.aws_code = code
    if isinstance(fault, Missing):
        fault.code = code
    return fault


def fault_of_response(name: str, response: Mapping[str, Any]) -> AwsProblem:
    """The problem for the response of a `ClientError` to `service:Action`."""
    fields = response.get("Error", {})
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return fault_of(name, str(fields.get("Code", "")), str(fields.get("Message", "")), status)


def _denied(name: str, code: str, message: str) -> AwsDenied:
    denial = denial_of(name, message)
    sentence = f"The AWS credentials lack the permission {denial.action}"
    if denial.reason:
        sentence += f": {denial.reason}"
    details = f"{name}: {code}: {readable(message)}"
    problem = AwsDenied(sentence, details=details, remediation=denial.remediation)
    problem.aws_code = code
    return problem


def _problem_class(code: str, status: int) -> type[AwsProblem]:
    if (known := next((kind for codes, kind in KINDS if code in codes), None)) is not None:
        return known
    if code.endswith(QUOTA):
        return QuotaExceeded
    if code.endswith(NOT_THERE):
        return Missing
    return AwsUnavailable if status >= 500 else AwsRefused


def _message(kind: type[AwsProblem], name: str, code: str, message: str) -> str:
    if code in EXPIRED:
        clock = ", or the clock of this computer is wrong" if code == "RequestExpired" else ""
        return f"The AWS login has expired{clock} ({code})"
    if kind is CredentialsMissing:
        return f"AWS does not accept the credentials ({code})"
    if kind in {AwsThrottled, AwsUnavailable}:
        return kind.__doc__ or code
    if kind is QuotaExceeded:  # the rest says whom to ask, and so does our hint
        return message.partition(". Please ")[0] or code
    return message or code


def _remediation(kind: type[AwsProblem], code: str) -> str:
    if kind is CredentialsMissing:
        return "See what is missing with `prism doctor`"
    if kind is QuotaExceeded:
        other = (
            "choose a smaller machine" if code in OF_MACHINES else "delete some that are not used"
        )
        return f"Ask AWS for a higher quota at {QUOTAS}, or {other}"
    return ""


def credentials_missing(why: str) -> CredentialsMissing:
    """The problem that there are no valid credentials."""
    return CredentialsMissing(details=why, remediation="See what is missing with `prism doctor`")


def unanswered(name: str, why: str) -> AwsUnavailable:
    """The call to `service:Action` has no answer."""
    return AwsUnavailable(details=f"{name}: {why}")


def untrusted(name: str, why: str) -> AwsUnavailable:
    """The call to `service:Action` failed at the certificate of what answered."""
    return AwsUnavailable(
        "AWS answered with a certificate that is not trusted",
        details=f"{name}: {why}",
        remediation=f"If your network inspects TLS, {certificate_advice()}",
    )


def code_of(problem: Problem) -> str:
    """AWS's own code for a problem, or nothing."""
    return str(getattr(problem, "aws_code", ""))
