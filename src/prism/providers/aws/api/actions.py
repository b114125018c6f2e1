"""Every action of AWS that Prism calls: the daily policy is made from this list.

Services have boto3's names. `Cloud.call` refuses a call that is not listed here, so the list
cannot be too short; a test proves that it is not too long.
"""

ACTIONS = frozenset(
    {
        "ec2:AttachVolume",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:CancelSpotInstanceRequests",
        "ec2:CreateSecurityGroup",
        "ec2:CreateSnapshot",
        "ec2:CreateTags",
        "ec2:CreateVolume",
        "ec2:DeleteKeyPair",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteSnapshot",
        "ec2:DeleteTags",
        "ec2:DeleteVolume",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypeOfferings",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeInstances",
        "ec2:DescribeKeyPairs",
        "ec2:DescribeRegions",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSnapshots",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeSpotPriceHistory",
        "ec2:DescribeSubnets",
        "ec2:DescribeVolumes",
        "ec2:DescribeVpcs",
        "ec2:DetachVolume",
        "ec2:GetAllowedImagesSettings",
        "ec2:GetConsoleOutput",
        "ec2:GetEbsDefaultKmsKeyId",
        "ec2:ImportKeyPair",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyInstanceCreditSpecification",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RunInstances",
        "ec2:StartInstances",
        "ec2:StopInstances",
        "ec2:TerminateInstances",
        "efs:CreateFileSystem",
        "efs:CreateMountTarget",
        "efs:DeleteFileSystem",
        "efs:DeleteMountTarget",
        "efs:DescribeFileSystems",
        "efs:DescribeMountTargets",
        "efs:TagResource",
        "efs:UntagResource",
        "freetier:GetAccountPlanState",
        "iam:GetInstanceProfile",
        "iam:GetRolePolicy",
        "iam:SimulatePrincipalPolicy",
        "pricing:GetProducts",
        "service-quotas:GetServiceQuota",
        "ssm:GetParameter",
        "sts:GetCallerIdentity",
        "sts:GetFederationToken",
    }
)
SETUP_ACTIONS = frozenset(
    {
        "iam:AddRoleToInstanceProfile",
        "iam:CreateInstanceProfile",
        "iam:CreateRole",
        "iam:GetInstanceProfile",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:PutRolePolicy",
    }
)
"""What only `prism aws setup` calls, which an administrator runs once."""
PREFIXES = {"efs": "elasticfilesystem", "service-quotas": "servicequotas"}
"""Services that have another name in policies than in boto3."""

READS = ("Describe", "Get", "List", "Simulate")
"""Prefixes of actions that change nothing, and may be repeated at once."""


def reads(action: str) -> bool:
    """Whether an action changes nothing."""
    return action.startswith(READS)
