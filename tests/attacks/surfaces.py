"""The attacked surfaces and their test files, for the table in `docs/proofs.md`.

A test of an attack is in this folder, unless it needs the fixtures of what it attacks; its file
is listed below in either case. A run of all of them with `PRISM_WRITE_PROOFS=1` counts the passed
tests by surface, over all processes of the run. A run of a part changes nothing: the table would
show only what that run has counted.
"""

import os
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from tests import proofs

ROOT = Path(__file__).parents[2]
SURFACES = {
    "sandbox": (
        "tests/attacks/test_workspace_paths.py",
        "tests/attacks/test_attaching.py",
        "tests/attacks/test_endless_snapshots.py",
        "tests/attacks/test_first_program.py",
        "tests/attacks/test_identity.py",
        "tests/attacks/test_installs.py",
        "tests/attacks/test_kernel_limits.py",
        "tests/attacks/test_metadata.py",
        "tests/attacks/test_networks.py",
        "tests/attacks/test_replaced_files.py",
        "tests/attacks/test_reused_users.py",
        "tests/attacks/test_ordinary_networks.py",
        "tests/attacks/test_shared_networks.py",
        "tests/providers/local/test_sandbox.py",
        "tests/providers/local/test_bind_mounts.py",
        "tests/project/test_workspace_paths.py",
    ),
    "gate": (
        "tests/attacks/test_gate.py",
        "tests/attacks/test_foreign_homes.py",
        "tests/attacks/test_holders.py",
        "tests/attacks/test_many_files.py",
        "tests/attacks/test_peers.py",
        "tests/attacks/test_planted_workers.py",
        "tests/attacks/test_shared_daemons.py",
        "tests/kit/test_gate.py",
        "tests/kit/network/test_peer_credentials.py",
        "tests/daemon/test_gate.py",
        "tests/daemon/test_listeners.py",
        "tests/providers/local/test_networked.py",
        "tests/kit/network/test_workspace_peers.py",
    ),
    "proxies": (
        "tests/attacks/test_foreign_pages.py",
        "tests/attacks/test_proxies.py",
        "tests/attacks/test_app_pages.py",
        "tests/connections/test_app_origins.py",
        "tests/kit/network/test_trusted_proxies.py",
        "tests/connections/test_browser.py",
        "tests/connections/test_headers.py",
        "tests/connections/test_tls.py",
        "tests/providers/local/test_ports.py",
    ),
    "SSH": ("tests/providers/local/test_ssh.py", "tests/attacks/test_ssh_door.py"),
    "roles": (
        "tests/attacks/test_deceptive_addresses.py",
        "tests/attacks/test_ends_of_memberships.py",
        "tests/attacks/test_event_streams.py",
        "tests/attacks/test_moved_snapshots.py",
        "tests/attacks/test_floods.py",
        "tests/attacks/test_notices.py",
        "tests/attacks/test_removed_members.py",
        "tests/attacks/test_requests.py",
        "tests/attacks/test_foreign_names.py",
        "tests/attacks/test_roles.py",
        "tests/attacks/test_shares.py",
        "tests/attacks/test_unbounded.py",
        "tests/attacks/test_webhook_addresses.py",
        "tests/attacks/test_sessions.py",
        "tests/attacks/test_ends_of_rights.py",
        "tests/access/test_tokens.py",
        "tests/access/test_visibility.py",
        "tests/sessions/test_api.py",
        "tests/sessions/test_accounts.py",
        "tests/sessions/test_link_mail.py",
        "tests/sessions/test_oidc.py",
        "tests/sessions/test_providers.py",
        "tests/sessions/test_terminal_login.py",
        "tests/cli/people/test_login.py",
        "tests/client/transport/test_logins.py",
        "tests/invitations/test_logged_in.py",
        "tests/web/test_login.py",
        "tests/project/test_team_mode.py",
    ),
    "inputs": (
        "tests/attacks/test_held_writer.py",
        "tests/attacks/test_inputs.py",
        "tests/attacks/test_templates_of_strangers.py",
        "tests/robustness/test_edges.py",
        "tests/robustness/test_exploring.py",
        "tests/robustness/test_sockets.py",
        "tests/robustness/test_values.py",
        "tests/kit/test_http.py",
    ),
    "clients": (
        "tests/attacks/test_copies_from_workspaces.py",
        "tests/attacks/test_clients.py",
        "tests/attacks/test_hostile_daemon.py",
        "tests/attacks/test_token_collectors.py",
        "tests/attacks/test_links_from_workspaces.py",
    ),
}
LISTED = {file for files in SURFACES.values() for file in files}
HERE = {f"tests/attacks/{path.name}" for path in (ROOT / "tests/attacks").glob("test_*.py")}
if HERE - LISTED:  # a new file that is not listed yet counts too
    SURFACES["others"] = tuple(sorted(HERE - LISTED))
OF_FILE = {file: surface for surface, files in SURFACES.items() for file in files}
TITLE = "Attacks"
passed = Counter[str]()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count passed tests by file."""
    if report.when == "call" and report.passed:
        passed[file_of(report.nodeid)] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table, in the process that sees the results of all workers."""
    if not os.environ.get("PRISM_WRITE_PROOFS") or hasattr(session.config, "workerinput"):
        return
    if not any(passed[file] for file in OF_FILE):
        return
    option = session.config.option
    choice = option.keyword or option.markexpr or option.deselect
    named = {file_of(arg) for arg in session.config.args if "::" in arg}
    if files := incomplete(passed, OF_FILE if choice else named):
        note = f"this run left out tests of {len(files)} files, such as {files[0]}"
        sys.stderr.write(f"\nThe table of attacks stays as it is: {note}\n")
    else:
        proofs.record(TITLE, table(passed))


def file_of(node: str) -> str:
    """The file of a test."""
    return node.partition("::")[0]


def incomplete(counts: Mapping[str, int], partial: Collection[str]) -> list[str]:
    """The listed files that this run has not counted as a whole."""
    return [file for file in OF_FILE if not counts.get(file) or file in partial]


def table(counts: Mapping[str, int]) -> str:
    """The table of counts of each surface, for the page."""
    passing = "passed tests: attacks that failed, and harmless requests that worked"
    lines = [f"| surface | {passing} | files |", "|---|---|---|"]
    for surface, files in SURFACES.items():
        count = sum(counts[file] for file in files)
        lines.append(f"| {surface} | {count:,} | {len(files)} |")
    whole = sum(counts[file] for file in OF_FILE)
    seen = sum(1 for file in OF_FILE if counts[file])
    total = f"{whole:,} tests in all. {seen} of the {len(OF_FILE)} files had tests that ran."
    return "\n".join([*lines, "", total])
