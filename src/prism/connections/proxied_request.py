"""One proxied request: its client, its target, and the addresses on both sides."""

from dataclasses import dataclass

from prism.connections.headers import Route
from prism.connections.model import ServiceAnswerInvalid, ServiceUnreachable
from prism.connections.routing import PortTarget
from prism.kit.gate import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """An ASGI request and its target; `path` is the path for the service."""

    scope: Scope
    receive: Receive
    send: Send
    target: PortTarget
    route: Route
    path: bytes

    def invalid_answer(self, why: str) -> ServiceAnswerInvalid:
        """The problem if the service's answer cannot be forwarded."""
        name, port = self.target.workspace, self.target.address.port
        return ServiceAnswerInvalid(
            f"What listens on port {port} of workspace {name!r} did not answer in HTTP",
            details=why,
            remediation=f"Look at what it says: `prism logs {name} --type application`",
        )

    def unreachable(self, error: Exception) -> ServiceUnreachable:
        """The problem if the service gave no answer."""
        name, port = self.target.workspace, self.target.address.port
        return ServiceUnreachable(
            f"What listens on port {port} of workspace {name!r} gave no answer",
            details=f"{type(error).__name__}: {error}".rstrip(": "),
            remediation=f"See which services answer: `prism connect {name}`",
        )
