"""Template folders in a temporary folder, and templates over HTTP."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, Self

import pytest
from litestar.di import Provide
from litestar.testing import TestClient

from prism.catalog.plan import machine_type
from prism.errors import Problem
from prism.kit.clock import WallClock
from prism.kit.http import Api, problems
from prism.templates import api
from prism.templates.model import TemplateValidation
from prism.templates.service import TemplateService
from prism.templates.store import TemplateFolder, template_folders

EXAMPLES = json.loads((Path(__file__).parents[1] / "spec" / "examples.json").read_text())


class Folder:
    """The templates of a user."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> Self:
        self.path.mkdir(exist_ok=True)
        (self.path / name).write_text(dedent(text))
        return self


@pytest.fixture
def own_folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "templates")


@pytest.fixture
def service(own_folder: Folder) -> TemplateService:
    """Only the templates of the user; no program is on PATH."""
    return TemplateService(
        [TemplateFolder(own_folder.path)],
        machines=machine_type,
        has=lambda program: program == "there",
    )


@pytest.fixture
def validate_text(
    own_folder: Folder, service: TemplateService
) -> Callable[..., TemplateValidation]:
    """Writes one template and returns its validation."""

    def judge(text: str, file: str = "t.yml") -> TemplateValidation:
        own_folder.write(file, text)
        [result] = [r for r in service.validate().validation_results if r.file.endswith(file)]
        return result

    return judge


@pytest.fixture
def example() -> Callable[[str], Any]:
    """The answer of the reference for a path."""

    def find(path: str) -> Any:
        [example] = [e["response"] for e in EXAMPLES if (e["method"], e["path"]) == ("GET", path)]
        return example

    return find


@pytest.fixture
def http(own_folder: Folder) -> Iterator[TestClient[Api]]:
    """The routes, with the built-in templates and those of the user."""
    service = TemplateService(template_folders(own_folder.path), machines=machine_type)
    handlers = problems(WallClock())
    app = Api(
        [api.router],
        dependencies={"templates": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers={**handlers, Problem: handlers[Exception]},
        openapi_config=None,
    )
    with TestClient(app) as client:
        yield client


def places(result: TemplateValidation) -> list[str]:
    """The places of the issues: `line: field`."""
    return [issue.where.split(".yml:")[1] for issue in result.issues]
