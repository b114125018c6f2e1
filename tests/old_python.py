"""A Python 3.9 of this computer, the oldest that the agent runs on."""

import os
import shutil
import subprocess
from functools import cache

TELL = "import sys; print(sys.executable, end='')"


@cache
def python_3_9() -> str | None:
    """Its path, if there is one."""
    if (name := shutil.which("python3.9")) is None:
        return None
    for version in ("", *_versions_of_pyenv()):
        chosen = os.environ | ({"PYENV_VERSION": version} if version else {})
        answer = subprocess.run([name, "-c", TELL], env=chosen, capture_output=True, text=True)
        if answer.returncode == 0:
            return answer.stdout
    return None


def _versions_of_pyenv() -> list[str]:
    if shutil.which("pyenv") is None:
        return []
    versions = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True)
    return [word for word in versions.stdout.split() if word.startswith("3.9.")]
