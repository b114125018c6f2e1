"""A lab's directory (`slapd`) with people and groups, and `glewlwyd`, which logs them in.

Both are Debian's own, each with its files in one folder. Groups are of `groupOfNames`; the
directory says by `memberOf` which ones a person is in.
"""

import contextlib
import gzip
import http.cookiejar
import json
import re
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import free_port
from tests.needs import find, require, skip_outside_ci
from tests.optional import not_none
from tests.waiting import eventually

BASE = "dc=lab,dc=test"
ADMIN, PASSWORD = f"cn=admin,{BASE}", "of the directory"
PROVIDER_ADMIN = {"username": "admin", "password": "password"}  # as the package makes it
SCHEMA, MODULES = Path("/etc/ldap/schema"), Path("/usr/lib/ldap")
GLEWLWYD = Path("/etc/glewlwyd/glewlwyd.conf")
TABLES = Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
SLAPD_CONF = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
moduleload memberof
pidfile {folder}/slapd.pid
database mdb
maxsize 10485760
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory {folder}/db
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-memberof-ad memberOf
"""


def group_name(group: str) -> str:
    """The full name of a group in the directory."""
    return f"cn={group},ou=groups,{BASE}"


def person_name(person: str) -> str:
    """The full name of a person in the directory."""
    return f"uid={person},ou=people,{BASE}"


class Directory:
    """A running `slapd`; each person's password is their name."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.url = f"ldap://127.0.0.1:{port}"
        self._groups: set[str] = set()

    def change(self, ldif: str) -> None:
        """Make the changes that the text describes."""
        command = ["ldapmodify", "-x", "-H", self.url, "-D", ADMIN, "-w", PASSWORD]
        done = subprocess.run(command, input=ldif, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

    def add_unit(self, name: str) -> None:
        """Add a part of the tree."""
        self.change(
            f"dn: ou={name},{BASE}\nchangetype: add\nobjectClass: organizationalUnit\nou: {name}\n"
        )

    def add_person(self, name: str, mail: str) -> None:
        """Add somebody whose address the directory has verified."""
        self.change(
            f"dn: {person_name(name)}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {name}\n"
            f"cn: {name}\nsn: {name}\nmail: {mail}\nuserPassword: {name}\nemployeeType: verified\n"
            "departmentNumber: openid\n"
        )

    def join(self, person: str, group: str) -> None:
        """Put a person into a group."""
        head = f"dn: {group_name(group)}\nchangetype: "
        if group in self._groups:
            self.change(f"{head}modify\nadd: member\nmember: {person_name(person)}\n")
        else:
            self.change(
                f"{head}add\nobjectClass: groupOfNames\ncn: {group}\n"
                f"member: {ADMIN}\nmember: {person_name(person)}\n"
            )
            self._groups.add(group)

    def leave(self, person: str, group: str) -> None:
        """Take a person out of a group."""
        self.change(
            f"dn: {group_name(group)}\nchangetype: modify\n"
            f"delete: member\nmember: {person_name(person)}\n"
        )


@contextlib.contextmanager
def program(*command: str | Path, log: Path, ready: Any) -> Iterator[None]:
    """Run a program until the block ends, once it is ready."""
    with log.open("w") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output)
    try:
        eventually(lambda: process.poll() is not None or ready(), 60)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def directory(folder: Path) -> Iterator[Directory]:
    """A directory with nobody in it."""
    require("slapd", "ldapmodify")
    (folder / "db").mkdir(parents=True)
    running = Directory(folder, free_port())
    config = folder / "slapd.conf"
    config.write_text(
        SLAPD_CONF.format(
            schema=SCHEMA,
            modules=MODULES,
            folder=folder,
            base=BASE,
            admin=ADMIN,
            password=PASSWORD,
        )
    )
    probe = ["ldapsearch", "-x", "-H", running.url, "-b", "", "-s", "base"]
    command = (not_none(find("slapd")), "-f", config, "-h", running.url, "-d", "0")

    def answers() -> bool:
        return subprocess.run(probe, capture_output=True).returncode == 0

    with program(*command, log=folder / "log", ready=answers):
        running.change(
            f"dn: {BASE}\nchangetype: add\nobjectClass: dcObject\nobjectClass: organization\n"
            "o: Lab\ndc: lab\n"
        )
        for unit in ("people", "groups"):
            running.add_unit(unit)
        yield running


class Administration:
    """The API of glewlwyd, for who operates it."""

    def __init__(self, base: str) -> None:
        self.base = base
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._http = urllib.request.build_opener(cookies)

    def post(self, path: str, value: object) -> None:
        """Send an object that must be accepted."""
        request = urllib.request.Request(
            f"{self.base}/api/{path}",
            json.dumps(value).encode(),
            {"Content-Type": "application/json"},
        )
        with self._http.open(request, timeout=60) as answer:
            assert answer.status == 200

    def answers(self) -> bool:
        """Whether it runs."""
        with contextlib.suppress(OSError), self._http.open(f"{self.base}/config", timeout=5):
            return True
        return False


def user_module(people: Directory) -> object:
    """Where glewlwyd looks for people, and what it reads of them."""
    read = {"read": True, "write": False, "profile-read": True, "profile-write": False}
    return {
        "module": "ldap",
        "name": "lab",
        "display_name": "Directory of the lab",
        "order_rank": 0,
        "readonly": True,
        "parameters": {
            "uri": people.url,
            "bind-dn": ADMIN,
            "bind-password": PASSWORD,
            "base-search": f"ou=people,{BASE}",
            "search-scope": "one",
            "page-size": 50,
            "filter": "objectClass=inetOrgPerson",
            "username-property": "uid",
            "name-property": "cn",
            "email-property": "mail",
            "scope-property": "departmentNumber",
            "data-format": {
                "memberOf": {"property": "memberOf", "multiple": True, **read},
                "verified": {"property": "employeeType", "multiple": False, **read},
            },
        },
    }


def plugin(issuer: str, key: str) -> object:
    """OpenID Connect: addresses, groups, logout by the back channel."""
    claim = {"mandatory": True, "on-demand": False, "scope": []}
    return {
        "module": "oidc",
        "name": "oidc",
        "display_name": "OpenID Connect",
        "parameters": {
            "iss": issuer,
            "jwt-type": "rsa",
            "jwt-key-size": "256",
            "key": key,
            "cert": public_key(key),
            "access-token-duration": 3600,
            "refresh-token-duration": 3600,
            "code-duration": 60,
            "refresh-token-rolling": False,
            "allow-non-oidc": False,
            "auth-type-code-enabled": True,
            "auth-type-code-revoke-replayed": True,
            "auth-type-token-enabled": False,
            "auth-type-id-token-enabled": True,
            "auth-type-password-enabled": False,
            "auth-type-client-enabled": False,
            "auth-type-device-enabled": False,
            "auth-type-refresh-enabled": False,
            "pkce-allowed": True,
            "pkce-required": True,
            "allowed-scope": ["openid"],
            "jwks-show": True,
            "email-claim": "mandatory",
            "claims": [
                {"name": "groups", "user-property": "memberOf", "type": "string", **claim},
                {
                    "name": "email_verified",
                    "user-property": "verified",
                    "type": "boolean",
                    "boolean-value-true": "verified",
                    "boolean-value-false": "no",
                    **claim,
                },
            ],
            "session-management-allowed": True,
            "session-cookie-name": "GLEWLWYD_OIDC_SESSION",
            "session-cookie-expiration": 3600,
            "back-channel-logout-allowed": True,
            "front-channel-logout-allowed": True,  # else its page for the logout does nothing
        },
    }


def openssl(*words: str, input: str | None = None) -> str:
    """What it prints."""
    done = subprocess.run(
        ["openssl", *words], input=input, capture_output=True, text=True, check=True
    )
    return done.stdout


def public_key(key: str) -> str:
    """The public half of a key."""
    return openssl("rsa", "-pubout", input=key)


@contextlib.contextmanager
def provider(folder: Path, people: Directory, *clients: Mapping[str, object]) -> Iterator[str]:
    """Glewlwyd for these clients; yields its issuer."""
    require("glewlwyd")
    if not TABLES.exists():  # minimal systems leave out what is documentation
        skip_outside_ci("glewlwyd: its tables in /usr/share/doc")
    folder.mkdir(parents=True)
    port = free_port()
    base, database = f"http://localhost:{port}", folder / "db"
    with contextlib.closing(sqlite3.connect(database)) as db:
        db.executescript(gzip.decompress(TABLES.read_bytes()).decode())
    webapp = folder / "webapp"
    shutil.copytree("/usr/share/glewlwyd/webapp", webapp)
    if (pages := webapp / "config.json").is_dir():  # as Debian 13 puts it there
        (webapp / "config").write_bytes((pages / "config.json").read_bytes())
        shutil.rmtree(pages)
        (webapp / "config").rename(pages)
    text = re.sub(r"^@include .*$", "", GLEWLWYD.read_text(), flags=re.M)
    for name, value in {
        "port": str(port),
        "bind_address": '"127.0.0.1"',
        "external_url": f'"{base}"',
        "log_file": f'"{folder}/own.log"',
        "log_mode": '"console"',
        "static_files_path": f'"{webapp}/"',
    }.items():
        text = re.sub(rf"^#?\s*{name}\s*=.*$", "", text, flags=re.M) + f"\n{name}={value}\n"
    config = folder / "glewlwyd.conf"
    config.write_text(f'{text}\ndatabase =\n{{\n  type = "sqlite3"\n  path = "{database}"\n}};\n')
    admin, issuer = Administration(base), f"{base}/api/oidc"
    command = (not_none(find("glewlwyd")), "--config-file", config)
    with program(*command, log=folder / "log", ready=admin.answers):
        admin.post("auth/", PROVIDER_ADMIN)
        admin.post("mod/user/", user_module(people))
        admin.post("mod/plugin/", plugin(issuer, openssl("genrsa", "2048")))
        for client in clients:
            admin.post("client/", client)
        yield issuer
