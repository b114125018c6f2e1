"""The daemon about itself, across the wire."""

from __future__ import annotations

from prism.client.request import LazyModule, ask
from prism.client.wire import Noun, query

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from typing import Any

    from prism.client import daemon_model as daemon
    from prism.client.wire import HttpAnswer, Wire
else:
    daemon = LazyModule("prism.client.daemon_model")

PATH = "/daemon"


class Daemon(Noun):
    """What you may ask the daemon about itself."""

    def doctor(self) -> daemon.Diagnosis:
        """What `prism doctor` finds where the daemon runs; it looks now, which takes seconds."""
        return ask(self._wire.patient(), "GET", f"{PATH}/doctor", daemon.Diagnosis)

    def status(self) -> daemon.Status:
        """How it is."""
        return ask(self._wire, "GET", f"{PATH}/status", daemon.Status)

    def shutdown(self) -> daemon.ShutdownAnswer:
        """Ask it to stop; workspaces go on."""
        return ask(self._wire, "POST", f"{PATH}/shutdown", daemon.ShutdownAnswer)

    def clean(self, *, dry_run: bool = False) -> daemon.Cleaned:
        """Free disk space: caches, old logs, unused environments, leftover drafts."""
        return ask(self._wire, "POST", f"{PATH}/clean", daemon.Cleaned, {"dry_run": dry_run})

    def aws(self, profile: str | None = None) -> list[dict[str, Any]]:
        """What AWS lets the daemon do, with one profile or all that are active; it asks now."""
        path = f"{PATH}/aws{query(profile=profile)}"
        return ask(self._wire, "GET", path, list[dict[str, object]])

    def aws_policy(self, *, setup: bool = False) -> dict[str, Any]:
        """The least policy that Prism needs, or that an administrator needs for `aws_setup`."""
        path = f"{PATH}/aws/policy{query(kind='setup' if setup else None)}"
        return ask(self._wire, "GET", path, dict[str, object])

    def aws_setup(
        self,
        profile: str | None = None,
        *,
        aws_profile: str | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Make in an account what workspaces there need."""
        body = {"profile": profile, "aws_profile": aws_profile, "dry_run": dry_run}
        return ask(self._wire, "POST", f"{PATH}/aws/setup", dict[str, object], body)

    def aws_setup_text(self, format: str) -> dict[str, Any]:
        """The same for `cloudformation` or `terraform`."""
        path = f"{PATH}/aws/setup{query(format=format)}"
        return ask(self._wire, "GET", path, dict[str, object])


def status_of(wire: Wire) -> HttpAnswer:
    """How it is, with the headers of the answer."""
    return wire.send("GET", f"{PATH}/status")
