"""One request on its way through: who asks, where it goes, and under which names."""

from dataclasses import dataclass

from prism.connections.headers import Route
from prism.connections.model import ServiceAnswerInvalid, ServiceUnreachable
from prism.connections.routing import Target
from prism.kit.gate import Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """A request of ASGI, and its way to a service; `path` is what the service is asked for."""

    scope: Scope
    receive: Receive
    send: Send
    target: Target
    route: Route
    path: bytes

    def unfit(self, why: str) -> ServiceAnswerInvalid:
        """The problem that the service answered what cannot be passed on."""
        name, port = self.target.workspace, self.target.spot.port
        return ServiceAnswerInvalid(
            f"What listens on port {port} of workspace {name!r} did not answer in HTTP",
            details=why,
            remediation=f"Look at what it says: `prism logs {name} --type application`",
        )

    def broken(self, error: Exception) -> ServiceUnreachable:
        """The problem that the service gave no answer."""
        name, port = self.target.workspace, self.target.spot.port
        return ServiceUnreachable(
            f"What listens on port {port} of workspace {name!r} gave no answer",
            details=f"{type(error).__name__}: {error}".rstrip(": "),
            remediation=f"See which services answer: `prism connect {name}`",
        )
