"""Builds the web GUI before hatchling builds a wheel, or says that the wheel is without it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MISSING = "This wheel has no web GUI, because it could not be built (see above). All else works."


class WebGui(BuildHookInterface[Any]):
    """Runs `gui.py`, which does nothing if the GUI is up to date."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, except for an editable installation, which finds it when it is built."""
        if version == "editable":
            return
        script = Path(self.root, "scripts", "gui.py")
        # Standard output is the name of the wheel.
        done = subprocess.run([sys.executable, script], stdout=sys.stderr, check=False)
        if done.returncode:
            self.app.display_warning(MISSING)
