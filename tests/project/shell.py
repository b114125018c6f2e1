"""A shell for the commands of the documentation."""

import re
import subprocess
from pathlib import Path

from tests.daemons import BIN
from tests.project.home import Home


class Shell:
    """Runs the lines of a page in one home."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.path = f"{BIN}:{home.environ['PATH']}"

    def run(self, line: str) -> tuple[int, str]:
        """The exit code and the output."""
        environ = self.home.environ | {"PATH": self.path, "HOME": str(self.folder)}
        environ["BROWSER"] = "true"  # of `prism open`
        done = subprocess.run(
            ["bash", "-c", self.with_ids(line)],
            cwd=self.folder,
            env=environ,
            input="",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def with_ids(self, line: str) -> str:
        """The line, with ids of this home in the place of the ids of the examples."""
        if "alloc_" not in line:
            return line
        listed = self.home.cli_json("allocation", "list", "nsf")["allocations"]
        parts = [entry["id"] for entry in listed]
        for number, id in enumerate(parts, 1):
            line = re.sub(rf"\balloc_{number}\b", id, line)
        return line
