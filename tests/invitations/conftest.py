from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Http


@pytest.fixture
def project_id(http: Http) -> Any:
    response = http("POST", "/api/v1/projects", json={"name": "Reef"})
    assert response.status_code == 201, response.text
    return response.json()["id"]


@pytest.fixture
def ask(http: Http) -> Callable[..., httpx.Response]:
    """Sends a request to the routes of invitations."""

    def ask(method: str, path: str, **body: Any) -> httpx.Response:
        return http(method, f"/api/v1/invitations/{path}", **({"json": body} if body else {}))

    return ask


@pytest.fixture
def sent_invitation(ask: Callable[..., httpx.Response], project_id: str) -> Any:
    """An invitation that was sent."""
    answer = ask("POST", "send", project_id=project_id, email="Bob@x.org", role="member")
    assert answer.status_code == 201, answer.text
    return answer.json()
