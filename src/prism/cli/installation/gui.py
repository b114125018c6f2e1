"""`prism gui`: opens the web GUI in a browser tab or in its own window."""

from __future__ import annotations

from prism.annotations import Namespace
from prism.cli.connection import daemon
from prism.cli.installation.daemon_start import daemon_info
from prism.cli.output.terminal import clean, say, show_json
from prism.cli.parser import argument
from prism.cli.workspace.connect import browser_opens, is_web
from prism.client.errors import DaemonUnreachable
from prism.client.transport.address import DaemonAddress
from prism.errors import NotFound

# The programs of browsers that have an app mode.
APP_MODE = (
    *("chromium", "google-chrome", "google-chrome-stable", "chromium-browser"),
    *("microsoft-edge", "brave-browser", "chrome", "msedge"),
)


def gui_address(address: DaemonAddress) -> str:
    """The URL of the GUI of the daemon at this address."""
    if address.url:
        return f"{address.url}/"
    info = daemon_info(address)
    return f"{info.get('gui') or info.get('url') or address.page}/"


def _gui(args: Namespace) -> None:
    wire = daemon()
    wire.reach(wire.timeout).close()  # starts a daemon if none answers
    url = clean(gui_address(wire.address))
    if not is_web(url):
        raise DaemonUnreachable(f"{url} is not an address for a browser")
    if args.json:
        return show_json({"url": url})
    if args.app:
        _open_window(url)
        return say(f"Opened {url}")
    if browser_opens(url):
        return say(f"Opened {url} in the browser")
    say("No browser here; this is the address:")
    return print(url)


def _open_window(url: str) -> None:
    """Start a browser's app mode; it outlives this command."""
    import shutil  # noqa: PLC0415  cold start: only `--app` needs it
    import subprocess  # noqa: PLC0415  cold start: only `--app` needs it

    program = next(filter(None, map(shutil.which, APP_MODE)), None)
    if program is None:
        raise NotFound(
            "No browser with an app mode is installed",
            details=f"looked for {', '.join(APP_MODE)}",
            remediation="Open it in any browser: `prism gui`",
        )
    null = subprocess.DEVNULL
    words = [program, f"--app={url}"]
    subprocess.Popen(words, stdin=null, stdout=null, stderr=null, start_new_session=True)


_argument = argument("--app", action="store_true", help="a window of its own, without tabs")
VERBS = {"gui": (_argument, _gui)}
