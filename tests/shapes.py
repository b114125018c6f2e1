"""The examples of the reference, and whether an answer has their fields and types."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

EXAMPLES = {
    f"{entry['method']} {entry['path'].removeprefix('/api/v1/')}": entry
    for entry in json.loads((Path(__file__).parent / "spec" / "examples.json").read_text())
}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
# Maps whose keys are data: a workspace's labels, a template's services.
OPEN = {"$.tags", "$.services"}


def assert_same_shape(example: object, answer: object, where: str = "$") -> None:
    """Requires each field of the example, with its type; a value may be null."""
    if isinstance(example, dict) and isinstance(answer, dict):
        for name, value in example.items():
            if where not in OPEN:
                assert name in answer, f"{where}.{name} is missing"
            if name in answer:
                assert_same_shape(value, answer[name], f"{where}.{name}")
    elif isinstance(example, list):
        assert isinstance(answer, list), f"{where}: {answer!r}"
        for item in answer:
            assert_same_shape(example[0], item, where)
    elif answer is not None:
        assert type(answer) is type(example), f"{where}: {answer!r}"
        if isinstance(example, str) and ISO.fullmatch(example):
            assert ISO.fullmatch(str(answer)), f"{where}: {answer}"


def shaped_like(route: str, response: httpx.Response, status: int = 200) -> Any:
    """The answer to a request, with the shape of the reference's answer to `METHOD path`."""
    assert response.status_code == status, response.text
    assert_same_shape(EXAMPLES[route]["response"], response.json())
    return response.json()


def failed(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of a failed request, which must have the envelope of all errors."""
    fault: dict[str, Any] = response.json()["error"]
    assert (response.status_code, fault["code"]) == (status, code), response.text
    assert {"code", "message", "details", "remediation", "timestamp"} <= set(fault)
    assert ISO.fullmatch(fault["timestamp"]), fault
    assert response.headers["content-type"] == "application/json"
    return fault
