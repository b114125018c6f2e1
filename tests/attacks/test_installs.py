"""Packages, templates and workspaces that attack the installer run no code outside."""

import json
import os
from pathlib import Path

import pytest

from prism.templates.index import PackageStatus, look_up
from prism.workspaces.model import Observed
from tests.attacks.index import Index
from tests.providers.local.world import World, page
from tests.waiting import eventually

pytestmark = pytest.mark.needs("bwrap")
MARK = "import os; open({path!r}, 'a').close()\n"


@pytest.fixture
def package_index(monkeypatch):
    """The index that uv uses."""
    index = Index()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield index
    index.close()


@pytest.fixture
def own_networks(tmp_path):
    """A world whose workspaces, and whose installer, have networks of their own."""
    (tmp_path / "prism").mkdir()
    world = World(tmp_path / "prism", tmp_path / "prism" / "cache")
    yield world
    world.close()


@pytest.fixture
def world(tmp_path):
    """A world with its own cache.

    The index is on the loopback of this computer, which a workspace's own network cannot reach.
    """
    (tmp_path / "prism").mkdir()
    environ = {"PRISM_WORKSPACE_NETWORK": "shared"}
    world = World(tmp_path / "prism", tmp_path / "prism" / "cache", environ=environ)
    yield world
    world.close()


def packed(*packages, **more):
    return page(packages={"pip": packages}, **more)


def test_package_build_reaches_only_its_own_workspace(world, package_index, tmp_path, monkeypatch):
    home = tmp_path / "person"
    (home / ".ssh").mkdir(parents=True)
    secret = home / ".ssh" / "id_ed25519"
    secret.write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", "secret")
    package_index.wheel("good", {"good.py": "good = 1\n"})
    other = world.launched(packed("good"), key="ws_2")
    cache = world.cache
    state = tmp_path / "prism" / "state.db"
    state.write_text("state")
    places = [home, secret, state, world.root / other, *filter(Path.is_file, cache.rglob("*"))]
    package_index.source("evil", places, cache)
    id = world.launched(packed("evil", "good"))
    assert package_index.reports
    for report in package_index.reports:
        assert report["seen"] == []
        assert "secret" not in report["environment"].values()
        assert report["environment"]["HOME"] == str(world.root / id / "home")
    own = world.root / id
    files = [path for path in tmp_path.rglob("*") if path.is_file() and own not in path.parents]
    assert len(files) > len(places)
    assert not [file for file in files if "owned" in file.name or b"# owned" in file.read_bytes()]
    assert world.installed(id, "evil.py")
    # a later workspace gets the same package
    third = world.launched(packed("good"), key="ws_3")
    [good] = world.installed(third, "good.py")
    assert good.read_text() == "good = 1\n"


def test_built_package_is_not_shared_between_workspaces(world, package_index):
    package_index.source("evil", [], world.cache)
    for key in ("ws_1", "ws_2"):
        world.launched(packed("evil"), key=key)
    assert len({report["environment"]["HOME"] for report in package_index.reports}) == 2


UV_SHIM = """#!/bin/sh
/usr/bin/env > {folder}/$1-$$
exec {uv} "$@"
"""


def test_installer_gets_no_environment_variable_of_a_template(
    world, package_index, tmp_path, monkeypatch
):
    own = {
        "LD_PRELOAD": "/tmp/evil.so",
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_CACHE_DIR": "/tmp/evil",
        "UV_CONFIG_FILE": "/tmp/evil.toml",
        "UV_PYTHON": "/tmp/evil",
        "PYTHONPATH": "/tmp/evil",
        "PATH": "/tmp/evil",
        "GIT_SSH_COMMAND": "evil",
        "SSL_CERT_FILE": "/tmp/evil",
    }
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    package_index.wheel("good", {"good.py": ""})
    package_index.source("built", [], world.cache)
    id = world.launched(packed("good", environment=own))
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    wheels = tmp_path / "prism" / "cache" / "wheels"
    shim = tmp_path / "shim"
    uv = world_order(world, id)["uv"]
    shim.write_text(UV_SHIM.format(folder=wheels, uv=uv))
    shim.chmod(0o755)
    reachable = [*world_order(world, id)["reachable"], str(shim)]
    world.change_spec(id, packages=["built"], uv=str(shim), reachable=reachable)
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    logs = [
        path.read_text() for path in wheels.glob("*-*") if path.name.startswith(("venv-", "pip-"))
    ]
    assert len(logs) == 2, "the third, which builds, cannot write there"
    logs.append("\n".join(f"{k}={v}" for k, v in package_index.reports[0]["environment"].items()))
    for lines in logs:
        assert not [line for line in lines.splitlines() if "evil" in line]


SPY = """#!/bin/sh
{python} -I -S - <<'END' >> {folder}/spied-$1
import ctypes, json, os
said = dict(line.split(":", 1) for line in open("/proc/self/status"))
def refused(act):
    try:
        return act() not in (None, 0)
    except OSError:
        return True
libc = ctypes.CDLL(None)
report = dict(uid=os.getuid(), seccomp=int(said["Seccomp"]), capabilities=int(said["CapBnd"], 16))
report["sysctl"] = refused(lambda: open("/proc/sys/kernel/domainname", "r+").close())
report["namespace"] = refused(lambda: libc.unshare(0x10000000))
report["mount"] = refused(lambda: libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
report["git"] = os.path.isfile("/usr/bin/git") or any(
    os.access(os.path.join(path, "git"), os.X_OK) for path in os.environ["PATH"].split(":"))
print(json.dumps(report))
END
exec {uv} "$@"
"""


def test_installer_has_no_rights_and_no_git(world, package_index, tmp_path):
    package_index.wheel("good", {"good.py": ""})
    id = world.launched(packed("good"))
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    spec = world_order(world, id)
    spy = tmp_path / "spy"
    folder = world.cache / "wheels"
    spy.write_text(SPY.format(folder=folder, uv=spec["uv"], python=spec["python"]))
    spy.chmod(0o755)
    # A package with a path is installed for this workspace alone: the cache can be written then.
    package_index.wheel("better", {"better.py": ""})
    address = f"better @ {package_index.url}/better-1.0-py3-none-any.whl"
    world.change_spec(
        id, packages=["good", address], uv=str(spy), reachable=[*spec["reachable"], str(spy)]
    )
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    reports = [json.loads(path.read_text()) for path in folder.glob("spied-*")]
    assert {path.name for path in folder.glob("spied-*")} == {"spied-venv", "spied-pip"}
    for report in reports:
        assert report.pop("uid") not in {0} if os.geteuid() == 0 else report.pop("uid")
        assert report == {
            "seccomp": 2,
            "capabilities": 0,
            "sysctl": True,
            "namespace": True,
            "mount": True,
            "git": False,
        }
    assert {path.stat().st_uid for path in folder.rglob("*")} == {os.geteuid()}
    # later workspaces use the same cache and the same tree
    other = world.launched(packed("good"), key="ws_2")
    assert world.installed(other, "good.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users")
def test_cache_from_a_file_system_that_could_not_map_ids_is_made_again(world, package_index):
    package_index.wheel("good", {"good.py": ""})
    wheels = world.cache / "wheels"
    (wheels / "old").mkdir(parents=True)
    for path in (wheels, wheels / "old"):
        os.chown(path, 65532, 65532)
    assert world.installed(world.launched(packed("good")), "good.py")
    assert not (wheels / "old").exists()
    assert {path.stat().st_uid for path in wheels.rglob("*")} == {0}


def test_git_in_the_metadata_of_a_package_is_not_started_by_the_installer(world, package_index):
    """uv follows such metadata of a package that is itself named by its address."""
    other = f"other @ git+{package_index.url}/other.git"
    package_index.wheel("evil", {"evil.py": ""}, requires=[other])
    id = world.launch(packed(f"evil @ {package_index.url}/evil-1.0-py3-none-any.whl"))
    eventually(lambda: world.machine(id).failure, 120)
    assert "Git executable not found" in world.log(id, "setup")


@pytest.mark.needs("pasta")
def test_installer_reaches_the_named_index_on_loopback_and_no_other_server(
    own_networks, package_index
):
    private = Index()
    try:
        private.wheel("other", {"other.py": ""})
        package_index.wheel("good", {"good.py": ""})
        first = own_networks.launched(packed("good"))
        assert own_networks.installed(first, "good.py")
        if (network := own_networks.report(first)["network"]) != "own":
            pytest.skip(f"needs networks of workspaces: {network}")
        required = f"other @ {private.url}/other-1.0-py3-none-any.whl"
        package_index.wheel("evil", {"evil.py": ""}, requires=[required])
        evil = f"evil @ {package_index.url}/evil-1.0-py3-none-any.whl"
        id = own_networks.launch(packed(evil), key="ws_2")
        failure = eventually(lambda: own_networks.machine(id).failure, 120)
        assert failure.code == "NETWORK_UNREACHABLE"
        assert private.asked == []
        assert not [*own_networks.root.glob("*/install-network")]
    finally:
        private.close()


def world_order(world, id):
    return json.loads((world.root / id / "order.json").read_bytes())


def test_files_left_in_a_workspace_run_no_code_during_an_installation(
    world, package_index, tmp_path
):
    """A workspace cannot write to the cache, but the installer can; a mark there is an escape."""
    package_index.wheel("good", {"good.py": ""})
    package_index.wheel("better", {"better.py": ""})
    id = world.launched(packed("good"))
    mark = world.cache / "wheels" / "escaped"
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    folder = world.root / id
    runs = MARK.format(path=str(mark))
    [site] = (world.tree_of(id)).glob("lib/*/site-packages")
    site = folder / "venv" / "upper" / site.relative_to(world.tree_of(id))
    site.mkdir(parents=True)
    (site / "evil.pth").write_text(runs)
    (site / "sitecustomize.py").write_text(runs)
    python = folder / "venv" / "upper" / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\ntouch {mark}\n")
    python.chmod(0o755)
    cached = site / "good.py"
    cached.symlink_to(tmp_path / "prism" / "victim")
    evil = f'cache-dir = "{folder}/home"\nindex-url = "http://127.0.0.1:9"\n[pip]\ntarget="/x"\n'
    (folder / "home" / ".config" / "uv").mkdir(exist_ok=True)
    for path in ("uv.toml", ".config/uv/uv.toml", "pip.conf", "pyproject.toml"):
        (folder / "home" / path).write_text(evil)
    world.change_spec(id, packages=["good", "better"])
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert not mark.exists()
    assert not (tmp_path / "prism" / "victim").exists()
    assert not (site / "evil.pth").exists(), "old files were removed"
    assert world.installed(id, "better.py")


def test_files_of_a_wheel_run_no_code_outside_the_workspace(world, package_index):
    mark = world.cache / "wheels" / "escaped"
    runs = MARK.format(path=str(mark))
    shell = f"#!/bin/sh\ntouch {mark}\n"
    data = "evil-1.0.data"
    package_index.wheel(
        "evil",
        {
            "evil.pth": runs,
            "sitecustomize.py": runs,
            f"{data}/scripts/python": shell,
            f"{data}/data/bin/python3": shell,
            f"{data}/data/pyvenv.cfg": f"home = {world.cache}\n",
        },
    )
    package_index.source("built", [], world.cache)  # installed together with a built package
    world.launch(packed("evil", "built"))
    for _ in range(2):  # the wheel breaks the workspace's Python, also for the next attempt
        [machine] = eventually(
            lambda: [m for m in world.compute.survey() if m.observed in ENDS], 120
        )
        world.compute.start(machine.id)
    assert not mark.exists()


ENDS = {Observed.ON, Observed.BROKEN}


SLOW_WORDS = [pytest.param(word, marks=pytest.mark.slow) for word in ("--target=/x", "-e.")]


@pytest.mark.parametrize("word", ["-r/etc/passwd", "evil\n-r/etc/passwd", *SLOW_WORDS])
def test_package_name_is_not_read_as_an_installer_option(world, package_index, word):
    id = world.launch(packed(word))
    failure = eventually(lambda: world.machine(id).failure, 120)
    assert "root:" not in failure.message
    assert "root:" not in world.log(id, "setup")


def test_package_check_of_a_template_runs_no_code(package_index, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    package_index.source("evil", [], tmp_path)
    answers = [
        look_up([word]).answer
        for word in (
            "evil",
            f"evil @ {package_index.url}/evil-1.0.tar.gz",
            "evil[x]",
            "-r/etc/passwd",
        )
    ]
    assert answers == [
        PackageStatus.FOUND,
        PackageStatus.UNCHECKED,
        PackageStatus.FOUND,
        PackageStatus.MISSING,
    ]
    assert "root" not in look_up(["x\n-r/etc/passwd"]).words
    assert package_index.reports == []
