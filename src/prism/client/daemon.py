"""The daemon about itself, across the wire."""

from __future__ import annotations

from prism.client.models import daemon
from prism.client.request import Noun
from prism.client.wire import query

TYPE_CHECKING = False  # as in `typing`, which costs a cold start 2 ms
if TYPE_CHECKING:
    from typing import Any

    from prism.client.wire import HttpAnswer, Wire

PATH = "/daemon"


class Daemon(Noun):
    """What you may ask the daemon about itself."""

    def doctor(self) -> daemon.Diagnosis:
        """What `prism doctor` finds where the daemon runs; it looks now, which takes seconds."""
        return self._ask("GET", f"{PATH}/doctor", daemon.Diagnosis, patient=True)

    def status(self) -> daemon.DaemonStatus:
        """How it is."""
        return self._ask("GET", f"{PATH}/status", daemon.DaemonStatus)

    def shutdown(self) -> daemon.ShutdownAnswer:
        """Ask it to stop; workspaces go on."""
        return self._ask("POST", f"{PATH}/shutdown", daemon.ShutdownAnswer)

    def clean(self, *, dry_run: bool = False) -> daemon.Cleaned:
        """Free disk space: caches, old logs, unused environments, leftover drafts."""
        return self._ask("POST", f"{PATH}/clean", daemon.Cleaned, {"dry_run": dry_run})

    def aws(self, profile: str | None = None) -> list[dict[str, Any]]:
        """What AWS lets the daemon do, with one profile or all that are active; it asks now."""
        path = f"{PATH}/aws{query(profile=profile)}"
        return self._ask("GET", path, list[dict[str, object]])

    def aws_policy(self, *, setup: bool = False) -> dict[str, Any]:
        """The least policy that Prism needs, or that an administrator needs for `aws_setup`."""
        path = f"{PATH}/aws/policy{query(kind='setup' if setup else None)}"
        return self._ask("GET", path, dict[str, object])

    def aws_setup(
        self, profile: str | None = None, *, aws_profile: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Make in an account what workspaces there need."""
        body = {"profile": profile, "aws_profile": aws_profile, "dry_run": dry_run}
        return self._ask("POST", f"{PATH}/aws/setup", dict[str, object], body)

    def aws_setup_text(self, format: str) -> dict[str, Any]:
        """The same for `cloudformation` or `terraform`."""
        path = f"{PATH}/aws/setup{query(format=format)}"
        return self._ask("GET", path, dict[str, object])


def status_of(wire: Wire) -> HttpAnswer:
    """How it is, with the headers of the answer."""
    return wire.send("GET", f"{PATH}/status")
