"""One object of every kind, and the operations of the OpenAPI description with their paths."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.conftest import ML, Http
from tests.project.openapi import WRITTEN
from tests.shapes import EXAMPLES

PARAMETER = re.compile(r"\{(\w+)\}")
API = json.loads(WRITTEN.read_text())


@dataclass(frozen=True)
class Operation:
    """An operation of the OpenAPI description."""

    method: str
    path: str
    queries: tuple[str, ...]
    body: dict[str, Any] | None  # its properties, by the description

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    def at(self, **words: str) -> str:
        """The path with these parameters; a missing one is `nothing`."""
        return PARAMETER.sub(lambda it: words.get(it[1], "nothing"), self.path)

    def example(self) -> Any:
        """The body of the example in the API reference."""
        route = f"{self.method} {self.path.removeprefix('/api/v1/')}"
        return EXAMPLES.get(route, {}).get("request") or {}


def _operation(path: str, method: str, description: Any) -> Operation:
    queries = (p["name"] for p in description.get("parameters", ()) if p["in"] == "query")
    body = None
    if "requestBody" in description:
        named = description["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        body = API["components"]["schemas"][named.rpartition("/")[2]]["properties"]
    # Other tests are about delayed and endless answers.
    tested = tuple(name for name in queries if name not in {"wait", "follow"})
    return Operation(method.upper(), path, tested, body)


OPERATIONS = sorted(
    (
        _operation(path, method, each_method)
        for path, methods in API["paths"].items()
        for method, each_method in methods.items()
        if not path.endswith(("/events", "/ws", "/shutdown"))
    ),
    key=lambda it: (it.method == "DELETE", it.path.endswith("/terminate"), it.path),
)


def all_but_every(number: int) -> str:
    """A pattern of the paths to leave out, so that every `number`-th path remains."""
    paths = sorted({operation.path for operation in OPERATIONS})
    left_out = (re.escape(path) for index, path in enumerate(paths) if index % number)
    return f"^({'|'.join(left_out)})$"


LISTS = [
    operation for operation in OPERATIONS if operation.method == "GET" and not operation.parameters
]


def populate(http: Http) -> dict[str, Any]:
    """Create one object of every kind; return their names and ids by path parameter."""

    def made(path: str, **body: Any) -> Any:
        answer = http("POST", f"/api/v1/{path}", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    project = made("projects", name="Reef")["id"]
    pool = made(
        "budgets",
        name="Grant",
        total_amount=1000.0,
        start_date="2026-01-01T00:00:00Z",
        period="monthly",
        created_by="ada",
    )["id"]
    part = made(
        "allocations",
        budget_id=pool,
        project_id=project,
        allocated_amount=100.0,
        allocated_by="ada",
    )["id"]
    invitation = made("invitations/send", project_id=project, email="b@example.org")["id"]
    made("instances/launch", name="mine", template=ML, project=project)
    made("storage/volumes/create", name="data", type="efs")
    made("idle/profiles", name="mild", idle_threshold_minutes=30, action="stop")
    return {
        "project_id": project,
        "budget_id": pool,
        "allocation_id": part,
        "invitation_id": invitation,
        "instance": "mine",
        "email": "a@example.org",
        "id": "nothing",
        "service": "console",
    }


def subject_names(things: dict[str, Any], operation: Any) -> dict[str, Any]:
    """The path parameters of an operation."""
    names = {"instances": "mine", "volumes": "data", "idle": "mild", "templates": quote(ML)}
    name = next((name for word, name in names.items() if f"/{word}/" in operation.path), "nothing")
    return {"name": name, **things}
