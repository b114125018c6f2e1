"""`prism template new`: it writes valid templates and overwrites no file."""

import json
import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from prism.cli.workspace.new_template import content
from prism.templates.model import Template
from prism.templates.schema import PUBLISHED
from prism.templates.service import TemplateService
from prism.templates.store import TemplateFolder, template_folders
from tests.client.scripted import Scripted
from tests.project.home import Home
from tests.waiting import eventually

PLAIN = {"name": "Plain Shell", "slug": "plain-shell"}


@pytest.fixture(scope="module")
def home_with_daemon(tmp_path_factory):
    """A home with a daemon."""
    home = Home(tmp_path_factory.mktemp("new") / "home")
    try:
        with home.run_daemon():
            yield home
    finally:
        home.clear()


@pytest.fixture
def daemon_on_port():
    """A daemon that is reached by its address."""
    daemon = Scripted.on_port()
    yield daemon
    daemon.close()


def template_files(home):
    """The files in the user's template folder."""
    return sorted(path.name for path in (home.folder / "templates").glob("*"))


def test_new_template_can_be_launched_unchanged(home_with_daemon):
    done = home_with_daemon.cli("template", "new", 'My "Lab": #1')
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.rstrip("\n"))
    assert path == home_with_daemon.folder / "templates" / "my-lab-1.yml"
    assert "`prism launch my-lab-1 WORKSPACE`" in done.stderr
    first = path.read_text().splitlines()[0]
    [where] = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", first)
    assert Path(unquote(urlsplit(where).path)).read_text() == PUBLISHED.read_text()
    assert home_with_daemon.cli_json("template", "info", "my-lab-1")["inherits"] == ["Plain Shell"]
    assert home_with_daemon.cli("launch", 'My "Lab": #1', "x", "--no-wait").returncode == 0
    eventually(lambda: home_with_daemon.states() == ["running"], 120)
    assert home_with_daemon.client.workspaces.get("x").template == 'My "Lab": #1'
    home_with_daemon.client.workspaces.terminate("x")


def test_new_template_names_its_parents_and_reports_warnings(home_with_daemon):
    words = ("template", "new", "日本", "--slug", "nihon", "--inherits", "jupyterlab")
    template = home_with_daemon.cli_json(*words, "--inherits", "vscode")
    assert (template["name"], template["slug"]) == ("日本", "nihon")
    info = home_with_daemon.client.templates.info("nihon")
    assert info.inherits == ("JupyterLab", "VS Code (code-server)")
    assert [issue["message"] for issue in template["issues"]] == [*info.local_reasons]
    assert {issue["level"] for issue in template["issues"]} <= {"warning"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Plain Shell", "--slug", "mine"], "The template 'Plain Shell' already exists"),
        (["plain-shell", "--slug", "mine"], "The template 'Plain Shell' already exists"),
        (["Plain shell"], "The template 'Plain Shell' already exists"),
        (["日本"], "No slug can be made of '日本'"),
        (["x", "--slug", "X y"], "'X y' is not a valid slug"),
        (["a/b"], "A template cannot have that name"),
        (["a\nb"], "A template cannot have that name"),
        (["x", "--inherits", "jupyterlap"], "did you mean 'jupyterlab'?"),
        (["Validate"], "slug: 'validate' is reserved"),
        (["x", "--output", "/proc/x/y.yml"], "Cannot write /proc/x/y.yml"),
    ],
)
def test_invalid_new_template_is_rejected_without_a_file(home_with_daemon, words, message):
    before = template_files(home_with_daemon)
    done = home_with_daemon.cli("template", "new", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert template_files(home_with_daemon) == before


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_new_template_does_not_overwrite_a_file_or_link(home_with_daemon, kind):
    path = home_with_daemon.folder / "templates" / f"kept-{kind[0]}.yml"
    path.parent.mkdir(exist_ok=True)
    if kind == "file":
        path.write_text("# mine\n")
    else:
        path.symlink_to(home_with_daemon.folder / "nowhere")
    done = home_with_daemon.cli("template", "new", f"Kept {kind[0]}")
    assert (done.returncode, f"{path} already exists" in done.stderr) == (1, True)
    assert not (home_with_daemon.folder / "nowhere").exists()
    assert kind != "file" or path.read_text() == "# mine\n"
    path.unlink()


def test_new_template_with_output_prints_where_to_put_the_file(home_with_daemon, tmp_path):
    done = home_with_daemon.cli("template", "new", "away", "--output", tmp_path / "away.yml")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/away.yml\n")
    assert f"Put it into {home_with_daemon.folder}/templates" in done.stderr
    assert "away" not in home_with_daemon.cli("template", "list").stdout


def test_new_template_for_a_remote_daemon_requires_output(prism, home):
    done = prism("template", "new", "lab", PRISM_URL="http://127.0.0.1:1")
    assert (done.returncode, "are not on this computer" in done.stderr) == (1, True)
    assert "`--output FILE`" in done.stderr
    assert not (home / "templates").exists()


def test_new_template_with_output_uses_the_remote_daemons_templates(
    prism, tmp_path, daemon_on_port
):
    daemon_on_port.on("GET /templates", [PLAIN]).on("GET /templates/Plain%20Shell/info", PLAIN)
    path = tmp_path / "lab.yml"
    done = prism("template", "new", "lab", "--output", str(path), PRISM_URL=daemon_on_port.url)
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    assert "`templates` in the daemon's home" in done.stderr
    assert yaml.safe_load(path.read_text())["inherits"] == ["Plain Shell"]


def test_template_folder_is_created_with_mode_700(prism, server, home):
    server.on("GET /templates", [PLAIN]).on("GET /templates/Plain%20Shell/info", PLAIN)
    path = str(home / "templates" / "lab.yml")
    result = {"template": "lab", "status": "valid", "checks_passed": 9, "issues": [], "file": path}
    server.on("GET /templates/validate", {"validation_results": [result]})
    done = prism("template", "new", "lab", "--json")
    assert json.loads(done.stdout) == {"name": "lab", "slug": "lab", "path": path, "issues": []}
    assert stat.S_IMODE((home / "templates").stat().st_mode) == 0o700


def test_commented_fields_of_a_new_template_are_valid_if_uncommented(tmp_path):
    text = re.sub(r"(?m)^#(?=\S|  )", "", content("Lab", None, ["Plain Shell"]))
    (tmp_path / "lab.yml").write_text(text)
    service = TemplateService([*template_folders(), TemplateFolder(tmp_path)])
    [judged] = [
        result for result in service.validate().validation_results if result.template == "Lab"
    ]
    assert (judged.status, judged.issues) == ("valid", ())
    fields = {"size", "packages", "parameters", "environment", "post_install", "services"}
    assert fields < yaml.safe_load(text).keys() < {*Template.__struct_fields__}
