"""Services that describe an account: its plan (Free Tier) and its quotas (Service Quotas)."""

from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call

# Amazon EC2 endpoints and quotas, AWS General Reference.
QUOTAS = {
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "standard"),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", "gpu"),
    "L-417A185B": ("Running On-Demand P instances", "p"),
    "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", "spot"),
}
UNLIMITED = 10_000  # vCPUs, if the rules set no limit: AWS has no quota without a value


def get_account_plan_state(call: Call) -> Tree:
    """GetAccountPlanState: FREE or PAID."""
    kind = "FREE" if call.world.rules.free_plan else "PAID"
    state = {"accountId": call.world.account, "accountPlanType": kind}
    return {**state, "accountPlanStatus": "ACTIVE"}


def get_service_quota(call: Call) -> Tree:
    """GetServiceQuota, for the quotas of EC2's vCPUs."""
    code = call.args.get("QuotaCode", "")
    if call.args.get("ServiceCode") != "ec2" or code not in QUOTAS:
        raise Refusal("NoSuchResourceException", "The request failed because the quota is unknown")
    name, rule = QUOTAS[code]
    value = getattr(call.world.rules.quotas, rule)
    return {
        "Quota": {
            "ServiceCode": "ec2",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(UNLIMITED if value is None else value),
            "Adjustable": True,
        }
    }
