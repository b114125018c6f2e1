"""What tests need of the computer. Without it they are skipped, and a table at the end says so.

The reason of such a skip is `needs X` or `needs X: why`. CI installs every program, so there a
missing one fails the test.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from functools import cache

import pytest

from prism.providers.local.restic.failures import RepositoryFailed
from prism.providers.local.restic.repository import require_restic

# By program, the Debian package that has it.
PACKAGES = {
    "buildah": "buildah",
    "bwrap": "bubblewrap",
    "caddy": "caddy",
    "chromium": "chromium",
    "chromium-headless-shell": "chromium",
    "cloud-init": "cloud-init",
    "debootstrap": "debootstrap",
    "docker-compose": "docker-compose",
    "firefox-esr": "firefox-esr",
    "glewlwyd": "glewlwyd",
    "initdb": "postgresql",
    "ldapmodify": "ldap-utils",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "nginx": "nginx",
    "pasta": "passt",
    "restic": "restic",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "rsync": "rsync",
    "scp": "openssh-client",
    "sftp": "openssh-client",
    "slapd": "slapd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}
PREFIX = "needs "


def find(program: str) -> str | None:
    """Where a program is; the PATH of an ordinary user does not have those for administrators."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def require(*programs: str) -> None:
    """Skips the test if it lacks one of these programs."""
    missing = dict.fromkeys(PACKAGES[name] for name in programs if not find(name))
    if missing:
        skip_outside_ci(", ".join(missing))
    if "bwrap" in programs and not has_user_namespaces():
        skip_outside_ci("user namespaces")
    if "restic" in programs and (failure := restic_failure()):
        skip_outside_ci(failure)


@cache
def has_user_namespaces() -> bool:
    """Whether bubblewrap works for this user; the kernel may forbid it."""
    argv = ["bwrap", "--unshare-user", "--dev-bind", "/", "/", "true"]
    return subprocess.run(argv, capture_output=True).returncode == 0


@cache
def restic_failure() -> str:
    """Why Prism cannot use the restic here, or nothing; that of Debian 12 is too old."""
    try:
        require_restic()
    except RepositoryFailed as why:
        return f"a newer restic: {why}"
    return ""


def skip_outside_ci(want: str) -> None:
    """Skips the test for want of something that CI installs; there it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{PREFIX}{want}, which CI installs")
    pytest.skip(f"{PREFIX}{want}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test with the mark `needs` before its fixtures are made."""
    for mark in item.iter_markers("needs"):
        require(*mark.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    if reasons:
        terminalreporter.section("skipped for want of")
        for line in table(reasons):
            terminalreporter.line(line)


def table(reasons: Sequence[str]) -> list[str]:
    """The number of skipped tests by what they need; other reasons follow."""
    wants, other_reasons = Counter[str](), Counter[str]()
    for text in reasons:
        reason = text.removeprefix("Skipped: ")
        if reason.startswith(PREFIX):
            wants[reason.removeprefix(PREFIX).partition(":")[0]] += 1
        else:
            other_reasons[reason] += 1
    lines = [f"{count:5}  {want}" for want, count in wants.most_common()]
    if other_reasons:
        lines += ["       and for other reasons:"]
    return lines + [f"{count:5}  {reason}" for reason, count in other_reasons.most_common()]
