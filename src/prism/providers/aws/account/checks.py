"""What an account allows beside policies: its plan, quotas, images, keys. For new accounts.

Each check asks AWS for one thing, changes nothing, and says what will work. If the login may not
ask, the answer is not known.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct

from prism.catalog.model import MachineType
from prism.catalog.plan import TYPES
from prism.errors import Problem
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import (
    AwsThrottled,
    AwsUnavailable,
    CredentialsMissing,
)
from prism.providers.aws.prerequisites.free_plan import advice, free_types
from prism.providers.aws.prerequisites.images import BASES, NoImage, image

# Amazon EC2 quotas, AWS General Reference: "Running On-Demand Standard instances", "Running
# On-Demand G and VT instances", in vCPUs that run at once.
QUOTAS = {"standard": "L-1216C47A", "gpu": "L-DB2E81BA"}
QUOTA_PAGE = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas"
OWN_KEY = "alias/aws/ebs"
AWAY = (AwsThrottled, AwsUnavailable, CredentialsMissing)


class AccountCheck(Struct, frozen=True, kw_only=True):
    """One thing that an account allows; `ok` is null if it is not known."""

    name: str
    ok: bool | None
    message: str
    remediation: str = ""


def account_checks(cloud: Cloud, **more: Callable[[Cloud], AccountCheck]) -> list[AccountCheck]:
    """All checks, in order, and `more`; raises only if AWS does not answer at all."""
    checks: tuple[tuple[str, Callable[[Cloud], AccountCheck]], ...] = (
        ("plan", _plan),
        ("vCPUs", _standard_quota),
        ("GPUs", _gpu_quota),
        ("images", _images),
        ("disk key", _disk_key),
    )
    return [_try(name, check, cloud) for name, check in (*checks, *more.items())]


def _try(name: str, check: Callable[[Cloud], AccountCheck], cloud: Cloud) -> AccountCheck:
    try:
        return check(cloud)
    except AWAY:
        raise
    except Problem as problem:
        return AccountCheck(name=name, ok=None, message=f"not known: {problem.message}")


def _plan(cloud: Cloud) -> AccountCheck:
    types = free_types(cloud)
    if types is None:
        return AccountCheck(name="plan", ok=True, message="every machine type")
    allowed = [name for name in TYPES if name in types]
    return AccountCheck(
        name="plan",
        ok=False,
        message=f"AWS's Free plan: of Prism's types only {', '.join(allowed) or 'none'}",
        remediation=advice(types),
    )


def _standard_quota(cloud: Cloud) -> AccountCheck:
    limit = _quota(cloud, "standard")
    kinds = [kind for kind in TYPES.values() if not kind.gpus]
    return _quota_check("vCPUs", limit, kinds, "t3.medium")


def _gpu_quota(cloud: Cloud) -> AccountCheck:
    limit = _quota(cloud, "gpu")
    return _quota_check(
        "GPUs", limit, [kind for kind in TYPES.values() if kind.gpus], "g4dn.xlarge"
    )


def _quota(cloud: Cloud, kind: str) -> int:
    answer = cloud.call(
        "service-quotas", "GetServiceQuota", ServiceCode="ec2", QuotaCode=QUOTAS[kind]
    )
    return int(answer["Quota"]["Value"])


def _quota_check(name: str, limit: int, kinds: list[MachineType], usual: str) -> AccountCheck:
    """Whether the usual machine fits; names those that never do."""
    too_large = sorted(
        (kind for kind in kinds if kind.vcpus > limit), key=lambda kind: (kind.vcpus, kind.name)
    )
    message = f"{limit} vCPUs at once"
    if too_large:
        names = ", ".join(kind.name for kind in too_large)
        message += f"; too few for {'every type' if len(too_large) == len(kinds) else names}"
    fits = usual not in {kind.name for kind in too_large}
    advice = f"Ask AWS for a higher quota, which takes hours or days: {QUOTA_PAGE}"
    return AccountCheck(
        name=name, ok=fits, message=message, remediation=advice if too_large else ""
    )


def _images(cloud: Cloud) -> AccountCheck:
    settings = cloud.call("ec2", "GetAllowedImagesSettings")
    if settings.get("State") != "enabled":
        return AccountCheck(name="images", ok=True, message="all images")
    hidden = [*_hidden_bases(cloud)]
    if not hidden:
        return AccountCheck(name="images", ok=True, message="Allowed AMIs hides none of Prism's")
    owner = "your organization" if settings.get("ManagedBy") != "account" else "the account"
    return AccountCheck(
        name="images",
        ok=False,
        message=f"the setting Allowed AMIs hides those of {', '.join(hidden)}",
        remediation=f"Ask who administers {owner} to allow their owners "
        f"({', '.join(sorted({BASES[base].owner for base in BASES if base in hidden}))})",
    )


def _hidden_bases(cloud: Cloud) -> Iterator[str]:
    for base in BASES:
        try:
            image(cloud, base, "x86_64")
        except NoImage:
            yield base


def _disk_key(cloud: Cloud) -> AccountCheck:
    key = str(cloud.call("ec2", "GetEbsDefaultKmsKeyId")["KmsKeyId"])
    if key.endswith(OWN_KEY):
        return AccountCheck(name="disk key", ok=True, message="AWS's own")
    return AccountCheck(
        name="disk key",
        ok=None,
        message=f"the account encrypts disks with {key}",
        remediation="If AWS ends machines at their launch, ask who administers this key to allow "
        "kms:CreateGrant, kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext for your identity",
    )
