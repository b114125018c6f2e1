"""Only `agent/system/safe_paths.py` resolves paths below a folder that a workspace can write.

The check reads the code of the agent and of the local provider. The root of a tree (`home`,
`venv`, `data`) may be named, because no workspace can write the folder that contains it. A path
made from a root by `/`, by `os.path.join` or in a text may not be passed to the file system, and
no call may walk through a whole tree.
"""

import ast
from collections.abc import Iterable
from typing import Any

import pytest

from tests.project.tree import FILES, PACKAGE, refuse, short

CHECKED = [file for file in FILES if {"agent", "local"} & {*file.relative_to(PACKAGE).parts[:-1]}]
CHECKED = [file for file in CHECKED if file != PACKAGE / "agent" / "system" / "safe_paths.py"]
ROOTS = {"home", "venv", "data"}
ROOT, BELOW = 1, 2
METHODS = {
    *("chmod", "exists", "expanduser", "glob", "hardlink_to", "is_dir", "is_file", "is_symlink"),
    *("iterdir", "lchmod", "lstat", "mkdir", "open", "owner", "read_bytes", "read_text"),
    *("readlink", "rename", "replace", "resolve", "rglob", "rmdir", "samefile", "stat"),
    *("symlink_to", "touch", "unlink", "walk", "write_bytes", "write_text"),
}
WHOLE = {"rglob", "glob", "walk", "iterdir", "fwalk", "scandir"}
WORDS = {"fspath", "fsencode", "basename", "dirname", "normpath", "split", "isabs", "relpath"}
MODULES = {"os", "os.path", "shutil", "glob"}


class PathReader(ast.NodeVisitor):
    """Which names of a module are roots or paths below a root, as far as its text shows."""

    def __init__(self, text):
        tree, self.scope = ast.parse(text), ""
        self.known: dict[str, int] = {}
        self.wrong: list[Any] = []
        self.defined = {
            node.name: node for node in ast.walk(tree) if type(node) is ast.FunctionDef
        }
        before = None
        while before != self.known:
            before, self.wrong = dict(self.known), []
            self.visit(tree)

    def level(self, node):
        """Whether an expression is a root, or below one."""
        if isinstance(node, ast.Attribute):
            return ROOT if node.attr in ROOTS else self.known.get(f".{node.attr}", 0)
        if isinstance(node, ast.Name):
            return self.known.get(f"{self.scope}:{node.id}", 0)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if self.level(node.left):
                return BELOW
            return ROOT if constant(node.right) in ROOTS else 0
        if isinstance(node, ast.JoinedStr):
            inside = [
                self.level(value.value)
                for value in node.values
                if type(value) is ast.FormattedValue
            ]
            more = any(str(constant(value)).startswith("/") for value in node.values)
            return max(inside, default=0) and (BELOW if more else max(inside))
        if isinstance(node, ast.Call):
            within = max((self.level(argument) for argument in node.args), default=0)
            joined = ast.unparse(node.func) == "os.path.join"
            word = ast.unparse(node.func) in {"str", "Path", "os.fspath", "os.fsencode"}
            return (BELOW if joined else within if word else 0) if within else 0
        return 0

    def learn(self, name, level):
        self.known[name] = max(self.known.get(name, 0), level)

    def visit_FunctionDef(self, node):
        outer, self.scope = self.scope, node.name
        self.generic_visit(node)
        self.scope = outer

    def visit_Assign(self, node):
        for target in node.targets:
            pairs: Iterable[tuple[ast.expr, ast.expr]] = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=False)
            for name, value in pairs:
                if isinstance(name, ast.Name):
                    self.learn(f"{self.scope}:{name.id}", self.level(value))
                elif isinstance(name, ast.Attribute):
                    self.learn(f".{name.attr}", self.level(value))
        self.generic_visit(node)

    def visit_NamedExpr(self, node):
        self.learn(f"{self.scope}:{node.target.id}", self.level(node.value))
        self.generic_visit(node)

    def visit_Call(self, node):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if own := self.defined.get(called):
            names = [
                argument.arg for argument in own.args.args if argument.arg not in {"self", "cls"}
            ]
            for name, value in zip(names, node.args, strict=False):
                self.learn(f"{called}:{name}", self.level(value))
        if self.bad(node):
            self.wrong.append(node)
        self.generic_visit(node)

    def bad(self, call):
        """Whether a call lets the file system resolve a path that a workspace can change."""
        name = ast.unparse(call.func)
        module, _, function = name.rpartition(".")
        if name == "open" or (module in MODULES and function not in WORDS | {"join"}):
            highest = max((self.level(argument) for argument in call.args), default=0)
            whole = module == "shutil" or function in WHOLE
            return highest == BELOW or (highest == ROOT and whole)
        if isinstance(call.func, ast.Attribute) and function in METHODS:
            level = self.level(call.func.value)
            return level == BELOW or (level == ROOT and function in WHOLE)
        return False


def constant(node):
    return node.value if isinstance(node, ast.Constant) else None


@pytest.mark.parametrize("file", CHECKED, ids=short)
def test_only_safe_paths_resolves_paths_that_a_workspace_can_write(file):
    wrong = PathReader(file.read_text()).wrong
    refuse(
        (f"{short(file)}:{node.lineno}: {ast.unparse(node)}" for node in wrong),
        "A workspace can change this path while it is resolved; use prism.agent.system.safe_paths",
    )


# A file that is sent alone to a server, and runs there as its login once no workspace lives.
# `rmtree` then follows no link, since it opens each folder below the one before.
OTHER_USES = {"src/prism/agent/lab/remove.py": {"rmtree"}}


@pytest.mark.parametrize("file", CHECKED, ids=short)
def test_shutil_is_used_only_for_disk_usage_and_programs(file):
    harmless = {"disk_usage", "which"} | OTHER_USES.get(short(file), set())
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "shutil":
            assert node.attr in harmless, f"line {node.lineno}"
        assert not (isinstance(node, ast.ImportFrom) and node.module == "shutil")


@pytest.mark.parametrize(
    "line",
    [
        "(self._folder.home / '.profile').write_text('x')",
        "place = folder.home / 'volumes'\nplace.mkdir(exist_ok=True)",
        "self._place = folder.home / 'volumes'\nfor it in os.listdir(self._place):\n    pass",
        "data = root / id / 'data'\nlink = data / 'volumes' / name\nlink.unlink()",
        "os.stat(home / path)\nhome = folder.home",
        "def look(where):\n    return open(where)\nlook(f'{machine.home}/file')",
        "shutil.rmtree(draft / 'data')",
        "os.walk(str(draft / 'data'))",
        "os.chmod(os.path.join(self.home, name), 0o700)",
    ],
)
def test_check_finds_unsafe_paths(line):
    assert PathReader(line).wrong


@pytest.mark.parametrize(
    "line",
    ["(root / id / 'data').mkdir()", "Directory.at(folder.home)", "run([f'{venv}/bin/python'])"],
)
def test_check_allows_the_name_of_a_root(line):
    assert not PathReader(line).wrong
