"""The clients that three generators make from `docs/openapi.json` can launch a workspace."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.project.home import Home
from tests.project.tree import ROOT, refuse

UVX = ROOT / ".tools" / "bin" / "uvx"
UV = ROOT / ".tools" / "bin" / "uv"
NODE = ROOT / "web" / "node_modules"
SPEC = ROOT / "docs" / "openapi.json"
QUIET: dict[str, Any] = {"check": True, "capture_output": True, "text": True, "timeout": 250}

PYTHON = """
import sys
from prism_client import Client
from prism_client.api.workspaces import api_v1_instances_launch_launch_instance as launch
from prism_client.models import Launch, Launched
order = Launch(name="one", template="Plain Shell")
made = launch.sync(client=Client(base_url=sys.argv[1]), body=order)
assert isinstance(made, Launched), made
print(made.state)
"""
MODELS = """
import sys, urllib.request
from models import Launch, Launched
body = Launch(name="two", template="Plain Shell").model_dump_json(exclude_unset=True).encode()
head = {"Content-Type": "application/json"}
asked = urllib.request.Request(sys.argv[1] + "/api/v1/instances/launch", body, head)
print(Launched.model_validate_json(urllib.request.urlopen(asked).read()).state.value)
"""
TYPESCRIPT = """
import type { components } from './schema';
const body: components['schemas']['LaunchRequest'] = { name: 'three', template: 'Plain Shell' };
async function main(base: string): Promise<void> {
  const answer = await fetch(`${base}/api/v1/instances/launch`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const made = (await answer.json()) as components['schemas']['LaunchAnswer'];
  console.log(made.state);
}
declare const process: { argv: string[] };
void main(process.argv[2] ?? '');
"""


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    with home.run_daemon():
        yield home
        for name in ("one", "two", "three"):
            home.cli("terminate", name, "--yes")
    home.clear()


def address(home):
    """The address of its daemon."""
    return f"http://localhost:{json.loads((home.folder / 'daemon.lock').read_text())['port']}"


def test_no_field_with_several_types_has_an_object_as_default():
    """openapi-python-client would drop the whole type, and each route that takes it."""
    schemas = json.loads(SPEC.read_text())["components"]["schemas"]
    wrong = (
        f"docs/openapi.json: {name}.{field}"
        for name, schema in schemas.items()
        for field, field_schema in schema.get("properties", {}).items()
        if isinstance(field_schema, dict)
        and isinstance(field_schema.get("default"), dict)
        and "anyOf" in field_schema
    )
    refuse(wrong, "Give the field one type, or no object as its default")


@pytest.mark.slow
def test_openapi_python_client_can_launch(home, tmp_path):
    out = tmp_path / "made"
    words = [UVX, "openapi-python-client", "generate", "--path", SPEC, "--output-path", out]
    generated = subprocess.run(words, **QUIET)
    assert "will not be generated" not in generated.stdout + generated.stderr
    needs = [word for name in ("httpx", "attrs", "python-dateutil") for word in ("--with", name)]
    run = [UV, "run", "--no-project", *needs, "python", "-c", PYTHON, address(home)]
    path = {"PYTHONPATH": str(out)}
    done = subprocess.run(run, **QUIET, cwd=tmp_path, env=os.environ | path)
    assert done.stdout.strip() == "launching"


@pytest.mark.slow
def test_datamodel_code_generator_models_can_launch(home, tmp_path):
    kind = ["--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel"]
    tool: list[str | Path] = [UVX, "--from", "datamodel-code-generator", "datamodel-codegen"]
    subprocess.run([*tool, "--input", SPEC, *kind, "--output", tmp_path / "models.py"], **QUIET)
    needs = ["--with", "pydantic[email]>=2"]
    run = [UV, "run", "--no-project", *needs, "python", "-c", MODELS, address(home)]
    path = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(run, **QUIET, cwd=tmp_path, env=os.environ | path)
    assert done.stdout.strip() == "launching"


@pytest.mark.slow
def test_openapi_typescript_types_can_launch(home, tmp_path):
    node = shutil.which("node")
    if node is None or not (NODE / ".bin" / "openapi-typescript").exists():
        pytest.skip("needs Node and the GUI's packages: `make gui`")
    make: list[str | Path] = [node, NODE / "openapi-typescript" / "bin" / "cli.js", SPEC]
    plain = "--default-non-nullable=false"  # a request may leave out what has a default
    subprocess.run([*make, "-o", tmp_path / "schema.d.ts", plain], **QUIET)
    (tmp_path / "main.ts").write_text(TYPESCRIPT)
    strict = ["--strict", "--target", "es2022", "--module", "esnext", "--skipLibCheck"]
    where = ["--moduleResolution", "bundler", "--lib", "es2022,dom"]
    compiler: list[str | Path] = [node, NODE / "typescript" / "bin" / "tsc", *strict, *where]
    subprocess.run([*compiler, tmp_path / "main.ts"], **QUIET, cwd=tmp_path)
    done = subprocess.run([node, tmp_path / "main.js", address(home)], **QUIET)
    assert done.stdout.strip() == "launching"
