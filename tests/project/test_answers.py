"""The command line reads answers by their keys, which mypy does not check."""

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec.inspect as types
import pytest

from prism.client.transport.decoding import _load_type
from prism.daemon.aws import AwsAccess, AwsLeftover, AwsLoginAnswer, AwsSetupAnswer, AwsSetupText
from prism.storage.model import EbsVolume, EfsVolume
from tests.project.test_rules import CLI, called_methods
from tests.project.tree import FILES, PACKAGE, parsed, short

WORD = re.compile(r"[a-z]\w*")
# Methods whose answers a file gets as an argument, or calls by another name.
HANDED = {
    "cli/people/audit.py": {"Audit.entries"},
    "cli/workspace/connect.py": {"Workspaces.connect"},
    "cli/workspace/files.py": {"Files.upload"},
    "cli/workspace/launch.py": {"Workspaces.get", "Workspaces.connect"},
    "cli/output/progress.py": {"Workspaces.get"},
    "cli/workspace/quickstart.py": {"Workspaces.connect"},
    "cli/workspace/ssh.py": {"Workspaces.connect"},
    "cli/workspace/standstill.py": {"Workspaces.get"},
    "cli/storage/storage_wait.py": {"Volumes.get", "Snapshots.get"},
    "cli/workspace/workspaces.py": {"Workspaces.start"},
}
# Keys of dictionaries that are not answers.
OWN = {
    "cli/aws.py": {"why"},  # a label
    "cli/checks/aws.py": {"aws_connectivity"},  # of the status, which `CheckContext` has requested
    "cli/people/classes.py": {"file", "sha256"},  # of what was collected
    "cli/completion.py": {"complete", "workspaces"},
    "cli/workspace/connect.py": {"service"},  # of a port
    "cli/installation/daemon.py": {"pid", "url"},
    "cli/workspace/launch.py": {"type"},  # of a template's parameter
    "cli/people/login.py": {"current"},  # of the stored logins
    "cli/workspace/new_template.py": {"path"},
    "cli/people/sessions.py": {"daemon"},  # of a stored login
    "cli/installation/uninstall.py": {"phase"},
    "cli/workspace/workspaces.py": {"terminate"},
}
# Methods of the client that return no struct, or one of several.
PLAIN = {
    "Daemon.aws": AwsAccess,
    "Daemon.aws_leftovers": AwsLeftover,
    "Daemon.aws_login": AwsLoginAnswer,
    "Daemon.aws_policy": dict,
    "Daemon.aws_setup": AwsSetupAnswer,
    "Daemon.aws_setup_text": AwsSetupText,
}
NAMES = {
    "Any": Any,
    "Iterator": Iterator,
    "Volume": tuple[EbsVolume, EfsVolume],
    "builtins": builtins,
}
MODULES = {
    node.name: importlib.import_module(f"prism.client.{file.stem}")
    for file in FILES
    if file.parent == PACKAGE / "client"
    for node in parsed(file).body
    if isinstance(node, ast.ClassDef)
}


def of_package(file):
    return short(file).removeprefix("src/prism/")


ASKING = [file for file in CLI if any(called_methods(file)) or of_package(file) in HANDED]


@pytest.mark.parametrize("file", ASKING, ids=of_package)
def test_keys_that_the_command_line_reads_are_fields_of_answers(file):
    name = of_package(file)
    methods = {*called_methods(file), *HANDED.get(name, ())}
    known = {field for method in methods for field in fields(answer_of(method))}
    assert keys(file) - known == OWN.get(name, set())


def keys(file):
    """The keys that are read as `answer["name"]` or `answer.get("name")`."""
    for_read = {key_of(node) for node in ast.walk(parsed(file))}
    return {key for key in for_read if isinstance(key, str) and WORD.fullmatch(key)}


def key_of(node):
    """The constant that a node reads with, if it does."""
    if isinstance(node, ast.Subscript):
        return getattr(node.slice, "value", None)
    gets = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get"
    return getattr(node.args[0], "value", None) if gets and node.args else None


def answer_of(method):
    """The type that a method of the client returns."""
    if method in PLAIN:
        return PLAIN[method]
    noun, name = method.split(".")
    answer_type = getattr(getattr(MODULES[noun], noun), name).__annotations__["return"]
    kind = eval(
        answer_type.removeprefix("Iterator").removeprefix("Generator"),
        {**vars(MODULES[noun]), **NAMES},
    )
    return _load_type(kind[0] if isinstance(kind, list) else kind)


def fields(kind):
    """The names of the fields of a type and of all structs in it."""
    seen, left = {}, [types.type_info(kind)]
    while left:
        node = left.pop()
        if isinstance(node, types.StructType) and node.cls not in seen:
            seen[node.cls] = {field.encode_name for field in node.fields}
            left += [field.type for field in node.fields]
        left += [getattr(node, of) for of in ("item_type", "value_type") if hasattr(node, of)]
        left += [item for of in ("types", "item_types") for item in getattr(node, of, ())]
    return set().union(*seen.values())
