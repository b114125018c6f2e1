"""Look-ups in the package index, with the real uv, in a folder instead of a network."""

import zipfile

import pytest

from prism.templates.index import PackageStatus, look_up, meaning
from prism.templates.service import TemplateService
from prism.templates.store import TemplateFolder


@pytest.fixture
def package_index(tmp_path, monkeypatch):
    """An index with one package, `here` 1.0, and without a network."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "here-1.0-py3-none-any.whl", "w") as wheel:
        about = "Metadata-Version: 2.1\nName: here\nVersion: 1.0\n"
        wheel.writestr("here-1.0.dist-info/METADATA", about)
        wheel.writestr("here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr("here-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def unreachable_index(tmp_path, monkeypatch):
    """An index at an address where no server listens."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("packages", "answer", "words"),
    [
        (["here"], PackageStatus.FOUND, ""),
        (["here==1.0"], PackageStatus.FOUND, ""),
        (
            ["here", "nowhere-to-be-seen"],
            PackageStatus.MISSING,
            "nowhere-to-be-seen was not found",
        ),
        (["here==2.0"], PackageStatus.MISSING, "there is no version of here==2.0"),
        (["here >"], PackageStatus.MISSING, "Couldn't parse requirement"),
    ],
)
def test_look_up_reports_whether_packages_exist(package_index, packages, answer, words):
    status = look_up(packages)
    assert status.answer == answer
    assert words in status.words


def test_packages_are_unchecked_without_a_network(unreachable_index):
    status = look_up(["numpy"])
    assert status.answer == PackageStatus.UNCHECKED
    assert "127.0.0.1:9" in status.words


def test_packages_missing_from_the_cache_are_unchecked_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    assert look_up(["numpy"]).answer == PackageStatus.UNCHECKED


def test_unknown_uv_error_is_unchecked():
    assert meaning("").words == "uv gave no reason"
    assert meaning("  × something\n  ╰─▶ else").words == "something else"
    assert meaning("something else").answer == PackageStatus.UNCHECKED


def test_missing_version_is_unchecked_if_the_network_was_disabled():
    reason = (
        "Because there is no version of here==2.0 and you require here==2.0, it is unsatisfiable."
    )
    assert meaning(reason).answer == PackageStatus.MISSING
    hint = " hint: Packages were unavailable because the network was disabled."
    assert meaning(reason + hint).answer == PackageStatus.UNCHECKED


GOOD = "name: {0}\npackage_manager: pip\npackages:\n  pip: [{1}]\n"


def test_validation_looks_packages_up_only_on_request(package_index, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.yml").write_text(GOOD.format("a", "here"))
    (own / "b.yml").write_text(GOOD.format("b", "nowhere-to-be-seen"))
    (own / "c.yml").write_text("name: c\n")
    (own / "d.yml").write_text("name: d\nsize: Q\n")
    service = TemplateService([TemplateFolder(own)])
    assert service.validate().validated == 3
    a, b, c, d = service.validate(packages=True).validation_results
    assert [template.status for template in (a, b, c, d)] == [
        "valid",
        "invalid",
        "valid",
        "invalid",
    ]
    assert a.passed[-1] == "packages-exist"
    assert a.checks_passed == len(a.passed) == c.checks_passed + 1
    assert "packages-exist" not in (*b.passed, *c.passed, *d.passed)
    [issue] = b.issues
    assert (issue.check, issue.level) == ("packages-exist", "error")
    assert issue.where == f"{own}/b.yml:4: packages.pip"
    assert service.named("b"), "a launch does not look packages up"


def test_template_is_valid_with_a_warning_if_the_index_is_unreachable(unreachable_index, tmp_path):
    (tmp_path / "a.yml").write_text(GOOD.format("a", "here"))
    [result] = (
        TemplateService([TemplateFolder(tmp_path)]).validate(packages=True).validation_results
    )
    assert result.status == "valid"
    assert [(i.check, i.level) for i in result.issues] == [("packages-exist", "warning")]
    assert result.issues[0].message.startswith("unchecked: ")
