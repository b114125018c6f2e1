"""The API's description, as `make openapi` writes it: the same on every machine."""

import asyncio
import json
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from prism.daemon.app import build
from prism.kit.gate import AsgiApp
from prism.settings import Settings


@cache
def described() -> str:
    """The answer to `/api/v1/openapi.json`, sorted and indented for diffs."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = build(Settings(home=folder, user="ada"))
        try:
            answer = asyncio.run(_ask(daemon.app))
        finally:
            daemon.close()
    return json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


async def _ask(app: AsgiApp) -> Any:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8947") as http:
        answer = await http.get("/api/v1/openapi.json")
    return answer.raise_for_status().json()


WRITTEN = Path(__file__).parents[2] / "docs" / "openapi.json"

if __name__ == "__main__":
    sys.stdout.write(described())
