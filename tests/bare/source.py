"""The source folder as an archive."""

import subprocess
from pathlib import Path

from tests.project.tree import ROOT


def pack_source(target: Path, *, with_gui: bool) -> None:
    """Pack the files that git knows, and the web GUI if it is built and wanted."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    tracked = {*subprocess.check_output(listing, cwd=ROOT).decode().split("\0")} - {""}
    gui = [str(path.relative_to(ROOT)) for path in (ROOT / "src/prism/web").rglob("*")]
    gui = gui if with_gui else []
    names = sorted({*filter(lambda name: (ROOT / name).exists(), tracked), *gui})
    tar = ["tar", "--create", "--null", "--no-recursion", "--files-from", "-", "--file"]
    subprocess.run([*tar, str(target)], cwd=ROOT, input="\0".join(names), text=True, check=True)
