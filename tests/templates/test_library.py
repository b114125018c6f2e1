"""The built-in templates: sound, safe on a shared machine, and what they promise is true."""

import ast
import os
import shlex
import subprocess
import sys

import pytest
import yaml

from prism.catalog.plan import machine_type
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


def test_every_file_is_a_valid_template_without_errors():
    report = SERVICE.validate()
    assert report.errors == ()
    assert report.total_templates == len(FILES) == len(EVERY) >= 12
    assert {template.name for template in EVERY.values()} >= PROMISED
    warned = {i.check for r in report.validation_results for i in r.issues}
    assert warned <= {"runs-locally"}


@pytest.mark.parametrize("file", FILES, ids=titled)
def test_a_file_is_complete_for_the_gallery(file):
    says = yaml.safe_load(file.read_text())
    template = SERVICE.named(says["name"])
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
def test_a_service_listens_only_on_loopback_and_keeps_its_secret(template, name, service):
    assert "{port}" in service.command
    assert "127.0.0.1" in service.command
    assert "{token}" not in service.command
    assert service.health
    assert service.description


@pytest.mark.parametrize("template", JUPYTER, ids=titled)
def test_jupyter_is_the_same_everywhere(template):
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
def main():
    print(*sys.argv[1:])
    for name in ("in_the_home", "rfc3987_syntax"):
        try:
            print(name, importlib.util.find_spec(name) is not None)
        except ValueError:  # it counts as one that is not installed
            print(name, False)
"""


def test_jupyter_starts_without_what_is_in_its_home_and_without_a_slow_grammar(tmp_path):
    packages, home = tmp_path / "packages", tmp_path / "home"
    for module in ("packages/jupyterlab/__init__", "packages/rfc3987_syntax", "home/in_the_home"):
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


def test_the_quickstart_runs_on_any_machine():
    template = SERVICE.named(QUICKSTART)
    assert runs_locally(template, ()) == ()
    assert [*template.packages] == ["pip"]
    assert {"jupyterlab", "numpy", "pandas", "matplotlib"} <= {*template.packages["pip"]}


@pytest.mark.parametrize("slug", ["r-research", "r-shiny", "ubuntu2404-base", "rocky9-base"])
def test_what_needs_more_than_pip_says_so(slug):
    assert runs_locally(EVERY[slug], ())


def installed(template, home):
    for command in template.post_install:
        shell = ["/bin/sh", "-c", command]
        subprocess.run(shell, check=True, cwd=home, env={**os.environ, "HOME": str(home)})


@pytest.mark.parametrize(("slug", "file"), [("streamlit-app", "app.py"), ("r-shiny", "app/app.R")])
def test_a_starter_app_is_written_and_never_over_ones_own(slug, file, tmp_path):
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
def test_the_streamlit_app_is_a_python_file_below_home(app, fits):
    if fits:
        assert parameters_for(EVERY["streamlit-app"], {"app": app}) == {"app": app}
    else:
        with pytest.raises(Exception, match="out of range"):
            parameters_for(EVERY["streamlit-app"], {"app": app})
