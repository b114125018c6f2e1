"""The secrets of a machine's services: derived when needed, never stored by Prism."""

import base64
import hmac

from prism.workspaces.ports import MachineSpec


def secret(private_key: bytes, workspace: str, service: str) -> str:
    """A service's token: 43 characters, derived from the profile's private key."""
    words = b"\0".join((b"prism service token", workspace.encode(), service.encode()))
    digest = hmac.digest(private_key, words, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def tokens(private_key: bytes, spec: MachineSpec) -> dict[str, str]:
    """The token of each service of a machine, by its name."""
    return {name: secret(private_key, spec.key, name) for name in spec.template.services}
