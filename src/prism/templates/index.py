"""Asks the package index, with uv, whether packages exist; only on request."""

import os
import re
import subprocess
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct
from uv import find_uv_bin

LOOKUP_TIMEOUT = 60
# In the message of uv if the index lacks a package, or its name is invalid.
MISSING = (
    "not found in the package registry",
    "not found in the provided package locations",
    "there is no version of",
    "there are no versions of",
    "is available and you require",
    "Couldn't parse requirement",
)
PACKAGE_NAME_START = re.compile(
    r"[A-Za-z0-9]"
)  # how a package begins; an option or a path does not
# In the message of uv if the package exists, but must be built from source.
NO_WHEEL_SIGNS = (
    "has no usable wheels",
    "have no usable wheels",
    "has no wheels",
    "have no wheels",
)
OFFLINE_SIGNS = (
    "network was disabled",
    "error sending request",
    "dns error",
    "not found in the cache",
)


class PackageStatus(StrEnum):
    """The answer of the package index."""

    FOUND = "found"
    MISSING = "missing"
    UNCHECKED = "unchecked"


class PackageLookup(Struct, frozen=True):
    """The answer, and its reason."""

    answer: PackageStatus
    words: str = ""


def look_up(packages: Sequence[str]) -> PackageLookup:
    """Whether the index has all of these, their dependencies aside."""
    # Nothing is built to learn the name of a package: that would run its code.
    command = [find_uv_bin(), "pip", "compile", "--no-deps", "--no-header", "--quiet"]
    command += ["--no-build", "-"]
    if odd := [
        package
        for package in packages
        if not PACKAGE_NAME_START.match(package) or not package.isprintable()
    ]:
        return PackageLookup(PackageStatus.MISSING, f"Couldn't parse requirement at {odd[0]!r}")
    quiet = {**os.environ, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    try:
        done = subprocess.run(
            command,
            input="\n".join(packages),
            env=quiet,
            capture_output=True,
            text=True,
            timeout=LOOKUP_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return PackageLookup(
            PackageStatus.UNCHECKED, f"the package index did not answer in {LOOKUP_TIMEOUT} s"
        )
    return PackageLookup(PackageStatus.FOUND) if done.returncode == 0 else meaning(done.stderr)


def meaning(message: str) -> PackageLookup:
    """The meaning of an error of uv: missing only if the index did answer."""
    words = " ".join(re.sub(r"[╰─▶├│×]+", " ", message).split())
    if any(sign in words for sign in NO_WHEEL_SIGNS) and "(i.e., with `--no-build`)" in words:
        return PackageLookup(PackageStatus.FOUND)
    if any(sign in words for sign in MISSING) and not any(sign in words for sign in OFFLINE_SIGNS):
        return PackageLookup(PackageStatus.MISSING, words)
    return PackageLookup(PackageStatus.UNCHECKED, words or "uv gave no reason")
