"""The route to AWS's own consoles."""

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect

from prism.connections.model import AwsServiceNotFound, ConsoleLinks

CONSOLES = ("console", "braket", "sagemaker", "cloudshell")
PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@get("/aws-proxy/{service:str}", tags=["connections"], status_code=302, sync_to_thread=True)
def aws_console(
    service: FromPath[str],
    aws_access: NamedDependency[ConsoleLinks],
    token: Annotated[str | None, QueryParameter(description="A sign-in token.")] = None,
) -> Redirect:
    """Redirect to the console of an AWS service, signed in by a token in the address."""
    if service not in CONSOLES:
        raise AwsServiceNotFound(
            f"There is no AWS service {service!r}",
            details=f"known: {', '.join(CONSOLES)}",
        )
    return Redirect(aws_access.link(service, token or None), status_code=302, headers=PRIVATE)
