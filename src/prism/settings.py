"""Every setting. `main` reads them once and passes them on; nothing imports an instance.

A field `like_this` is the variable `PRISM_LIKE_THIS`; an empty variable counts as unset.
The file `env` in the home may set the variables that the environment does not.
"""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from getpass import getuser
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal, get_args, get_type_hints
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Meta, Struct

from prism.errors import Invalid
from prism.home import (
    DEFAULT_HOME,
    NETWORK_VARIABLES,
    environment,
    folder_of,
    lines_of,
    settings_file,
    socket_of,
)

LONGEST_HOME_BYTES = 450
"""SQLite opens no file whose path has more than 512 bytes."""
LONGEST_SHOWN = 80
"""Characters of a value that a message shows: it has to say what is allowed, too."""
NOT_IN_HOMES = '"\\:'
"""OpenSSH's files cannot quote the first two, and `HOME_PATH_RULE` cannot contain the third."""
HOME_PATH_RULE = (
    f'a path in UTF-8 of at most {LONGEST_HOME_BYTES} bytes without quotation marks ("), '
    "backslashes, colons and control characters, such as line breaks"
)
PASSWORD = re.compile(r"(://[^:/@\s]*:|[?&]password=)[^@&\s]+")
NO_ID = 2**32 - 1  # no user, for the kernel
POSTGRES = re.compile(r"^postgres(ql)?://")
Networks = tuple[IPv4Network | IPv6Network, ...]
Port = Annotated[int, Meta(ge=0, le=65535, description="a whole number from 0 to 65535")]
Seconds = Annotated[int, Meta(ge=0, description="a whole number of seconds, 0 or more")]
Patience = Annotated[int, Meta(ge=1, le=600, description="a whole number of seconds, 1 to 600")]
Count = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]
Database = Annotated[
    str,
    Meta(
        pattern=r"^(sqlite:///.|postgres(ql)?(\+psycopg)?://)",
        description="`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`",
    ),
]
Web = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^/\s?#]+/?$(?!\n)", description="`http://HOST:PORT` or `https://HOST`"
    ),
]
Issuer = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^/\s?#]+(/[^\s?#]*)?$(?!\n)",
        description="`https://HOST` or `https://HOST/PATH`, as the provider calls itself",
    ),
]
Domains = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9.-]+([, ]+[A-Za-z0-9.-]+)*$(?!\n)",
        description="domains, as `example.org,lab.example.org`",
    ),
]
Service = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$(?!\n)",
        description="the name of a file in `/etc/pam.d`, as `login`",
    ),
]
Groups = Annotated[
    str,
    Meta(
        pattern=r"^[^:,\n]+(:[^:,\n]+(:(viewer|member|admin))?)?"
        r"(,[^:,\n]+(:[^:,\n]+(:(viewer|member|admin))?)?)*$(?!\n)",
        description="groups, as `lab,reef-team:reef,reef-leads:reef:admin`",
    ),
]
Proxies = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F.:/]+([, ]+[0-9a-fA-F.:/]+)*$(?!\n)",
        description="addresses or ranges of addresses that are not everybody, as "
        "`127.0.0.1,10.0.0.0/24`",
    ),
]
Domain = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$(?!\n)",
        max_length=180,
        description="a domain in lower case, as `apps.example.org`",
    ),
]
Sender = Annotated[
    str,
    Meta(pattern=r"^[^@\s<>]+@[^@\s<>]+$(?!\n)", description="an address, as `prism@example.org`"),
]
Range = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F.:]+/0*[1-9][0-9]*$(?!\n)",
        description="a range of addresses that is not everybody, as `203.0.113.7/32`",
    ),
]
Ids = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{0,9}-[1-9][0-9]{0,9}$(?!\n)",
        description="a range of user ids without root's, as `1879048192-1879113727`",
    ),
]
Processes = Annotated[
    int, Meta(ge=32, le=4194304, description="a whole number from 32 to 4194304")
]
Destinations = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-fA-F.:/\[\], ]*$(?!\n)",
        description="addresses or ranges, each with a port or without, as "
        "`10.2.0.7:5432,10.3.0.0/16`",
    ),
]
Mail = Annotated[
    str, Meta(pattern=r"^smtps?://[^/\s]+$(?!\n)", description="`smtp://USER:PASSWORD@HOST:PORT`")
]


class SettingInvalid(Invalid, code="SETTING_INVALID"):
    """A setting has a value that it cannot have."""

    @classmethod
    def of(cls, variable: str, value: str, allowed: str) -> "SettingInvalid":
        """The problem that names the variable, what it is, and what it may be."""
        text = masked(value)
        if len(text) > LONGEST_SHOWN:
            text = f"{text[:LONGEST_SHOWN]}…"
        return cls(
            f"{variable} is {text!r}",
            details=f"{variable} must be {allowed}",
            remediation=f"Set {variable} to {allowed}, or unset it",
        )


class Settings(Struct, frozen=True, kw_only=True):
    """Prism's settings."""

    home: str = DEFAULT_HOME
    """The folder of the state, the Unix socket, your own templates and local workspaces."""

    host: str = "127.0.0.1"
    """The address to listen on. An address that other computers can reach needs
    `PRISM_AUTH=tokens` and a `PRISM_PUBLIC_URL`."""

    port: Port = 8947
    """The TCP port to listen on. 0 takes any free port. Without this setting, the daemon takes
    the next free port if 8947 is taken, and keeps to it."""

    database_url: Database = ""
    """The database. Empty means SQLite in the home. Several daemons can share a PostgreSQL."""

    database_timeout: Patience = 10
    """How many seconds a request waits for the database, or for its turn to write, before
    the answer is 503."""

    user: str = ""
    """Who you are in local mode, preferably a mail address. Empty means `login@host`."""

    profile: str = ""
    """The profile to use instead of the active one."""

    url: Web = ""
    """For clients: the daemon to use. Empty means the daemon of this `PRISM_HOME`."""

    public_url: Web = ""
    """The address at which people reach the daemon from other computers."""

    tls_cert: str = ""
    """The file of the certificate, with those of its issuers, in PEM. With it the daemon speaks
    TLS at `PRISM_HOST`, and without TLS to this computer only. New files are used within
    seconds."""

    tls_key: str = ""
    """The file of the certificate's key, in PEM; only its owner and group may read it."""

    tls_port: Port = 0
    """The port for TLS. 0 means the port of `PRISM_PUBLIC_URL`."""

    trusted_proxies: Proxies = ""
    """The reverse proxies that may say who their clients are (`X-Forwarded-For`, `Forwarded`),
    and whether they came by TLS. What others say is ignored."""

    apps_domain: Domain = ""
    """The domain below which each workspace has a web address of its own, as
    `https://NAME--OWNER.apps.example.org`. It needs a DNS entry and a certificate for all names
    below it. Empty means that browsers do not reach services of workspaces on a shared daemon."""

    auth: Literal["local", "tokens"] = "local"
    """Who may use the daemon: `local` is the user who runs it, `tokens` is everybody with a
    token. The home keeps `tokens` for later starts."""

    oidc_issuer: Issuer = ""
    """The identity provider (OpenID Connect) at which people log in with a browser; needs
    `PRISM_AUTH=tokens` and a `PRISM_PUBLIC_URL` that begins with `https://`."""

    oidc_client_id: str = ""
    """What the identity provider calls this daemon."""

    oidc_client_secret: str = ""
    """The secret that the identity provider has given this daemon."""

    oidc_domains: Domains = ""
    """Domains of mail addresses that may come in by the identity provider, as
    `example.org,lab.example.org`. Others need an invitation, or to be a member of a project."""

    oidc_file: str = ""
    """A TOML file with further identity providers, and with the groups there that give roles in
    projects. It has secrets, so nobody else may read it."""

    pam: Service = ""
    """People log in with accounts of this computer, which this service of PAM checks, as `login`.
    The daemon has to be root, unless the service asks a directory. Needs `PRISM_AUTH=tokens`."""

    pam_groups: Groups = ""
    """Whose accounts come in: `GROUP`, with a role in a project `GROUP:PROJECT` or
    `GROUP:PROJECT:ROLE`. Others need an invitation, or to be a member of a project."""

    pam_domain: Domain = ""
    """The account `ada` is the person `ada@DOMAIN`. Empty means the name of this computer."""

    login_links: Literal["operator", "mail"] = "operator"
    """Who makes links that log a person in once: `operator` is only the operator, by
    `prism login-link`; `mail` also mails one with each invitation. Needs a
    `PRISM_PUBLIC_URL`; an identity provider takes the place of mailed links."""

    project_creation: Literal["operator", "everybody"] = "operator"
    """Who may make projects on a shared daemon. A project that another person than the operator
    makes has no money until the operator gives it a budget. With `everybody`, only the operator
    adds members unasked."""

    token: str = ""
    """For clients: the token to send."""

    daemon_user: str = ""
    """For clients with a token: the user whom the daemon of this computer runs as, if that is
    neither you nor root. No other user gets the token."""

    connections: Count = 4000
    """How many connections the daemon keeps open at once; at most half of the number of
    files that it may open (`ulimit -n`)."""

    connections_per_peer: Count = 2000
    """How many of these connections one address, or one user of this computer, may have."""

    drain: Seconds = 0
    """How many seconds the daemon still serves after SIGTERM, while `/readyz` says that it stops,
    so that a proxy sends no more requests to it. 0 stops at once."""

    local_prices: Literal["none", "aws"] = "none"
    """What local workspaces cost: `none` is nothing, `aws` is what EC2 would charge, marked
    `simulated`."""

    wake_on_request: Literal["off", "free", "all"] = "free"
    """Which hibernated workspaces wake when you open their address in a browser: `free` are
    those that cost nothing by the hour, as on this computer, `all` also those in the cloud, from
    their own pages and by the button."""

    caller_cidr: Range = ""
    """The range of addresses from which machines on AWS accept connections. Empty means your
    public address, which Prism gets from `https://checkip.amazonaws.com`."""

    uid_range: Ids = "1879048192-1879113727"
    """If the daemon runs as root: the user and group ids for running local workspaces, one
    for each. No other account may use them. A workspace gets one at each start."""

    pids_max: Processes = 4096
    """How many processes and threads a local workspace may have, from its next start."""

    workspace_network: Literal["isolated", "internet", "lan", "host", "own", "shared"] = "lan"
    """What local workspaces reach, from their next start: `lan` is all that this computer
    reaches, without the computer itself and the cloud's metadata service; `internet` is
    also without private addresses; `isolated` is nothing; `host` is this computer's own
    network, with its loopback. `own` means `lan`, and `shared` means `host`."""

    workspace_network_allow: Destinations = ""
    """Addresses that local workspaces reach although `PRISM_WORKSPACE_NETWORK` says
    otherwise, as `10.2.0.7:5432,10.3.0.0/16,[fd00:1::7]:443`."""

    copy_password_file: str = ""
    """The file with the passphrase of the copies of snapshots elsewhere. Empty means that
    everybody who can read a destination can read the copies."""

    terminated_retention: Seconds = 300
    """How many seconds a terminated workspace stays in the list."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the daemon writes to its log: `debug`, `info`, `warning` or `error`."""

    smtp_url: Mail = ""
    """The mail server. Empty writes invitations, not notices, to `outbox` in the home."""

    mail_from: Sender = ""
    """The sender of mails. Empty means `prism@` and the name of this computer."""

    webhooks: Literal["everybody", "operator", "nobody"] = "everybody"
    """Who may add webhooks, to which the daemon sends their notices."""

    webhook_networks: Proxies = ""
    """Networks that webhooks may reach though they are not public; also without TLS."""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Each from `environ`, else the home's file, which must be valid, else the default."""
        path = settings_file(folder_of(environ.get(variable("home")) or DEFAULT_HOME))
        if os.path.lexists(path):  # a broken link is an error, too: the file may ask for tokens
            _check_file(path)
        settings = cls.read(environment(environ))
        if settings.auth == "local" and _kept_auth(environ) == "tokens":
            raise SettingInvalid(
                f"{variable('auth')} is 'local', but people with tokens share this home's daemon",
                details=f"{path} has {variable('auth')}=tokens",
                remediation=f"Unset {variable('auth')}, or remove that line to use it alone",
            )
        return settings

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """The settings that `environ` gives, the defaults for the rest."""
        fields: dict[str, Any] = {}
        for name, kind in get_type_hints(cls, include_extras=True).items():
            if value := environ.get(variable(name)):
                fields[name] = _convert(variable(name), value, kind)
        settings = cls(**fields)
        if not (_is_path(settings.home) and _is_usable(settings.folder)):
            raise SettingInvalid.of(variable("home"), settings.home, HOME_PATH_RULE)
        networks("caller_cidr", settings.caller_cidr, Range)
        allow = settings.workspace_network_allow
        if not all(map(_is_destination, re.findall(r"[^,\s]+", allow))):
            raise SettingInvalid.of(
                variable("workspace_network_allow"), allow, _allowed(Destinations)
            )
        if not uids(settings.uid_range):
            raise SettingInvalid.of(variable("uid_range"), settings.uid_range, _allowed(Ids))
        if not (is_loopback(settings.host) or (settings.auth == "tokens" and settings.public_url)):
            raise SettingInvalid.of(
                variable("host"),
                settings.host,
                "an address of this machine, or come with PRISM_AUTH=tokens and PRISM_PUBLIC_URL",
            )
        settings.check_public_address()
        networks("webhook_networks", settings.webhook_networks)
        if settings.pam and settings.auth != "tokens":
            raise SettingInvalid(
                f"{variable('pam')} is set, and nobody could log in",
                details=f"{variable('auth')} must be tokens",
                remediation=f"Set it, or unset {variable('pam')}",
            )
        if (settings.oidc_issuer or settings.oidc_file) and (problem := settings.login_problem):
            raise SettingInvalid(
                "An identity provider is set, and nobody could log in there",
                details=problem,
                remediation=f"Set it, or unset {variable('oidc_issuer')} and "
                f"{variable('oidc_file')}",
            )
        return settings

    def check_public_address(self) -> None:
        """Raise if TLS, proxies or the domain of apps cannot work as they are set."""
        if any(network.prefixlen == 0 for network in self.proxy_networks):
            raise SettingInvalid.of(
                variable("trusted_proxies"), self.trusted_proxies, _allowed(Proxies)
            )
        for name in ("tls_cert", "tls_key", "trusted_proxies", "apps_domain"):
            if getattr(self, name) and (problem := self._public_problem(name)):
                raise SettingInvalid(
                    f"{variable(name)} is set, and cannot work",
                    details=problem,
                    remediation=f"Set it, or unset {variable(name)}",
                )

    def _public_problem(self, name: str) -> str:
        """What a setting about the public address lacks; empty if nothing."""
        public = urlsplit(self.public_url)
        host = (public.hostname or "").lower()
        if self.auth != "tokens":
            return f"{variable('auth')} must be tokens"
        if public.scheme != "https":
            return f"{variable('public_url')} must begin with https://"
        if name == "tls_cert" and not self.tls_key:
            return f"{variable('tls_key')} must be the file of its key"
        if name == "tls_key" and not self.tls_cert:
            return f"{variable('tls_cert')} must be the file of its certificate"
        if name == "apps_domain" and f".{host}".endswith(f".{self.apps_domain}"):
            return f"{variable('public_url')} must not be in that domain, which is for apps alone"
        return ""

    @property
    def proxy_networks(self) -> Networks:
        """The networks of `trusted_proxies`; raises `SettingInvalid`."""
        return networks("trusted_proxies", self.trusted_proxies)

    @property
    def public_tls_port(self) -> int:
        """The port on which the daemon itself speaks TLS; 0 if it does not."""
        if not self.tls_cert:
            return 0
        return self.tls_port or urlsplit(self.public_url).port or 443

    @property
    def login_problem(self) -> str:
        """What a login by the identity provider lacks; empty if nothing."""
        if self.auth != "tokens":
            return f"{variable('auth')} must be tokens"
        public = urlsplit(self.public_url)
        is_test = (public.hostname or "").endswith(".localhost")
        if public.scheme != "https" and not is_test:
            return f"{variable('public_url')} must begin with https://"
        if not self.oidc_issuer:
            return ""
        if not self.oidc_client_id:
            return f"{variable('oidc_client_id')} must be what the provider calls this daemon"
        if urlsplit(self.oidc_issuer).scheme != "https" and not is_test:
            return f"{variable('oidc_issuer')} must begin with https://"
        return ""

    @property
    def login_domains(self) -> frozenset[str]:
        """The domains of `oidc_domains`."""
        return frozenset(re.findall(r"[^,\s]+", self.oidc_domains.lower()))

    @property
    def account_domain(self) -> str:
        """`pam_domain`, or the name of this computer."""
        return self.pam_domain or gethostname().lower()

    @property
    def folder(self) -> Path:
        """`home`, as an absolute path."""
        return Path(folder_of(self.home))

    @property
    def socket(self) -> Path:
        """The Unix socket."""
        return Path(socket_of(folder_of(self.home)))

    @property
    def database(self) -> str:
        """`database_url`, or SQLite in the home, as SQLAlchemy wants it."""
        url = self.database_url or f"sqlite:///{quote(str(self.folder / 'state.db'))}"
        return POSTGRES.sub("postgresql+psycopg://", url)

    @property
    def actor(self) -> str:
        """`user`, or `login@host`."""
        return self.user or f"{_login()}@{gethostname()}"

    @property
    def sender(self) -> str:
        """`mail_from`, or `prism@host`."""
        return self.mail_from or f"prism@{gethostname()}"

    @property
    def templates(self) -> Path:
        """Where templates of your own are."""
        return self.folder / "templates"

    @property
    def workspaces(self) -> Path:
        """Where local workspaces are."""
        return self.folder / "workspaces"

    @property
    def storage(self) -> Path:
        """Where local volumes and snapshots are."""
        return self.folder / "storage"

    def __repr__(self) -> str:
        """All settings, with secrets masked, since this text may be logged."""
        fields = {name: masked(value) for name, value in msgspec.structs.asdict(self).items()}
        fields["oidc_client_secret"] = "***" if self.oidc_client_secret else ""
        fields["token"] = "***" if self.token else ""
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


def variable(field: str) -> str:
    """The environment variable of a field."""
    return f"PRISM_{field.upper()}"


def masked(value: Any) -> Any:
    """`value` without the password that a URL may carry."""
    return PASSWORD.sub(r"\1***", value) if isinstance(value, str) else value


def _kept_auth(environ: Mapping[str, str]) -> str | None:
    """What the home's file says about `PRISM_AUTH`, whatever the environment says."""
    unset = {name: value for name, value in environ.items() if name != variable("auth")}
    return environment(unset).get(variable("auth"))


def _check_file(path: str) -> None:
    """Refuse a file with a line that sets nothing."""
    known = {variable(name) for name in Settings.__struct_fields__} - {variable("home")}
    known |= NETWORK_VARIABLES
    try:
        lines = list(lines_of(Path(path).read_text("utf-8")))
    except UnicodeError as error:
        raise SettingInvalid(f"{path} is not UTF-8", remediation="Write it anew") from error
    for number, name, value in lines:
        if value is None or name not in known:
            near = next(iter(get_close_matches(name, known, 1, 0.6)), None)
            raise SettingInvalid(
                f"{path}, line {number}, is not a setting of Prism: {masked(name)}",
                remediation=f"Did you mean {near}?" if near else "Remove the line",
            )


def _convert(variable: str, value: str, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid.of(variable, value, _allowed(kind)) from error


def _allowed(kind: Any) -> str:
    """The description of what a field may be, or its choices."""
    for part in get_args(kind):
        if isinstance(part, Meta):
            return str(part.description)
    return f"one of {', '.join(get_args(kind))}"


def _is_path(home: str) -> bool:
    """Whether every program can use it as a path."""
    try:
        home.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 32 or ord(character) == 127 for character in home)


def _is_usable(folder: Path) -> bool:
    """Whether every program that Prism uses can open files in it."""
    path = str(folder)
    return len(os.fsencode(path)) <= LONGEST_HOME_BYTES and not set(path) & set(NOT_IN_HOMES)


def networks(field: str, text: str, kind: object = Proxies) -> Networks:
    """The networks of a setting; raises `SettingInvalid`."""
    try:
        return tuple(ip_network(word, strict=False) for word in re.findall(r"[^,\s]+", text))
    except ValueError as error:
        raise SettingInvalid.of(variable(field), text, _allowed(kind)) from error


def _is_destination(word: str) -> bool:
    """Whether a word is an address or a range, which may have a port."""
    within = re.fullmatch(r"\[(.*:.*)\](?::(\d{1,5}))?|([^:]*)(?::(\d{1,5}))?|([^\[\]]*)", word)
    if not within:
        return False
    port = within[2] or within[4] or "1"
    try:
        ip_network(within[1] or within[3] or within[5])
    except ValueError:
        return False
    return 0 < int(port) < 65536


def uids(text: str) -> range:
    """The ids of a range in the form of `uid_range`; empty if it is invalid."""
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1) if int(last) < NO_ID else range(0)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _login() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's uid need not have a name
        return f"uid{os.getuid()}"
