"""The list of actions is what the code calls: not shorter, which `Cloud` sees to, nor longer."""

import ast
from pathlib import Path

import botocore.session
import pytest

import prism.providers.aws
from prism.providers.aws.api.actions import ACTIONS, PREFIXES, reads

FOLDER = Path(next(iter(prism.providers.aws.__path__)))


def words():
    """Every text that stands alone in the code of the provider."""
    for file in FOLDER.rglob("*.py"):
        if file.name != "actions.py":
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_action_is_called_somewhere():
    written = set(words())
    assert sorted(action for action in ACTIONS if action.partition(":")[2] not in written) == []


def test_every_action_is_one_of_boto3s():
    session = botocore.session.get_session()
    for service in {action.partition(":")[0] for action in ACTIONS}:
        known = session.get_service_model(service).operation_names
        ours = {action.partition(":")[2] for action in ACTIONS if action.startswith(f"{service}:")}
        assert ours <= set(known)


def test_policies_have_a_prefix_for_services_that_they_call_otherwise():
    session = botocore.session.get_session()
    for service in {action.partition(":")[0] for action in ACTIONS}:
        signed = session.get_service_model(service).signing_name
        assert PREFIXES.get(service, service) == signed


@pytest.mark.parametrize(
    ("action", "only_reads"),
    [
        ("DescribeInstances", True),
        ("GetConsoleOutput", True),
        ("RunInstances", False),
        ("DeleteTags", False),
    ],
)
def test_what_only_reads_is_known(action, only_reads):
    assert reads(action) is only_reads
