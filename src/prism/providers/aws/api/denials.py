"""Which policy denies a call, from AWS's message, and who can change that: pure.

IAM User Guide, "Troubleshoot access denied error messages": `User: ARN is not authorized to
perform: ACTION on resource: ARN`, then `because no TYPE policy allows the ACTION action` or `with
an explicit deny in a TYPE policy`. Some services leave parts of it out.
"""

import re

from msgspec import Struct

ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
RESOURCE = re.compile(r"on resource: (arn:\S+)")
KIND = (
    "(service control|resource control|permissions boundary|session|VPC endpoint"
    "|resource-based|identity-based)"
)
EXPLICIT = re.compile(rf"with an explicit deny in an? {KIND}(?: policy)?(?:: (arn:\S+))?")
IMPLICIT = re.compile(rf"because no {KIND} (?:policy )?allows")
ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")
ATTACH = "Attach what `prism aws policy` prints"
REMOVE = "Ask an administrator of the account to remove what denies it"
ADVICE = {
    "service control": "Ask who administers your AWS organization: no policy of the account can "
    "allow it",
    "resource control": "Ask who administers your AWS organization: no policy of the account can "
    "allow it",
    "permissions boundary": "Ask an administrator of the account: the permissions boundary of "
    "your user or role must allow it too",
    "session": "Log in with a session that is not limited, or ask who limited it",
    "VPC endpoint": "Ask who administers the network: the policy of its VPC endpoint denies it",
    "resource-based": "Ask who owns the resource: its own policy denies it",
    "identity-based": ATTACH,
}


class Denial(Struct, frozen=True, kw_only=True):
    """A call that AWS denied; `policy` is the kind of policy, if AWS says that."""

    action: str
    resource: str = ""
    policy: str = ""
    explicit: bool = False
    arn: str = ""  # of the policy

    @property
    def reason(self) -> str:
        """Which policy denies it; empty if AWS does not say."""
        if not self.policy:
            return ""
        policy = self.policy if self.policy.endswith("boundary") else f"{self.policy} policy"
        if not self.explicit:
            return f"no {policy} allows it"
        id = self.arn.rpartition("/")[2]  # its whole ARN is in the details
        named = f" ({id})" if id else ""
        return f"{'an' if policy.startswith('i') else 'a'} {policy} denies it{named}"

    @property
    def remediation(self) -> str:
        """What helps, or who."""
        if self.policy == "identity-based" and self.explicit:
            return REMOVE
        return ADVICE.get(self.policy, ATTACH)


def denial_of(name: str, message: str) -> Denial:
    """What AWS's message says about the denied call `service:Action`."""
    action, resource = ACTION.search(message), RESOURCE.search(message)
    explicit, implicit = EXPLICIT.search(message), IMPLICIT.search(message)
    match = explicit or implicit
    return Denial(
        action=action[1] if action else name,
        resource=resource[1].rstrip(".") if resource else "",
        policy=match[1] if match else "",
        explicit=explicit is not None,
        arn=(explicit[2] or "").rstrip(".") if explicit else "",
    )


def readable(message: str) -> str:
    """AWS's message without the part that only another call can decode."""
    return ENCODED.sub("", message).strip()
