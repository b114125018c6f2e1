"""The operating systems of machines, and their differences."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from prism.providers.aws.machine.cloudinit.model import Architecture
from prism.templates.model import Base, Manager

DEFAULT: Base = "ubuntu-24.04"
"""The base of a template that does not name one."""


class BaseSystem(Struct, frozen=True, kw_only=True):
    """A base: its package manager, its Python for templates, and the packages that Prism needs.

    `groups` are package groups that templates list as packages; `first` are packages that are
    installed before the others; `hibernation` are packages that EC2's hibernation needs, if the
    image supports it; `keeps_addresses`: AWS recommends `nokaslr` for hibernation.
    """

    manager: Manager
    python: str
    python_packages: tuple[str, ...]
    needs: tuple[str, ...] = ()
    groups: Mapping[str, str] = {}
    first: tuple[str, ...] = ()
    hibernation: tuple[str, ...] = ()
    keeps_addresses: bool = False


class Installer(Struct, frozen=True):
    """The URL of a program at its publisher, and its checksum."""

    url: str
    sha256: str


# Ids of `dnf group list --ids`; no package has such a name.
GROUPS = {
    name: f"@{name}"
    for name in ("system-tools", "development", "scientific", "headless-management")
}

APT = BaseSystem(
    manager="apt",
    python="python3",
    python_packages=("python3-pip", "python3-venv"),
    needs=("ca-certificates", "curl"),
)
# The system's Python is 3.9. `curl-minimal` may be installed, which conflicts with `curl`.
DNF = BaseSystem(
    manager="dnf", python="python3.12", python_packages=("python3.12", "python3.12-pip")
)
HIBERNATION_AGENT = ("ec2-hibinit-agent",)
SYSTEMS: Mapping[Base, BaseSystem] = {
    "ubuntu-24.04": APT,
    "ubuntu-22.04": replace(APT, hibernation=HIBERNATION_AGENT, keeps_addresses=True),
    "debian-12": APT,
    "rocky-9": replace(DNF, groups=GROUPS, first=("epel-release",)),
    "amazon-linux-2023": replace(DNF, hibernation=HIBERNATION_AGENT),
}

# A fixed release with a known checksum; conda updates its packages.
_RELEASE = "25.3.1-0"
_MINIFORGE = (
    f"https://github.com/conda-forge/miniforge/releases/download/{_RELEASE}/Miniforge3-{_RELEASE}"
)
MINIFORGE: Mapping[Architecture, Installer] = {
    "x86_64": Installer(
        f"{_MINIFORGE}-Linux-x86_64.sh",
        "376b160ed8130820db0ab0f3826ac1fc85923647f75c1b8231166e3d559ab768",
    ),
    "arm64": Installer(
        f"{_MINIFORGE}-Linux-aarch64.sh",
        "a57c9e3d6c0c449c0283fd07e0bfa30d95eb8d547a14e8dc06c606405d01a7f0",
    ),
}

# The build for OpenSSL 3, which every base with apt has; version and sum as repo2docker pins
# them (github.com/jupyterhub/repo2docker, buildpacks/_r_base.py). Nobody compared them with
# Posit's. If the sum is wrong, nothing is installed, and the boot reports it.
RSTUDIO = Installer(
    "https://download2.rstudio.org/server/jammy/amd64/rstudio-server-2026.09.0-174-amd64.deb",
    "168bc577ef2f68abab1ad2ed684e830da1d244618b25b69fd20448e60716c5ba",
)
