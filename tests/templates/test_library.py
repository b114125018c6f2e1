"""The built-in templates: valid, safe on a shared machine, and as documented."""

import ast
import os
import shlex
import subprocess
import sys

import pytest
import yaml

from prism.catalog.plan import machine_type
from prism.templates.model import UPDATES_UNTIL
from prism.templates.plan import QUICKSTART, parameters_for, runs_locally
from prism.templates.service import TemplateService
from prism.templates.store import BUILT_IN, template_folders

SERVICE = TemplateService(template_folders(), machines=machine_type)
EVERY = {template.slug: template for template, _ in SERVICE.all()}
FILES = sorted(BUILT_IN.glob("*.yml"))
SERVED = [(t, name, s) for t in EVERY.values() for name, s in t.services.items()]
JUPYTER = [t for t in EVERY.values() if "jupyter" in t.services]
PROMISED = {
    "Python Machine Learning (Simplified)",
    "R Research Environment (Simplified)",
    "Rocky Linux 9 Base",
    "Rocky Linux 9 + Conda Stack",
    "Data Science (pip)",
    "Streamlit App",
    "Plain Shell",
}


def titled(value):
    return getattr(value, "slug", None) or getattr(value, "stem", None) or str(value)[:20]


def test_every_built_in_template_is_valid():
    report = SERVICE.validate()
    assert report.errors == ()
    assert report.total_templates == len(FILES) == len(EVERY) >= 12
    assert {template.name for template in EVERY.values()} >= PROMISED
    warned = {i.check for r in report.validation_results for i in r.issues}
    assert warned <= {"runs-locally"}


@pytest.mark.parametrize("file", FILES, ids=titled)
def test_built_in_template_has_the_fields_of_the_gallery(file):
    fields = yaml.safe_load(file.read_text())
    template = SERVICE.named(fields["name"])
    assert template.description
    assert template.category != "General" or template.slug == "plain-shell"
    assert template.icon
    assert template.base
    assert template.size
    assert template.users
    assert 22 in template.ports
    assert template.idle_profile in {"standard", "gpu", "batch"}
    assert parameters_for(template, {}).keys() == template.parameters.keys()


@pytest.mark.parametrize(("template", "name", "service"), SERVED, ids=titled)
def test_service_listens_on_loopback_and_has_no_token_in_its_command(template, name, service):
    assert "{port}" in service.command
    assert "127.0.0.1" in service.command
    assert "{token}" not in service.command
    assert service.health
    assert service.description


@pytest.mark.parametrize("template", JUPYTER, ids=titled)
def test_jupyter_service_is_the_same_in_all_templates(template):
    service = template.services["jupyter"]
    assert service.command == EVERY["jupyterlab"].services["jupyter"].command
    assert service.environment == {"JUPYTER_TOKEN": "{token}"}
    assert (service.port, service.health) == (8888, "/api")
    words = shlex.split(service.command)
    for option in (
        "--no-browser",
        "--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--ServerApp.root_dir={home}",
    ):
        assert option in words
    assert "jupyterlab" in template.packages["pip"]


STARTED = """
import importlib.util, sys
from jupyterlab.commands import _yarn_config
def main():
    assert _yarn_config(None)["yarn config"] == {}, "node is not started"
    print(*sys.argv[1:])
    for name in ("in_the_home", "rfc3987_syntax"):
        try:
            print(name, importlib.util.find_spec(name) is not None)
        except ValueError:  # it counts as one that is not installed
            print(name, False)
"""


def test_jupyter_command_ignores_modules_in_the_home_and_a_slow_grammar(tmp_path):
    packages, home = tmp_path / "packages", tmp_path / "home"
    own = ("jupyterlab/__init__", "jupyterlab/commands", "rfc3987_syntax")
    for module in (*(f"packages/{name}" for name in own), "home/in_the_home"):
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (packages / "jupyterlab" / "labapp.py").write_text(STARTED)
    python, *words = shlex.split(EVERY["jupyterlab"].services["jupyter"].command)
    assert python == "python"
    environ = {"PYTHONPATH": str(packages)}
    done = subprocess.run(
        [sys.executable, *words], env=environ, cwd=home, capture_output=True, text=True, check=True
    )
    arguments, *imports = done.stdout.splitlines()
    assert arguments.startswith("--no-browser --allow-root --ip=127.0.0.1 --ServerApp.port={port}")
    assert imports == ["in_the_home False", "rfc3987_syntax False"]


def test_system_has_updates_for_years_unless_it_is_there_to_hibernate():
    """Decision 049: EC2 hibernates no newer Ubuntu, and machines with GPUs not at all."""
    old = [
        template
        for template in EVERY.values()
        if template.base and UPDATES_UNTIL[template.base] < UPDATES_UNTIL["debian-12"]
    ]
    assert {template.base for template in old} == {"ubuntu-22.04"}
    assert "deep-learning-gpu" in EVERY and "gpu" not in {template.family for template in old}
    assert {template.idle_profile for template in old} == {"standard"}, "it hibernates"


def test_quickstart_template_runs_on_any_machine():
    template = SERVICE.named(QUICKSTART)
    assert runs_locally(template, ()) == ()
    assert [*template.packages] == ["pip"]
    assert {"jupyterlab", "numpy", "pandas", "matplotlib"} <= {*template.packages["pip"]}


@pytest.mark.parametrize("slug", ["r-research", "r-shiny", "ubuntu2404-base", "rocky9-base"])
def test_template_that_needs_more_than_pip_does_not_run_locally(slug):
    assert runs_locally(EVERY[slug], ())


def installed(template, home):
    for command in template.post_install:
        shell = ["/bin/sh", "-c", command]
        subprocess.run(shell, check=True, cwd=home, env={**os.environ, "HOME": str(home)})


@pytest.mark.parametrize(("slug", "file"), [("streamlit-app", "app.py"), ("r-shiny", "app/app.R")])
def test_starter_app_is_written_and_does_not_overwrite_a_file(slug, file, tmp_path):
    installed(EVERY[slug], tmp_path)
    written = (tmp_path / file).read_text()
    assert len(written.splitlines()) > 10
    if file.endswith(".py"):
        assert "streamlit" in ast.unparse(ast.parse(written))
    (tmp_path / file).write_text("mine")
    installed(EVERY[slug], tmp_path)
    assert (tmp_path / file).read_text() == "mine"


@pytest.mark.parametrize(
    ("app", "fits"),
    [
        ("app.py", True),
        ("pages/one.py", True),
        ("../x.py", False),
        ("-x.py", False),
        ("a b", False),
    ],
)
def test_streamlit_app_must_be_a_python_file_below_the_home(app, fits):
    if fits:
        assert parameters_for(EVERY["streamlit-app"], {"app": app}) == {"app": app}
    else:
        with pytest.raises(Exception, match="out of range"):
            parameters_for(EVERY["streamlit-app"], {"app": app})
