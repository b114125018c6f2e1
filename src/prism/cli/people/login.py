"""`prism login` and `prism logout`: logins of this computer to daemons that people share."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import socket
import time

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.output.terminal import clean, say, show_json, show_records
from prism.cli.output.time_format import local_time
from prism.cli.parser import UsageError, add_flag
from prism.cli.people.loopback import LoopbackReceiver
from prism.cli.workspace.connect import browser_opens, has_browser
from prism.client.people import DEVICE_PAGE, TERMINAL_PAGE, Logins, Sessions
from prism.client.transport.address import DaemonAddress
from prism.client.transport.logins import NotLoggedIn, StoredLogins
from prism.client.transport.wire import Wire, query
from prism.errors import Denied, NotFound, Problem

BROWSER_TIMEOUT = 300.0  # seconds for the answer of a browser
LEAST_INTERVAL, MOST_INTERVAL = 1, 60  # seconds between two questions
MAX_DEVICE_SECONDS = 1800
URL_FORM = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
TOKEN_FORM = re.compile(r"prism_ses_[A-Za-z0-9]{1,64}\.[A-Za-z0-9_-]{20,128}")
UNFIT_FOR_COMPUTER = re.compile(r"[^A-Za-z0-9._-]+")
MAX_COMPUTER = 63  # characters


class LoginWire(Wire):
    """A `Wire` for the requests of a login: at `http://`, only the user's own daemon gets them."""

    def dial(self) -> socket.socket:
        """An open connection; what listens on this computer is checked, as with a token."""
        connection = super().dial()
        if not self.is_secure and not self.address.token:
            self.check_listener(connection)
        return connection


def _login(args: Namespace) -> None:
    logins = StoredLogins.read(DaemonAddress.of_variables().home)
    if args.local:
        return _use_own_daemon(args, logins)
    if args.url is None:
        if args.device:
            raise UsageError("--device needs the URL of a daemon", "`prism login URL --device`")
        return _list(args, logins)
    url = daemon_url(args.url)
    wire = LoginWire(_address(logins, url))
    if (user := _present_user(wire)) is None:
        wire = LoginWire(_address(StoredLogins(logins.home, "", {}), url))
        session = _new_session(wire, url, use_device=args.device or not _has_own_browser())
        logins = StoredLogins.read(logins.home)  # another command may have changed it meanwhile
        logins.by_url[url] = checked_session(session)
        user = logins.by_url[url]["user"]
    logins.current = url
    logins.write()
    _warn_of_variables()
    ends = logins.by_url[url].get("expires_at", "")
    text = f"You are logged in to {url} as {clean(user)}, until {local_time(ends)} at the latest"
    return _tell(args, {"daemon": url, "user": user, "expires_at": ends}, text)


def _use_own_daemon(args: Namespace, logins: StoredLogins) -> None:
    logins.current = ""
    logins.write()
    done = "Commands use the daemon of this computer again"
    return _tell(args, {"daemon": "", "message": done}, done)


def _logout(args: Namespace) -> None:
    logins = StoredLogins.read(DaemonAddress.of_variables().home)
    url = daemon_url(args.url) if args.url else logins.current
    if url not in logins.by_url:
        where = f" to {url}" if url else ""
        raise NotFound(
            f"This computer is not logged in{where}",
            remediation="`prism login` shows where it is; `prism logout URL` ends one",
        )
    if not args.forget:
        _end_at_daemon(logins, url)
    del logins.by_url[url]
    logins.current = "" if logins.current == url else logins.current
    logins.write()
    done = "Removed the login to" if args.forget else "You are logged out of"
    return _tell(args, {"daemon": url, "message": f"{done} {url}"}, f"{done} {url}")


def _end_at_daemon(logins: StoredLogins, url: str) -> None:
    try:
        LoginWire(_address(logins, url)).call(Logins.end)
    except Problem as problem:
        if problem.code == "UNAUTHENTICATED":
            return  # it has ended already
        raise Denied(
            f"The login to {url} was not ended",
            details=f"{problem.message}. Whoever has its token can use it until it ends",
            remediation=f"Try again later; or end it on the page Settings of {url}, then "
            f"`prism logout {url} --forget`",
        ) from problem


def _list(args: Namespace, logins: StoredLogins) -> None:
    rows = [
        {
            "daemon": url,
            "user": login.get("user", ""),
            "expires_at": login.get("expires_at", ""),
            "current": url == logins.current,
        }
        for url, login in logins.by_url.items()
    ]
    if args.json:
        return show_json(rows)
    show_records(
        rows,
        ("DAEMON", "daemon"),
        ("USER", "user"),
        ("ENDS", lambda row: local_time(row["expires_at"])),
        ("USED BY COMMANDS", lambda row: "yes" if row["current"] else "no"),
        none="This computer is logged in nowhere. Log in: `prism login https://HOST`",
    )
    return _warn_of_variables()


def _new_session(wire: Wire, url: str, *, use_device: bool) -> Any:
    """Log in; the daemon's answer with the token."""
    ways = wire.call(Logins.ways)
    if not ways.get("shared"):
        raise Denied(
            f"The daemon at {url} serves one person, who needs no login",
            remediation=f"Use it: `PRISM_URL={url} prism list`",
        )
    return _by_device(wire, url) if use_device else _by_browser(wire, url)


def _by_browser(wire: Wire, url: str) -> Any:
    """By the browser of this computer; the code that it brings is worth nothing to others."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    with LoopbackReceiver(state) as receiver:
        page = f"{url}{TERMINAL_PAGE}" + query(
            port=receiver.port,
            challenge=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            state=state,
            computer=computer_name(),
        )
        opened = browser_opens(page)
        say("Log in with the browser that opens." if opened else "Open this address in a browser:")
        say(f"If none does, open this address on this computer: {page}" if opened else page)
        code = receiver.code(BROWSER_TIMEOUT)
    return wire.call(Logins.begin, code, verifier)


def _by_device(wire: Wire, url: str) -> Any:
    """By a code that the person types into a browser of any computer (RFC 8628)."""
    started = wire.call(Logins.start_device, computer_name())
    code = clean(started["user_code"])
    say(f"Open {url}{DEVICE_PAGE} in a browser, and enter this code: {code}")
    say("Give the code to nobody, and enter none that somebody gave you.")
    until = time.monotonic() + min(int(started["expires_in"]), MAX_DEVICE_SECONDS)
    interval = int(started["interval"])
    while time.monotonic() < until:
        time.sleep(min(max(interval, LEAST_INTERVAL), MOST_INTERVAL))
        answer = wire.call(Logins.poll_device, started["device_code"])
        interval = int(answer["interval"])
        if answer["state"] == "allowed":
            return answer["session"]
        if answer["state"] == "access_denied":
            raise NotLoggedIn(details="it was denied in the browser")
        if answer["state"] == "expired_token":
            break
    raise NotLoggedIn(
        details="nobody entered the code in time", remediation=f"Try again: `prism login {url}`"
    )


def _present_user(wire: Wire) -> str | None:
    """Who is logged in already; None if nobody is, or not any more."""
    if not wire.address.token:
        return None
    try:
        return str(wire.call(Sessions.me)["user"])
    except Problem as problem:
        if problem.code == "UNAUTHENTICATED":
            return None
        raise


def checked_session(answer: Any) -> dict[str, str]:
    """The daemon's answer, if it has the form of one."""
    fields = {name: str(answer[name]) for name in ("token", "user", "session", "expires_at")}
    if not TOKEN_FORM.fullmatch(fields["token"]) or not all(map(str.isprintable, fields.values())):
        raise NotLoggedIn(details="the daemon's answer has no token that Prism uses")
    return fields


def daemon_url(typed: str) -> str:
    """The URL of a daemon as it is stored; raises if a token would be readable on the way."""
    text = typed.rstrip("/")
    text = text if "://" in text else f"https://{text}"
    match = URL_FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{clean(typed)} is not the URL of a daemon", "Write it as https://HOST")
    host = match[2].lower()
    if match[1] == "http" and not is_this_computer(host):
        raise UsageError(
            f"{clean(typed)} begins with http://: the network could read your login",
            "Use https://, or forward a port: `ssh -N -L 8947:localhost:8947 HOST`",
        )
    return f"{match[1]}://{host}{match[3] or ''}"


def is_this_computer(host: str) -> bool:
    """Whether a host is reached without a network."""
    return host in {"localhost", "127.0.0.1", "[::1]"} or host.endswith(".localhost")


def computer_name() -> str:
    """The name of this computer, in the letters that a daemon takes."""
    name = UNFIT_FOR_COMPUTER.sub("-", socket.gethostname()).strip("-._")
    return name[:MAX_COMPUTER] or "computer"


def _has_own_browser() -> bool:
    """Whether the person sits before a browser that reaches this computer's ports."""
    return has_browser() and not os.environ.get("SSH_CONNECTION")


def _address(logins: StoredLogins, url: str) -> DaemonAddress:
    own = DaemonAddress.of_variables()
    token = logins.token(url)
    return DaemonAddress(own.home, url, token, daemon_user=own.daemon_user, by_login=True)


def _warn_of_variables() -> None:
    address = DaemonAddress.of_variables()
    if address.url or address.token:
        name = "PRISM_URL" if address.url else "PRISM_TOKEN"
        say(f"note: {name} is set, and comes before the login; unset it to use the login")


def _tell(args: Namespace, answer: dict[str, str], text: str) -> None:
    if args.json:
        return show_json(answer)
    return print(text)


def _login_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="of the daemon; without it: show where you are logged in",
    )
    add_flag(parser, "--device", help="by a code that you enter in a browser anywhere")
    add_flag(parser, "--local", help="use the daemon of this computer again")


def _logout_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", nargs="?", help="default: the one that is used")
    add_flag(parser, "--forget", help="remove it here, without the daemon")


VERBS = {"login": (_login_arguments, _login), "logout": (_logout_arguments, _logout)}
