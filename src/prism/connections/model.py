"""Requests for ports of workspaces, and problems with them."""

from typing import Protocol, runtime_checkable

from msgspec import Struct

from prism.errors import Invalid, NotFound, Unavailable


class InvalidPort(Invalid, code="INVALID_PORT"):
    """A port is a whole number from 1 to 65535."""


class PortSilent(Unavailable, code="PORT_SILENT"):
    """No program of that workspace listens on that port."""


class ServiceUnreachable(Unavailable, code="SERVICE_UNREACHABLE"):
    """The service ended the connection before it had answered."""


class CertificateChanged(Unavailable, code="CERTIFICATE_CHANGED"):
    """The service has a different certificate than before."""


class SshUnreachable(Unavailable, code="SSH_UNREACHABLE"):
    """The workspace cannot be reached by SSH."""


class ServiceAnswerInvalid(Unavailable, code="SERVICE_ANSWER_INVALID"):
    """The answer of the service is not valid HTTP."""


class UpgradeRequired(Invalid, code="UPGRADE_REQUIRED"):
    """The address accepts WebSocket only."""


class AwsServiceNotFound(NotFound, code="AWS_SERVICE_NOT_FOUND"):
    """Prism does not know that AWS service."""


class AwsCredentialsMissing(Unavailable, code="AWS_CREDENTIALS_MISSING"):
    """The daemon has no AWS credentials."""


class AppNotFound(NotFound, code="APP_NOT_FOUND"):
    """There is no app at that address."""


class AppsUnavailable(NotFound, code="APPS_UNAVAILABLE"):
    """Browsers do not reach the services of workspaces on this daemon."""


class AppsDomain(Struct, frozen=True):
    """The domain of apps, with the port that browsers use, and the address of the daemon."""

    name: str
    port: str
    daemon: str

    def host(self, label: str) -> str:
        """The `Host` of an app."""
        return f"{label}.{self.name}{self.port}"

    def label_of(self, host: str) -> str:
        """The label of a `Host` below the domain."""
        return host.removesuffix(f".{self.name}{self.port}")


class PortRequest(Struct, frozen=True):
    """A port of a workspace, by default its first service's, else 8888; `tls` if it speaks TLS."""

    name: str
    port: int | None = None
    tls: bool = False


class ServiceUrl(Struct, frozen=True, kw_only=True):
    """A port of a running workspace, and its addresses.

    `port` is the port that the template or the program names, `url` the workspace's own origin for
    a browser, `host` and `target` the real address of the port on this machine.
    """

    service: str | None
    port: int
    url: str
    host: str
    target: int


@runtime_checkable
class ConsoleLinks(Protocol):
    """Makes links to AWS consoles."""

    def link(self, service: str, token: str | None) -> str:
        """A link that signs in; `token` is an existing sign-in token."""
