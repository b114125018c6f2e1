"""The daemon's environment for networks: certificates, proxies and package indexes.

What the daemon starts inherits it: uv, supervisors, and through them workspaces. uv and botocore
have certificates of their own, and uv does not read the settings of pip.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prism.certificates import python_trusts, system_bundle
from prism.home import NETWORK_VARIABLES, environment

# The keys of pip's files, each with uv's variable for it; pip's own variables are `PIP_KEY`.
UV_VARIABLES = {
    "index_url": "UV_DEFAULT_INDEX",
    "extra_index_url": "UV_INDEX",
    "find_links": "UV_FIND_LINKS",
    "no_index": "UV_OFFLINE",  # uv has no variable for `--no-index`
}
OF_INDEXES = {*UV_VARIABLES.values(), "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_CONFIG_FILE"}
UV_FILES = ("/etc/uv/uv.toml", "~/.config/uv/uv.toml")
PIP_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")  # the last wins
PIP_SECTIONS = ("global", "install")
TRUE = {"1", "true", "yes", "on"}


def prepare_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What this process's environment lacks: lines of the home's file, and the defaults."""
    known = environment(environ)
    bundle = system_bundle()
    lines = {
        name: known[name] for name in NETWORK_VARIABLES if known.get(name) != environ.get(name)
    }
    return {
        **lines,
        **default_certificates(known, bundle, is_trusted=bundle is None or python_trusts(bundle)),
        **({} if _has_uv_settings(known) else uv_indexes(pip_settings(known))),
    }


def default_certificates(
    environ: Mapping[str, str], bundle: str | None, *, is_trusted: bool
) -> dict[str, str]:
    """The variables with which programs trust what the system trusts, or `SSL_CERT_FILE`.

    `is_trusted` is whether Python does so by itself.
    """
    added: dict[str, str] = {}
    own = environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR")
    if bundle and not own and not is_trusted:
        added["SSL_CERT_FILE"] = bundle
    if bundle and not environ.keys() & {"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"}:
        added["UV_SYSTEM_CERTS"] = "1"
    # botocore and `requests` read it; AWS_CA_BUNDLE, or a profile's `ca_bundle`, comes before it.
    if (file := environ.get("SSL_CERT_FILE") or bundle) and not environ.get("REQUESTS_CA_BUNDLE"):
        added["REQUESTS_CA_BUNDLE"] = file
    return added


def uv_indexes(pip: Mapping[str, str]) -> dict[str, str]:
    """The variables of uv for pip's settings."""
    added = {}
    for key, variable in UV_VARIABLES.items():
        value = " ".join(pip.get(key, "").split())
        if key == "no_index":
            is_local = "://" not in pip.get("find_links", "")
            value = "1" if value.lower() in TRUE and is_local else ""
        elif key == "find_links":  # uv fails without the folder
            places = map(os.path.expanduser, value.split())
            value = ",".join(place for place in places if "://" in place or os.path.isdir(place))
        if value:
            added[variable] = value
    return added


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Pip's settings about indexes, from its files and its variables, which come first."""
    settings: dict[str, str] = {}
    for path in _pip_files(environ):
        settings |= _read_pip_file(path)
    return settings | {
        key: value for key in UV_VARIABLES if (value := environ.get(f"PIP_{key.upper()}"))
    }


def _has_uv_settings(environ: Mapping[str, str]) -> bool:
    """Whether somebody has told uv its indexes; then pip's settings do not count."""
    files = (os.path.expanduser(path) for path in UV_FILES)
    return any(environ.get(name) for name in OF_INDEXES) or any(map(os.path.exists, files))


def _pip_files(environ: Mapping[str, str]) -> Iterator[str]:
    if (named := environ.get("PIP_CONFIG_FILE")) != os.devnull:  # which means: no file at all
        yield from filter(os.path.exists, map(os.path.expanduser, PIP_FILES))
        if named and os.path.exists(named):
            yield named


def _read_pip_file(path: str) -> dict[str, str]:
    import configparser  # noqa: PLC0415  cold start: most computers have no such file

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(Path(path).read_text("utf-8"))
    except (OSError, UnicodeError, configparser.Error):  # pip itself says what is wrong with it
        return {}
    return {
        name: value
        for section in PIP_SECTIONS
        if parser.has_section(section)
        for key, value in parser.items(section)
        if (name := key.replace("-", "_")) in UV_VARIABLES
    }
