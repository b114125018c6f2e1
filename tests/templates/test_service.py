"""Templates by name, from folders that change; an invalid file does not affect other templates."""

import os
from datetime import UTC, datetime

import pytest
from msgspec import structs

from prism.catalog.plan import machine_type
from prism.kit.clock import StoppedClock
from prism.kit.db import Database
from prism.kit.events import Bus
from prism.kit.tables import metadata
from prism.templates.model import TemplateInvalid, TemplateNotFound
from prism.templates.service import TemplateService
from prism.templates.store import BUILT_IN, TemplateFolder, template_folders
from tests.templates.conftest import places


def names(service):
    return [item.name for item in service.items()]


def status(service):
    return {result.template: result.status for result in service.validate().validation_results}


def test_template_is_found_by_name_or_slug_and_the_exact_name_wins(own_folder, service):
    own_folder.write("a.yml", "name: Déjà Vu (v2)!\n").write("b.yml", "name: Other\nslug: o\n")
    assert service.named("d-j-vu-v2").name == "Déjà Vu (v2)!"
    assert service.named("Déjà Vu (v2)!").slug == "d-j-vu-v2"
    assert service.named("o").name == service.named("Other").name == "Other"
    with pytest.raises(TemplateNotFound):
        service.named("other")


@pytest.mark.parametrize(
    ("word", "details"),
    [
        ("Data Science", "did you mean 'Data Science (pip)'?"),
        ("streamlit", "did you mean 'streamlit-app'?"),
        ("plain-shel", "did you mean 'plain-shell'?"),
        ("rstudio", "these have it: 'R Research Environment (Simplified)', 'R Shiny App'"),
        ("xyzzy", "nothing has a similar name"),
        ("", "nothing has a similar name"),
    ],
)
def test_unknown_template_error_suggests_a_similar_name(word, details):
    with pytest.raises(TemplateNotFound) as caught:
        TemplateService(template_folders()).named(word)
    assert caught.value.details == details
    assert caught.value.remediation == "See `prism template list`"
    assert repr(word) in caught.value.message


@pytest.mark.parametrize("word", ["broken", "Broken", "broken.yml"])
def test_unreadable_template_is_reported_as_invalid_not_as_missing(own_folder, word):
    own_folder.write("broken.yml", "name: Broken\ndescription: [x\n")
    with pytest.raises(TemplateInvalid) as caught:
        TemplateService(template_folders(own_folder.path)).named(word)
    assert "broken.yml" in caught.value.details
    assert "not YAML" in caught.value.details
    assert "prism template validate" in caught.value.remediation


def test_yaml_of_an_invalid_template_is_returned_unchanged(own_folder, service):
    own_folder.write("torn.yml", "name: Torn\npackages: [")
    (own_folder.path / "bytes.yml").write_bytes(b"name: Bytes\ndescription: \xff\n")
    assert service.yaml("torn").yaml == "name: Torn\npackages: ["
    assert service.yaml("bytes").yaml == "name: Bytes\ndescription: \ufffd\n"
    own_folder.write("torn.yml", "name: Torn\ndescription: mended\n")
    assert service.yaml("Torn").yaml.endswith("mended\n")


def test_yaml_of_a_replaced_built_in_template_is_that_of_the_user(own_folder):
    service = TemplateService(template_folders(own_folder.path))
    assert service.yaml("Plain Shell").source == "built-in"
    own_folder.write("mine.yml", "name: Plain Shell\ndescription: mine\n")
    mine = service.yaml("Plain Shell")
    assert (mine.source, mine.yaml) == ("user", "name: Plain Shell\ndescription: mine\n")


def test_user_template_inherits_from_a_built_in_template(own_folder):
    own_folder.write("mine.yml", "name: Mine\ninherits: [jupyterlab]\npackages: {pip: [xarray]}\n")
    mine = TemplateService(template_folders(own_folder.path)).named("mine")
    assert mine.packages["pip"] == ("jupyterlab", "xarray")
    assert mine.services["jupyter"].health == "/api"
    assert mine.inherits == ("jupyterlab",)


def test_user_template_replaces_a_built_in_template_for_its_descendants_too(
    own_folder,
):
    service = TemplateService(template_folders(own_folder.path))
    assert service.named("data-science-pip").users == ("researcher",)
    own_folder.write(
        "j.yml", "name: JupyterLab\nusers: [me]\npackage_manager: pip\npackages: {pip: [j]}"
    )
    assert service.named("JupyterLab").packages == {"pip": ("j",)}
    assert service.named("data-science-pip").users == ("me",)
    assert names(service).count("JupyterLab") == 1
    assert {item.name: item.source for item in service.items()}["JupyterLab"] == "user"
    (own_folder.path / "j.yml").unlink()
    assert service.named("data-science-pip").users == ("researcher",)


@pytest.mark.parametrize(
    "slug", [item.slug for item in TemplateService(template_folders()).items()]
)
def test_user_template_named_like_a_built_in_slug_takes_only_the_slug(own_folder, slug):
    before = TemplateService(template_folders()).named(slug)
    own_folder.write("t.yml", f"name: {slug}\ndescription: mine\n")
    service = TemplateService(template_folders(own_folder.path))
    assert set(status(service).values()) == {"valid"}, "also the templates that inherit from it"
    assert service.named(slug).description == "mine"
    after = service.named(before.name)
    assert after == structs.replace(before, slug="")
    assert service.info(before.name).slug == ""
    assert [pair.name for pair in service.items() if pair.slug == slug] == [slug]
    heirs = [
        pair.name for pair in service.items() if before.name in service.info(pair.name).inherits
    ]
    for heir in heirs:
        assert service.named(heir) == TemplateService(template_folders()).named(heir)
    (own_folder.path / "t.yml").unlink()
    assert service.named(slug) == before


def test_user_template_named_like_a_slug_can_inherit_from_built_in_templates(own_folder):
    own_folder.write("t.yml", "name: jupyterlab\ninherits: [Data Science (pip)]\nusers: [me]\n")
    service = TemplateService(template_folders(own_folder.path))
    assert service.named("jupyterlab").users == ("researcher", "me")
    assert service.named("JupyterLab").users == ("researcher",)
    own_folder.write("t.yml", "name: jupyterlab\nsize: HUGE\n")
    [wrong] = [slug for slug, state in status(service).items() if state == "invalid"]
    assert wrong == "jupyterlab"


def test_slug_of_a_built_in_template_is_an_error_of_the_user_template(own_folder):
    own_folder.write("a.yml", "name: Mine\nslug: marimo\n")
    own_folder.write("b.yml", "name: Data Science (pip)\nslug: statistics\n")
    results = TemplateService(template_folders(own_folder.path)).validate().validation_results
    wrong = {result.template: places(result) for result in results if result.status == "invalid"}
    assert wrong == {"Mine": ["2: slug"], "Data Science (pip)": ["2: slug"]}


def test_invalid_replacement_of_a_built_in_template_is_an_error(own_folder):
    own_folder.write("p.yml", "name: Plain Shell\nsize: HUGE\n")
    service = TemplateService(template_folders(own_folder.path))
    with pytest.raises(TemplateInvalid) as caught:
        service.named("Plain Shell")
    assert f"{own_folder.path / 'p.yml'}:2: size: must be one of XS" in caught.value.details
    assert caught.value.message == "Template 'Plain Shell' cannot be used"
    assert caught.value.data == {"issues": [caught.value.details]}
    assert service.named("jupyterlab")


def test_invalid_template_invalidates_only_its_descendants_with_a_reason(own_folder, service):
    own_folder.write("bad.yml", "name: Bad\n\nports: [0]\n")
    own_folder.write("heir.yml", "name: Heir\ninherits:\n- Good\n- Bad\n")
    own_folder.write("grandchild.yml", "name: Grandchild\ninherits: [heir]\n")
    own_folder.write("good.yml", "name: Good\n")
    own_folder.write("unclosed.yml", "name: [x\n")
    own_folder.write("nameless.yml", "size: S\n")
    assert status(service) == {
        "Bad": "invalid",
        "Grandchild": "invalid",
        "Good": "valid",
        "Heir": "invalid",
        "nameless.yml": "invalid",
        "unclosed.yml": "invalid",
    }
    results = {r.template: r for r in service.validate().validation_results}
    assert places(results["Bad"]) == ["3: ports[0]"]
    assert places(results["Heir"]) == ["4: inherits"]
    [issue] = results["Heir"].issues
    assert issue.check == "parents"
    assert "its parent 'Bad' is invalid: must be int >= 1" in issue.message
    assert f"{own_folder.path / 'bad.yml'}:3: ports[0]" in issue.message
    assert f"{own_folder.path / 'bad.yml'}:3" in results["Grandchild"].issues[0].message
    assert places(results["nameless.yml"]) == ["1: name"]
    assert results["unclosed.yml"].checks_passed == 0
    assert service.named("good").name == "Good"
    assert names(service) == [
        "Bad",
        "Good",
        "Grandchild",
        "Heir",
    ]  # a file without a name has none
    assert [item.validation_status for item in service.items()].count("invalid") == 3


def test_cycle_and_unknown_parent_are_reported_with_file_line_and_field(own_folder, service):
    own_folder.write("a.yml", "name: a\ninherits: [b]\n").write(
        "b.yml", "name: b\n\ninherits: [a]\n"
    )
    own_folder.write("c.yml", "name: c\ninherits:\n  - nobody\n").write(
        "d.yml", "name: d\ninherits: [c]\n"
    )
    own_folder.write("e.yml", "name: e\n")
    results = {r.template: r for r in service.validate().validation_results}
    assert {name: [(i.check, i.message) for i in r.issues] for name, r in results.items()} == {
        "a": [("cycle", "it inherits itself: a → b → a")],
        "b": [("cycle", "it inherits itself: b → a → b")],
        "c": [("parents", "there is no template 'nobody'")],
        "d": [
            (
                "parents",
                "'c' cannot be inherited: there is no template 'nobody' "
                f"({own_folder.path}/c.yml:3)",
            )
        ],
        "e": [],
    }
    assert [places(results[name]) for name in "abcd"] == [
        ["2: inherits"],
        ["3: inherits"],
        ["3: inherits"],
        ["2: inherits"],
    ]


@pytest.mark.parametrize(
    ("second", "field", "why"),
    [
        ("name: One\n", "1: name", "'One' is already the name of the template in"),
        ("name: one!\n", "1: slug", "'one' already means 'One'"),
        ("name: Two\nslug: one\n", "2: slug", "'one' already means 'One'"),
        ("name: Two\nslug: One\n", "2: slug", "'One' already means 'One'"),
    ],
)
def test_duplicate_name_or_slug_is_an_error_of_the_later_file(
    own_folder, service, second, field, why
):
    own_folder.write("1.yml", "name: One\nsize: S\n").write("2.yml", second)
    [clash] = [r for r in service.validate().validation_results if r.file.endswith("2.yml")]
    assert places(clash) == [field]
    assert clash.issues[0].check == "unique"
    assert why in clash.issues[0].message
    assert service.named("One").size == service.named("one").size == "S"


def test_template_is_checked_together_with_its_inherited_fields(own_folder, service):
    """A child can complete an inherited service, and can make it invalid."""
    own_folder.write("p.yml", "name: p\nports: [80]\nservices: {web: {command: x, port: 80}}\n")
    own_folder.write("ok.yml", "name: ok\ninherits: [p]\nservices: {web: {environment: {A: b}}}\n")
    own_folder.write("moved.yml", "name: moved\ninherits: [p]\nservices:\n  web:\n    port: 81\n")
    assert service.named("ok").services["web"].environment == {"A": "b"}
    results = {r.template: r for r in service.validate().validation_results}
    assert places(results["moved"]) == ["5: services.web.port"]


def test_added_changed_and_removed_template_files_are_noticed(own_folder, service):
    assert names(service) == []
    own_folder.write("a.yml", "name: a\nsize: S\n")
    assert service.named("a").size == "S"
    own_folder.write("a.yml", "name: a\nsize: L\n")
    assert service.named("a").size == "L"
    own_folder.write("b.yaml", "name: b\ninherits: [a]\n").write(".hidden.yml", "name: h\n")
    own_folder.write("notes.txt", "name: n\n")
    assert names(service) == ["a", "b"]
    (own_folder.path / "a.yml").write_text("name: a\nsize: XXXXL\n")
    assert status(service) == {"a": "invalid", "b": "invalid"}
    (own_folder.path / "a.yml").unlink()
    assert status(service) == {"b": "invalid"}


def test_program_installed_later_makes_a_template_run_locally(own_folder):
    installed: set[str] = set()
    own_folder.write(
        "r.yml", "name: r\nports: [80]\nservices: {r: {command: R, port: 80, requires: [R]}}"
    )
    service = TemplateService([TemplateFolder(own_folder.path)], has=installed.__contains__)
    [item] = service.items()
    assert (item.runs_locally, item.local_reasons) == (
        False,
        ("r needs the program 'R', which is not on PATH",),
    )
    assert [is_local for _, is_local in service.all()] == [False]
    installed.add("R")
    [item] = service.items()
    assert (item.runs_locally, item.local_reasons) == (True, ())


def test_unchanged_templates_are_not_read_again(own_folder, service, monkeypatch):
    own_folder.write("a.yml", "name: a\n")
    first = service.items()
    monkeypatch.setattr(TemplateFolder, "files", lambda folder: pytest.fail("read again"))
    assert service.items() is first
    assert service.named("a")
    assert service.info("a")
    assert service.validate()


def test_unreadable_file_is_reported_with_the_reason(own_folder, service):
    own_folder.write("a.yml", "name: a\n")
    (own_folder.path / "folder.yml").mkdir()
    os.symlink(own_folder.path / "nowhere", own_folder.path / "link.yml")
    results = {r.template: r for r in service.validate().validation_results}
    assert results["folder.yml"].issues[0].message == "cannot be read: Is a directory"
    assert results["link.yml"].issues[0].message == "cannot be read: No such file or directory"
    assert results["a"].status == "valid"


def test_validation_counts_templates_names_errors_and_records_an_event(own_folder, tmp_path):
    own_folder.write("a.yml", "name: a\n").write("b.yml", "name: b\nsize: Q\nports: [0]\n")
    db = Database(
        f"sqlite:///{tmp_path}/s.db", StoppedClock(datetime(2026, 1, 1, tzinfo=UTC)), Bus()
    )
    metadata.create_all(db.writer)
    try:
        service = TemplateService(
            [TemplateFolder(own_folder.path)], db, lambda: "ada", machine_type
        )
        done = service.validate()
        [fact] = db.events_after(0)
    finally:
        db.close()
    assert (done.total_templates, done.validated) == (2, 1)
    assert done.errors == (
        f"{own_folder.path}/b.yml:2: size: must be one of XS, S, M, L, XL",
        f"{own_folder.path}/b.yml:3: ports[0]: must be int >= 1",
    )
    assert (fact.event, fact.actor, fact.subject) == (
        "template_validation_completed",
        "ada",
        "templates",
    )
    assert fact.data == {"total_templates": 2, "validated": 1, "errors": [*done.errors]}


def test_info_contains_inherited_fields_and_dependency_chains(own_folder, service):
    own_folder.write(
        "top.yml", "name: top\nbase: debian-12\npackage_manager: apt\npackages: {apt: [git]}"
    )
    own_folder.write("l.yml", "name: l\ninherits: [top]\nusers: [u]\n")
    own_folder.write("r.yml", "name: r\ninherits: [top]\nports: [22]\n")
    own_folder.write(
        "b.yml",
        "name: b\ninherits: [l, r]\npackage_manager: conda\n"
        "packages: {conda: [numpy, git], pip: [numpy, scipy]}\n",
    )
    info = service.info("b")
    assert info.inherits == ("l", "r")
    assert info.dependency_chain == ("top → l → b", "top → r → b")
    assert info.resolved_packages == ("git", "numpy")  # scipy is an equivalent for local only
    assert (info.resolved_users, info.resolved_ports) == (("u",), (22,))
    assert info.runs_locally
    assert service.info("top").dependency_chain == ("top",)
    assert service.info("top").local_reasons[0].startswith("its packages come from apt")


def test_built_in_folder_exists_in_the_package():
    assert BUILT_IN.is_dir()
    assert [folder.builtin for folder in template_folders()] == [True]
