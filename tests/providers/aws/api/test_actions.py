"""ACTIONS lists exactly what the code calls; `Cloud` refuses an action that is missing."""

import ast
from pathlib import Path

import botocore.session
import pytest

import prism.providers.aws
from prism.providers.aws.api.actions import ACTIONS, PREFIXES, reads

FOLDER = Path(next(iter(prism.providers.aws.__path__)))


def words():
    """Every string constant in the code of the provider."""
    for file in FOLDER.rglob("*.py"):
        if file.name != "actions.py":
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_listed_action_occurs_in_the_code():
    written = set(words())
    assert sorted(action for action in ACTIONS if action.partition(":")[2] not in written) == []


def test_every_listed_action_exists_in_boto3():
    session = botocore.session.get_session()
    for service in {action.partition(":")[0] for action in ACTIONS}:
        known = session.get_service_model(service).operation_names
        ours = {action.partition(":")[2] for action in ACTIONS if action.startswith(f"{service}:")}
        assert ours <= set(known)


def test_policy_prefix_of_a_service_is_its_signing_name():
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
def test_reading_actions_are_recognized(action, only_reads):
    assert reads(action) is only_reads
