"""Checks the daemon's answers about connections before anything uses them.

OpenSSH, a shell and a browser act on these values, so a hostile daemon could run code on the
computer of its client: with the host `-oProxyCommand=…`, a line break in a user name, a command
to paste that ends in `; rm -rf ~`. Every caller gets these answers from here.
"""

from __future__ import annotations

import re
import shlex
import socket
from contextlib import contextmanager

from prism.annotations import Any, Iterator
from prism.client.transport.wire import Wire, query, quoted
from prism.errors import Problem

HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
IPV6 = re.compile(r"[0-9A-Fa-f:][0-9A-Fa-f:.]{1,44}")
SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
WORKSPACE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
SERVICE = re.compile(r".{1,200}")
URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:/[A-Za-z0-9._~%/-]*)?"
)
# OpenSSH expands `${…}` and `%`, and unquotes `"` and `\`; the callers escape `%`.
FILE_PATH = re.compile(r'(?:/|~/)(?:(?!\$\{)[^"\\])*')
UNQUOTED_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./~-]+")
SERVICE_SECRET = re.compile(r"[!-~]{0,512}")
SSH_HOST_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{16,256}={0,2}(?: [A-Za-z0-9@._-]{1,64})?")
KNOWN_HOSTS = "UserKnownHostsFile="
SSH_OPTIONS = ("-p", "-i", "-o", "-L")  # the options that a command of ours may have


class AnswerRefused(Problem, code="ANSWER_REFUSED"):
    """The daemon's answer was not used: a daemon of Prism never sends it."""


def connection(wire: Wire, name: str) -> Any:
    """How to connect to a running workspace, as `connect` answers it."""
    answer = wire.ask("GET", f"/instances/{quoted(name)}/connect")
    with _refuse_malformed(name):
        ssh = answer["ssh"]
        if command := ssh.get("command"):
            _check_ssh(ssh, command)
        elif ssh.get("host") is not None:
            _check_host(ssh["host"])
        for service, access in answer["services"].items():
            _check_match(SERVICE, service, "the name of a service")
            _check_service(access, ssh)
    return answer


def ports(wire: Wire, name: str, port: int | None = None) -> list[Any]:
    """The addresses of a workspace's services on the daemon's computer, or of one port."""
    answer = wire.ask("GET", f"/instances/{quoted(name)}/ports{query(port=port)}")
    with _refuse_malformed(name):
        for service in answer:
            if service["service"] is not None:
                _check_match(SERVICE, service["service"], "the name of a service")
            _check_match(URL, service["url"], "the address of a service")
            _check_host(service["host"])
            _check_port(service["port"])
            _check_port(service["target"])
    return list(answer)


def apps_domain(wire: Wire) -> str | None:
    """The domain of the addresses of apps; None on a daemon that has none."""
    domain: str | None = wire.ask("GET", "/me").get("apps_domain")
    return domain


def named(name: object) -> str:
    """A workspace's name, checked for use in an OpenSSH configuration."""
    with _refuse_malformed("the list of workspaces"):
        return _check_match(WORKSPACE_NAME, name, "the name of a workspace")


@contextmanager
def _refuse_malformed(subject: str) -> Iterator[None]:
    """Turn any error about the form of an answer into `AnswerRefused`."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        printable = "".join(c if c.isprintable() else "?" for c in str(error))[:200]
        raise AnswerRefused(
            f"The daemon's answer about {subject} was not used",
            details=f"a daemon of Prism never sends this: {printable}",
            remediation="See which daemon it is, and that it is yours: `prism daemon status`",
        ) from error


def _check_ssh(ssh: Any, command: str) -> None:
    if ssh.get("host_key") is not None:
        _check_match(SSH_HOST_KEY, ssh["host_key"], "the host key of SSH")
    _check_host(ssh["host"])
    _check_match(SSH_USER, ssh["user"], "the user of SSH")
    if ssh.get("port") is not None:
        _check_port(ssh["port"])
    ssh["command"] = _checked_command(ssh, command)


def _check_service(access: Any, ssh: Any) -> None:
    _check_match(URL, access["url"], "the address of a service")
    for secret in ("token", "username", "password"):
        if access.get(secret) is not None:
            _check_match(SERVICE_SECRET, access[secret], f"the {secret} of a service")
    if forward := access.get("local_forward"):
        access["local_forward"] = _checked_command(ssh, forward)


def _checked_command(ssh: Any, text: str) -> str:
    """A command to paste into a shell, rebuilt from checked words."""
    program, *words = shlex.split(text)
    to = words.pop()
    if program != "ssh" or to != f"{ssh['user']}@{ssh['host']}" or len(words) % 2:
        raise ValueError(f"a command that is not one of ssh's: {text}")
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option not in SSH_OPTIONS:
            raise ValueError(f"an option of ssh that Prism does not use: {option}")
        if option == "-p":
            _check_port(int(value))
        elif option == "-L":
            _check_match(re.compile(r"[0-9]{1,5}:localhost:[0-9]{1,5}"), value, "a forward of ssh")
        else:
            path = value.removeprefix(KNOWN_HOSTS) if option == "-o" else value
            if option == "-o" and path == value:
                raise ValueError(f"an option of ssh that Prism does not use: {value}")
            _check_match(FILE_PATH, path, "a path")
    checked = [program, *words, to]
    return " ".join(
        word if UNQUOTED_WORD.fullmatch(word) else shlex.quote(word) for word in checked
    )


def _check_host(value: object) -> None:
    if isinstance(value, str) and ":" in value:
        _check_match(IPV6, value, "a host")
        socket.inet_pton(socket.AF_INET6, value)
    else:
        _check_match(HOST_NAME, value, "a host")


def _check_port(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise ValueError(f"a port: {value}")


def _check_match(pattern: re.Pattern[str], value: object, noun: str) -> str:
    if not isinstance(value, str) or not value.isprintable() or not pattern.fullmatch(value):
        raise ValueError(f"{noun}: {value!r}")
    return value
