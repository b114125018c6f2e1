"""A daemon that has lost its database, and a provider that still has its machines."""

from collections.abc import Callable
from typing import Any

import pytest

from prism.daemon.app import App
from prism.kit.tables import metadata
from tests.conftest import Http, MakeDaemon


@pytest.fixture
def start_on_empty_database(make_daemon: MakeDaemon) -> Callable[..., App]:
    """Starts a daemon on the same database, after all rows were deleted."""

    def start(daemon: App, **settings: Any) -> App:
        with daemon.db.writer.begin() as sql:
            for table in reversed(metadata.sorted_tables):
                sql.execute(table.delete())
        return make_daemon(**settings)

    return start


class Operator:
    """Sends requests of an operator to one daemon."""

    def __init__(self, daemon: App) -> None:
        self.daemon, self.http = daemon, Http(daemon.app)

    def get(self, path: str) -> Any:
        answer = self.http("GET", f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, status: int | None = None, **body: Any) -> Any:
        answer = self.http("POST", f"/api/v1/{path}", json=body)
        assert answer.status_code == (status or answer.status_code), answer.text
        return answer.json()

    def orphans(self) -> Any:
        return self.get("orphans")["orphans"]

    def recover(self, **body: Any) -> Any:
        return self.post("recover", 200, **body)

    def states(self) -> dict[str, str]:
        return {workspace["name"]: workspace["state"] for workspace in self.get("instances")}


@pytest.fixture
def operator_type() -> type[Operator]:
    return Operator
