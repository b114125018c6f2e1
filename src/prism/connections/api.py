"""The route to AWS's own consoles."""

from typing import Annotated

from litestar import get
from litestar.params import FromPath, QueryParameter

from prism.connections.model import AwsCredentialsMissing, AwsServiceNotFound

CONSOLES = ("console", "braket", "sagemaker", "cloudshell")


@get("/aws-proxy/{service:str}", tags=["connections"], sync_to_thread=False)
def aws_console(
    service: FromPath[str],
    token: Annotated[str | None, QueryParameter(description="A sign-in token.")] = None,
) -> None:
    """The way to an AWS service's own pages, signed in."""
    if service not in CONSOLES:
        raise AwsServiceNotFound(
            f"There is no way to an AWS service {service!r}",
            details=f"known: {', '.join(CONSOLES)}",
        )
    raise AwsCredentialsMissing(
        details="this version of Prism reaches no AWS account"
        + ("; a sign-in token alone does not say which" if token else ""),
        remediation="Work on this machine: `prism profile switch local`",
    )
