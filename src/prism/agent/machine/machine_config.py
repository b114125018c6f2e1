"""The commands, environments and secrets of a machine, from its spec."""

import os
import re
import shlex
import sys
from collections.abc import Mapping

from prism.agent.machine.folder import Folder
from prism.agent.machine.slots import gpu_variables
from prism.agent.packages.package_trees import lower_of
from prism.agent.protocol import LocalMachineSpec
from prism.agent.sandbox.identity import login
from prism.agent.system.overlay import UPPER
from prism.agent.system.processes import MACHINE_VARIABLE, which
from prism.agent.system.safe_paths import Directory

BLANK = re.compile(r"(?<!\$)\{(port|token|home|name|parameters\.[A-Za-z_][A-Za-z0-9_-]*)\}")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The only variables that a workspace's programs get from the daemon's environment.
PASSED_VARIABLES = (
    *("LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("REQUESTS_CA_BUNDLE", "UV_SYSTEM_CERTS"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
# The variables that our own tools get too, as well as all of uv.
FOR_TOOLS = {
    *PASSED_VARIABLES,
    "ALL_PROXY",
    "all_proxy",
    "NETRC",
    "SSL_CLIENT_CERT",
    "XDG_CONFIG_HOME",
}
# The variables of uv that a build gets: the addresses of packages, and how to connect.
MIRRORS = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_INDEX_STRATEGY", "UV_EXCLUDE_NEWER", "UV_PRERELEASE", "UV_OFFLINE"),
    *("UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT"),
    "UV_HTTP_RETRIES",
)
# The package indexes of a workspace's own uv and pip.
INDEXES = (
    *("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
)
# An address with a password, or one on loopback, where a workspace reaches only itself.
NOT_FOR_WORKSPACES = re.compile(r"@|//(localhost|127\.|\[::1\])")
QUIET_VARIABLES = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1"}


def index_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that lead a workspace's own uv and pip to the same package indexes."""
    indexes = {
        name: value
        for name in INDEXES
        if (value := environ.get(name)) and not NOT_FOR_WORKSPACES.search(value)
    }
    default = indexes.get("UV_DEFAULT_INDEX") or indexes.get("UV_INDEX_URL")
    return ({"PIP_INDEX_URL": default} if default else {}) | indexes


class MachineConfig:
    """The configuration of one machine, from its spec."""

    def __init__(self, spec: LocalMachineSpec, folder: Folder) -> None:
        self.spec, self.folder = spec, folder
        self.name = spec.get("name", folder.path.name)
        self.services = spec.get("services", {})
        self.packages = spec.get("packages", [])
        self.post_install = spec.get("post_install", [])
        self.grace = float(spec.get("grace", 10))
        self.patience = float(spec.get("patience", 180))

    @property
    def path(self) -> str:
        """The `PATH` of programs: the machine's own folder first."""
        brew = ":/opt/homebrew/bin" if sys.platform == "darwin" else ""
        own = f"{self.folder.venv}/bin:{self.folder.home}/.local/bin"
        return f"{own}:{SYSTEM_PATH}{brew}"

    def find_program(self, program: str, path: str | None = None) -> str | None:
        """The path of a program on the machine's `PATH`."""
        return which(program, path or self.path, self._real_path)

    def _real_path(self, path: str) -> str:
        """The real path of a file in the environment, which may be in a shared tree."""
        venv = f"{self.folder.venv}/"
        if not path.startswith(venv) or not (lower := lower_of(self.folder.path, self.spec)):
            return path
        within = path.removeprefix(venv)
        own = os.path.join(venv, UPPER)
        try:
            with Directory.at(own) as changed:
                changed.stat(within)
        except FileNotFoundError:
            return os.path.join(lower, within)
        except OSError:  # the path contains a symlink that the workspace made
            pass
        return os.path.join(own, within)

    def fill(self, text: str, port: int | None = None, token: str = "") -> str:
        """A text with its placeholders filled in; other braces, and `${name}`, stay."""
        parameters = self.spec.get("parameters", {})

        def value(blank: re.Match[str]) -> str:
            word = blank[1]
            if word.startswith("parameters."):
                known = parameters.get(word.removeprefix("parameters."), "")
                return str(known).lower() if isinstance(known, bool) else str(known)
            words = {"port": port, "token": token, "home": self.folder.home, "name": self.name}
            return str(words[word])

        return BLANK.sub(value, text)

    def secret(self, service: str) -> str:
        """The secret of a service; a local machine has one for all its services."""
        return self.folder.token(make=False)

    def tells_token(self, service: str) -> bool:
        """Whether the service gets the secret, and therefore requires it."""
        own = self.services[service].get("environment", {})
        variables = {**self.spec.get("environment", {}), **own}
        return any("{token}" in text for text in variables.values())

    def command(self, service: str, port: int, token: str) -> list[str]:
        """A service's command as words; it is split first, so a value stays one word."""
        words = shlex.split(self.services[service]["command"])
        return [self.fill(word, port, token) for word in words]

    def program_environment(
        self, own: Mapping[str, str] | None = None, port: int | None = None, token: str = ""
    ) -> dict[str, str]:
        """The complete environment of a program of this machine."""
        home, venv = self.folder.home, self.folder.venv
        passed = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ}
        variables = {**self.spec.get("environment", {}), **(own or {})}
        filled = {name: self.fill(text, port, token) for name, text in variables.items()}
        return {
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "SHELL": "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh",
            **passed,
            **index_variables(os.environ),
            "USER": (user := login()),
            "LOGNAME": user,
            "VIRTUAL_ENV": str(venv),
            "XDG_CONFIG_HOME": f"{home}/.config",
            "XDG_CACHE_HOME": f"{home}/.cache",
            "XDG_DATA_HOME": f"{home}/.local/share",
            "XDG_STATE_HOME": f"{home}/.local/state",
            "XDG_RUNTIME_DIR": f"{home}/.local/run",
            **filled,
            **gpu_variables(self.spec),
            "HOME": str(home),
            "PATH": self.path,
            MACHINE_VARIABLE: str(self.folder.path),
        }

    def tool_environment(self) -> dict[str, str]:
        """The environment of our own tools, with the user's variables for proxies and mirrors.

        It has no variables of the template: `LD_PRELOAD`, for example, would run the template's
        code.
        """
        passed = {
            name: value
            for name, value in os.environ.items()
            if name in FOR_TOOLS or name.startswith("UV_")
        }
        return {
            "LANG": "C.UTF-8",
            **passed,
            "PATH": SYSTEM_PATH,
            "HOME": os.path.expanduser("~"),
            "UV_CACHE_DIR": self.spec["cache"],
            **QUIET_VARIABLES,
            MACHINE_VARIABLE: str(self.folder.path),
        }

    def build_environment(self) -> dict[str, str]:
        """The environment of a build from source, which runs inside and may be hostile.

        It has no variables of the template, and no mirror whose address contains a password.
        """
        home = self.folder.home
        names = (
            *PASSED_VARIABLES,
            *(variable for variable in MIRRORS if "@" not in os.environ.get(variable, "")),
        )
        return {
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in names if name in os.environ},
            "HOME": str(home),
            "PATH": self.path,
            "VIRTUAL_ENV": str(self.folder.venv),
            "UV_CACHE_DIR": f"{home}/.cache/uv",
            **QUIET_VARIABLES,
            MACHINE_VARIABLE: str(self.folder.path),
        }
