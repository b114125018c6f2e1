"""Client methods for the daemon itself."""

from __future__ import annotations

from prism.annotations import Any, Sequence
from prism.client.models import daemon
from prism.client.transport.request import Noun
from prism.client.transport.wire import HttpAnswer, Wire, query, quoted

DAEMON_PATH = "/daemon"


class Daemon(Noun):
    """Methods for the daemon itself."""

    def doctor(self) -> daemon.Diagnosis:
        """Run the checks of `prism doctor` where the daemon runs, which takes seconds."""
        return self._ask("GET", f"{DAEMON_PATH}/doctor", daemon.Diagnosis, patient=True)

    def status(self) -> daemon.DaemonStatus:
        """The status of the daemon."""
        return self._ask("GET", f"{DAEMON_PATH}/status", daemon.DaemonStatus)

    def shutdown(self) -> daemon.ShutdownAnswer:
        """Stop the daemon; workspaces keep running."""
        return self._ask("POST", f"{DAEMON_PATH}/shutdown", daemon.ShutdownAnswer)

    def clean(self, *, dry_run: bool = False) -> daemon.CleanAnswer:
        """Free disk space: caches, old logs, unused environments, leftover drafts."""
        return self._ask("POST", f"{DAEMON_PATH}/clean", daemon.CleanAnswer, {"dry_run": dry_run})

    def gui_settings(self) -> dict[str, Any]:
        """What was chosen in the web GUI, under `values`."""
        return self._ask("GET", f"{DAEMON_PATH}/gui", dict[str, object])

    def change_gui_settings(self, values: dict[str, str]) -> dict[str, Any]:
        """Choose something in the web GUI; what is not given stays."""
        return self._ask("PUT", f"{DAEMON_PATH}/gui", dict[str, object], {"values": values})

    def aws(self, profile: str | None = None) -> list[dict[str, Any]]:
        """Ask AWS what the daemon may do, with one profile or all active ones."""
        path = f"{DAEMON_PATH}/aws{query(profile=profile)}"
        return self._ask("GET", path, list[dict[str, object]])

    def aws_login(
        self,
        profile: str | None = None,
        *,
        aws_profile: str | None = None,
        code: str | None = None,
    ) -> dict[str, Any]:
        """Log in to AWS with a code of an MFA device; without a code, learn how to log in."""
        body = {"profile": profile, "aws_profile": aws_profile, "code": code}
        return self._ask("POST", f"{DAEMON_PATH}/aws/login", dict[str, object], body)

    def aws_leftovers(self, *, delete: bool = False) -> list[dict[str, Any]]:
        """The security groups and key pairs of this home in AWS; with `delete`, without them."""
        method = "DELETE" if delete else "GET"
        return self._ask(method, f"{DAEMON_PATH}/aws/leftovers", list[dict[str, object]])

    def aws_policy(
        self,
        *,
        setup: bool = False,
        own_machines: str | None = None,
        role: str | None = None,
        types: Sequence[str] = (),
        regions: Sequence[str] = (),
        vpcs: Sequence[str] = (),
    ) -> dict[str, Any]:
        """The smallest policy for Prism, or for an administrator who runs `aws_setup`.

        `own_machines` is `tag` or `username`, and `role` the name of a role. The limits are those
        of `prism aws policy --help`.
        """
        kind = "setup" if setup else "daily"
        path = f"{DAEMON_PATH}/aws/policy{query(kind=kind, own_machines=own_machines, role=role)}"
        limits = {"types": types, "regions": regions, "vpcs": vpcs}
        listed = [
            f"&{name}={quoted(value)}" for name, values in limits.items() for value in values
        ]
        return self._ask("GET", path + "".join(listed), dict[str, object])

    def aws_setup(
        self, profile: str | None = None, *, aws_profile: str | None = None, dry_run: bool = False
    ) -> dict[str, Any]:
        """Make what workspaces need in an AWS account."""
        body = {"profile": profile, "aws_profile": aws_profile, "dry_run": dry_run}
        return self._ask("POST", f"{DAEMON_PATH}/aws/setup", dict[str, object], body)

    def aws_setup_text(self, format: str) -> dict[str, Any]:
        """The setup as a file for `cloudformation` or `terraform`."""
        path = f"{DAEMON_PATH}/aws/setup{query(format=format)}"
        return self._ask("GET", path, dict[str, object])


def status_of(wire: Wire) -> HttpAnswer:
    """The status of the daemon, with the headers of the answer."""
    return wire.send("GET", f"{DAEMON_PATH}/status")
