"""Takes the screenshots of the documentation: a real daemon, real workspaces, a real browser.

    .venv/bin/python -m scripts.screenshots

It needs the built GUI (`make gui`) and Chromium, and writes PNG files into docs/screenshots.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
TARGET = ROOT / "docs" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-headless-shell") or "chromium"
SIZE: ViewportSize = {"width": 1280, "height": 800}
# What the pictures show: each line is a command of `prism`.
PREPARED: tuple[tuple[str, ...], ...] = (
    ("project", "create", "reef", "--budget", "200", "--description", "Coral temperatures"),
    ("project", "create", "thesis", "--budget", "50"),
    ("launch", "jupyterlab", "analysis", "--project", "reef", "--ttl", "8h"),
    ("launch", "plain-shell", "align", "--project", "reef", "--size", "L", "--ttl", "2h"),
    ("launch", "plain-shell", "thesis", "--project", "thesis"),
    ("hibernate", "thesis"),
    ("volume", "create", "sequences", "--size", "20", "--project", "reef"),
    ("snapshot", "create", "before", "--workspace", "align"),
)
PAGES = {
    "home": "/",
    "workspaces": "/workspaces",
    "project": "/projects/reef",
}


def main() -> int:
    """Prepare a home, take a picture of each page in the light theme, and remove the home."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {
            "PRISM_HOME": f"{folder}/home",
            "PRISM_PORT": "0",
            "PRISM_USER": "ada@example.org",
            "PRISM_LOCAL_PRICES": "aws",
        }
        try:
            for words in PREPARED:
                subprocess.run([str(BIN / "prism"), *words], env=environ, check=True)
            about = json.loads((Path(folder) / "home" / "daemon.lock").read_text())
            take(about["gui"])
        finally:
            uninstall = [str(BIN / "prism"), "uninstall", "--data", "delete", "--yes"]
            subprocess.run(uninstall, env=environ, check=False)
    return 0


def take(base: str) -> None:
    """Write a picture of each page of the GUI at this address."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport=SIZE, reduced_motion="reduce").new_page()
        for name, path in PAGES.items():
            show(page, f"{base}{path}")
            page.screenshot(path=TARGET / f"{name}.png")
        browser.close()


def show(page: Page, url: str) -> None:
    """Go to a page and wait until its parts are loaded and drawn."""
    page.goto(url)
    page.get_by_role("heading", level=1).first.wait_for()
    page.wait_for_timeout(3000)


if __name__ == "__main__":
    sys.exit(main())
