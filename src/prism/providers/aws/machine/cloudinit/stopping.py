"""The program by which a machine stops itself: the agent's sources as one text file.

It is part of the user data, so it works before the first login, and it is text, which compresses
well. The agent is never imported here.
"""

import ast
from functools import cache
from pathlib import Path

AGENT_FOLDER = Path(__file__).parents[4] / "agent" / "ec2"
PARTS = ("sigv4", "metadata", "power")  # each needs the ones before it
HEAD = """\
#!/usr/bin/python3 -I
# Stops this machine; made of the agent's own sources.
from __future__ import annotations
"""
MAIN = "\n\nif __name__ == '__main__':\n    sys.exit(0 if PowerControl(Metadata()).off() else 1)\n"


@cache
def stop_program() -> str:
    """The source of the program, which stops the machine on which it runs."""
    return HEAD + "\n".join(map(_bare, PARTS)) + MAIN


def _bare(name: str) -> str:
    """A module's source without docstrings and without imports of the other `PARTS`."""
    module = ast.parse((AGENT_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    module.body = [stmt for stmt in module.body if not _is_own_import(stmt)]
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(module)


def _is_own_import(node: ast.stmt) -> bool:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    return module == "__future__" or module.startswith("prism.")
