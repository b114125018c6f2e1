"""The agent's sources, as they travel to machines whose own Python may be 3.9.

The agent is never imported here.
"""

import ast
from pathlib import Path

AGENT_FOLDER = Path(__file__).parents[1] / "agent"
PACKAGE = "prism.agent"
LATER = "from __future__ import annotations\n"  # old Pythons lack some names of types


def agent_sources(*entries: str) -> dict[str, str]:
    """The texts of modules of the agent and of all that they import, by their path.

    An entry is a module's name inside the agent.
    """
    modules = _imported_modules(entries)
    packages = {f"{folder}.__init__" for name in modules for folder in _folders(name)}
    files = {"prism/__init__.py": ""}
    for name in ("__init__", *packages, *modules):
        files[f"prism/agent/{_path(name)}"] = _with_lazy_annotations(_source(name))
    return files


def _folders(name: str) -> list[str]:
    words = name.split(".")[:-1]
    return [".".join(words[: n + 1]) for n in range(len(words))]


def _source(name: str) -> str:
    return (AGENT_FOLDER / _path(name)).read_text(encoding="utf-8")


def _path(name: str) -> str:
    return f"{name.replace('.', '/')}.py"


def _imported_modules(entries: tuple[str, ...]) -> list[str]:
    """The agent's modules that these import, directly or not, and these."""
    modules, queue = set[str](), [*entries]
    while queue:
        name = queue.pop()
        if name in modules:
            continue
        modules.add(name)
        for node in ast.walk(ast.parse(_source(name))):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{PACKAGE}."):
                source = f"{node.module}.".removeprefix(f"{PACKAGE}.")
                inside = [f"{source}{alias.name}" for alias in node.names]
                files = [name for name in inside if (AGENT_FOLDER / _path(name)).is_file()]
                queue += files or [source.rstrip(".")]
    return sorted(modules)


def _with_lazy_annotations(text: str) -> str:
    """The source with annotations that are not evaluated: an old Python could not."""
    if LATER in text:
        return text
    doc = ast.parse(text).body[0]
    lines = text.splitlines(keepends=True)
    end = doc.end_lineno or 0
    return "".join([*lines[:end], LATER, *lines[end:]])
