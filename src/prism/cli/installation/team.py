"""`prism team setup` and `prism team check`: a daemon for several people, reached from outside.

Every question is also an option. What is written already stays as it is.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from prism.annotations import ArgumentParser, Namespace
from prism.cli.installation.daemon_start import daemon_command, is_listening, start_daemon
from prism.cli.installation.init import Wizard, restart_daemon
from prism.cli.output.terminal import clean, say, show_json, suggest
from prism.cli.parser import no_arguments
from prism.client.transport.address import DaemonAddress
from prism.errors import Conflict, Invalid, Problem, Unavailable

TLS_PROGRAMS = ["caddy", "nginx", "none"]
PROXY_FOLDER = "proxy"
PROXY_PLACES = {
    "caddy": ("Caddyfile", "/etc/caddy/Caddyfile", "systemctl reload caddy"),
    "nginx": ("nginx.conf", "/etc/nginx/sites-enabled/prism.conf", "systemctl reload nginx"),
}


class NotReached(Unavailable, code="ADDRESS_NOT_REACHED"):
    """People do not reach this daemon at its public address."""


def _setup(args: Namespace) -> None:
    wizard = Wizard(asks=sys.stdin.isatty() and not args.yes)
    address = DaemonAddress.read()
    if address.url:
        raise Conflict(
            "The daemon is set up on its own computer",
            details=f"PRISM_URL is {clean(address.url)}",
            remediation="Unset PRISM_URL there, then `prism team setup`",
        )
    answers = _answers(args, wizard)
    settings = _settings(answers)
    changes, proxy_file = _write(address, answers, settings, wizard)
    notes = _start_at_boot(address) if args.boot else []
    if not is_listening(address):
        start_daemon(DaemonAddress.read())
    elif changes:
        restart_daemon(address)
    if args.json:
        file = str(proxy_file) if proxy_file else None
        return show_json({"settings": changes, "proxy": file, "notes": notes})
    for note in notes:
        say(f"note: {note}")
    if proxy_file is not None:
        _, place, reload = PROXY_PLACES[answers["proxy"]]
        print(f"sudo cp {proxy_file} {place} && sudo {reload}")
    return suggest("Then check it from outside: `prism team check`")


def _answers(args: Namespace, wizard: Wizard) -> dict[str, str]:
    """What the options say, else the settings, else the person."""
    from prism.home import environment  # noqa: PLC0415  cold start

    known = environment(os.environ)
    usual_proxy = next((name for name in TLS_PROGRAMS if shutil.which(name)), "none")
    usual_proxy = "none" if known.get("PRISM_TLS_CERT") else usual_proxy
    url = args.address or known.get("PRISM_PUBLIC_URL", "")
    answers = {
        "url": (
            args.address or wizard.ask("The daemon's address, as https://prism.example.org", url)
        ),
        "apps_domain": args.apps_domain
        or wizard.ask(
            "The domain for apps, as apps.example.org (none: no apps in the browser)",
            known.get("PRISM_APPS_DOMAIN", ""),
        ),
        "proxy": args.proxy or wizard.chosen("What speaks TLS", TLS_PROGRAMS, usual_proxy),
        "tls_cert": args.tls_cert or known.get("PRISM_TLS_CERT", ""),
        "tls_key": args.tls_key or known.get("PRISM_TLS_KEY", ""),
        "port": known.get("PRISM_PORT") or "8947",
    }
    needs_files = answers["proxy"] != "caddy" or answers["apps_domain"]
    if needs_files and not (answers["tls_cert"] and answers["tls_key"]):
        answers["tls_cert"] = wizard.ask("The file of the certificate", answers["tls_cert"])
        answers["tls_key"] = wizard.ask("The file of its key", answers["tls_key"])
    if not answers["url"].startswith("https://"):
        raise Invalid(
            "The address must begin with https://",
            details=f"it is {clean(answers['url']) or 'not given'}",
            remediation="`prism team setup --address https://prism.example.org`",
        )
    if needs_files and not (answers["tls_cert"] and answers["tls_key"]):
        raise Invalid(
            "The files of the certificate and its key are not given",
            details="only Caddy gets one by itself, and none for all names of a domain",
            remediation="`prism team setup --tls-cert FILE --tls-key FILE`",
        )
    return {**answers, "url": answers["url"].rstrip("/")}


def _settings(answers: dict[str, str]) -> dict[str, str]:
    """The settings of the daemon."""
    settings = {
        "PRISM_AUTH": "tokens",
        "PRISM_PUBLIC_URL": answers["url"],
        "PRISM_PORT": answers["port"],
    }
    if answers["apps_domain"]:
        settings["PRISM_APPS_DOMAIN"] = answers["apps_domain"]
    if answers["proxy"] == "none":
        own = {"PRISM_TLS_CERT": answers["tls_cert"], "PRISM_TLS_KEY": answers["tls_key"]}
        return settings | own | {"PRISM_HOST": "::"}
    return settings | {"PRISM_TRUSTED_PROXIES": "127.0.0.1,::1"}


def _write(
    address: DaemonAddress, answers: dict[str, str], settings: dict[str, str], wizard: Wizard
) -> tuple[dict[str, str], Path | None]:
    """Write what differs; the changed settings, and the file for the proxy."""
    from prism.cli.installation.proxy_files import ProxiedDaemon, caddyfile, nginx_conf  # noqa: PLC0415  cold start
    from prism.env_file import read_env_file, update_env_file  # noqa: PLC0415  cold start
    from prism.settings import Settings  # noqa: PLC0415  cold start: it brings msgspec

    before = read_env_file(address.home)
    Settings.read({**before, **settings})  # raises if the daemon would refuse a value
    changes = {name: value for name, value in settings.items() if before.get(name) != value}
    for name, value in changes.items():
        say(f"{name}={value}")
    if changes and not wizard.agrees(f"Keep this in {address.home}/env?", usual=True):
        raise Conflict("Nothing was changed", remediation="Begin again: `prism team setup`")
    if changes:
        update_env_file(address.home, changes)
    if answers["proxy"] == "none":
        return changes, None
    proxied = ProxiedDaemon(
        answers["url"],
        answers["apps_domain"],
        int(answers["port"]),
        answers["tls_cert"],
        answers["tls_key"],
    )
    text = (caddyfile if answers["proxy"] == "caddy" else nginx_conf)(proxied)
    file = Path(address.home, PROXY_FOLDER, PROXY_PLACES[answers["proxy"]][0])
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return changes, file


def _start_at_boot(address: DaemonAddress) -> list[str]:
    """Make the entry that starts the daemon at boot, unless there is one; what is missing."""
    from prism.cli.installation.boot_service import (  # noqa: PLC0415  cold start
        boot_service,
        installed_services,
        write_script,
    )

    try:
        if any(installed_services(address.home)):
            return []
        service = boot_service(address.home)
        write_script(service, daemon_command(), address.log)
        return service.install()
    except Problem as problem:
        return [f"it does not start at boot: {problem.message_with_remediation}"]


def _check(args: Namespace) -> None:
    from msgspec.structs import replace  # noqa: PLC0415  cold start

    from prism.cli.checks import outside  # noqa: PLC0415  cold start
    from prism.cli.installation.doctor import as_json, show  # noqa: PLC0415  cold start
    from prism.home import environment  # noqa: PLC0415  cold start

    known = environment(os.environ)
    url = known.get("PRISM_PUBLIC_URL", "").rstrip("/")
    if not url.startswith("https://"):
        raise Conflict(
            "The daemon has no public address",
            details="PRISM_PUBLIC_URL is not set to an address with https://",
            remediation="`prism team setup`",
        )
    domain = known.get("PRISM_APPS_DOMAIN", "")
    findings = [
        replace(finding, check="address")
        for finding in outside.findings_at(url, domain, outside.now())
    ]
    if args.json:
        show_json([as_json(finding) for finding in findings])
    for finding in findings if not args.json else ():
        show(finding)
    if faults := [finding for finding in findings if finding.level == "broken"]:
        raise NotReached(details=faults[0].message, remediation=faults[0].fix)


def _setup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--address", metavar="URL", help="the daemon's address, with https://")
    parser.add_argument("--apps-domain", metavar="DOMAIN", help="for apps, as apps.example.org")
    parser.add_argument("--proxy", choices=TLS_PROGRAMS, help="what speaks TLS; none: the daemon")
    parser.add_argument("--tls-cert", metavar="FILE", help="the certificate, in PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="its key, in PEM")
    parser.add_argument("--no-boot", dest="boot", action="store_false", help="no start at boot")


VERBS = {"setup": (_setup_arguments, _setup), "check": (no_arguments, _check)}
