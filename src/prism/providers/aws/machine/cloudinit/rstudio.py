"""RStudio Server, which conda lacks: Posit's package, with R from conda.

A template lists `rstudio` among its conda packages, and has a service whose command is `rserver`.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from prism.providers.aws.machine.cloudinit.bases import RSTUDIO, SYSTEMS, BaseSystem, Installer
from prism.providers.aws.machine.cloudinit.model import Architecture
from prism.templates.model import Base, TemplateInvalid

PACKAGE = "rstudio"
R = "r-base"
SERVER = PurePosixPath("/usr/lib/rstudio-server/bin/rserver")
PASSWORD = "PRISM_PASSWORD"
"""The variable, in the service's environment file, with the password of its login."""


def installer(base: Base, system: BaseSystem, architecture: Architecture) -> Installer:
    """The package for a system; raises if there is none."""
    bases = [name for name, system in SYSTEMS.items() if system.manager == "apt"]
    if system.manager != "apt":
        raise TemplateInvalid(
            f"RStudio Server cannot be installed on {base}",
            details=f"packages.conda: {PACKAGE} is Posit's own package, for systems with apt",
            remediation=f"Choose the `base` {' or '.join(bases)}, or list no `{PACKAGE}`",
        )
    if architecture != "x86_64":
        raise TemplateInvalid(
            f"RStudio Server cannot be installed on {architecture}",
            details=f"packages.conda: {PACKAGE} is Posit's own package, which is for x86_64 only",
            remediation="Launch it on a machine type of x86_64, such as "
            f"`--instance-type t3.large`, or list no `{PACKAGE}`",
        )
    return RSTUDIO


def conda_packages(names: Iterable[str]) -> list[str]:
    """The conda packages, with R instead of `rstudio`."""
    return list(dict.fromkeys(R if name == PACKAGE else name for name in names))


def is_server(words: list[str]) -> bool:
    """Whether a service's command runs RStudio Server."""
    return bool(words) and PurePosixPath(words[0]).name == SERVER.name


def command(words: list[str], port: int, conda: str) -> list[str]:
    """A service's command with the options that a machine on a network needs.

    conda's R sets no LD_LIBRARY_PATH, so a session would not find R's libraries by itself.
    """
    ours = {
        "server-daemonize": "0",
        "www-address": "127.0.0.1",
        "www-port": str(port),
        "auth-none": "0",
        "rsession-which-r": f"{conda}/bin/R",
        "rsession-ld-library-path": f"{conda}/lib/R/lib:{conda}/lib",
    }
    own_words, rest = [], iter(words[1:])
    for word in rest:
        name, value, _ = word.removeprefix("--").partition("=")
        if name not in ours:
            own_words.append(word)
        elif not value:
            next(rest, None)  # its value is the next word, and is dropped too
    return [str(SERVER), *own_words, *(f"--{name}={value}" for name, value in ours.items())]
