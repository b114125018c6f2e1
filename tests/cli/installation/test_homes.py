"""Homes whose path is unusual: every verb works, also those that use other programs."""

import pytest

from tests.project.home import Home
from tests.waiting import eventually

UNUSUAL = "it's a,b;c&d(e)$f%g#h?i*j[k]=é ü"


def commands(folder):
    """All verbs of a workspace and of its data, in an order in which they are possible."""
    file, backup = folder / "file", folder / "backup"
    file.write_text("text")
    return [
        ["launch", "plain-shell", "one"],
        ["exec", "one", "--", "sh", "-c", 'test -d "$HOME"'],
        ["ssh", "one", "true"],
        ["cp", str(file), "one:copied"],
        ["files", "put", "one", str(file), "put"],
        ["files", "ls", "one"],
        ["volume", "create", "data", "--size", "1"],
        ["volume", "attach", "data", "one"],
        ["exec", "one", "--", "sh", "-c", "echo text > volumes/data/file"],
        ["snapshot", "create", "s", "--volume", "data"],
        ["snapshot", "restore", "s", "data2"],
        ["snapshot", "verify", "s"],
        ["hibernate", "one"],
        ["resume", "one"],
        ["stop", "one"],
        ["start", "one"],
        ["restart", "one"],
        ["volume", "detach", "data"],
        ["logs", "one"],
        ["ssh-config"],
        ["backup", str(backup)],
        ["clean"],
        ["terminate", "one", "--yes"],
        ["volume", "delete", "data", "--yes"],
        ["daemon", "stop"],
        ["restore", str(backup), "--yes"],
        ["list"],
    ]


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.parametrize("kind", ["unusual", "long"])
def test_every_verb_works_in_a_home_with_an_unusual_path(tmp_path, kind):
    parent = tmp_path
    while kind == "long" and len(str(parent)) < 330:
        parent /= "d" * 100
    parent.mkdir(parents=True, exist_ok=True)
    home = Home(parent / UNUSUAL)
    try:
        for words in commands(tmp_path):
            done = home.cli(*words)
            assert done.returncode == 0, (words, done.stderr)
    finally:
        home.cli("daemon", "stop")
        eventually(lambda: not home.answers())
        home.clear()


@pytest.mark.parametrize("name", ['a"b', "a\\b", "/".join("d" * 200 for _ in range(12))])
def test_home_whose_path_is_refused_is_no_trouble_of_the_database(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    home = Home(tmp_path / "home").at(tmp_path / name)
    done = home.cli("list")
    assert done.returncode == 3
    assert "at most 450 bytes without quotation marks" in done.stderr
    assert "database" not in done.stderr
    assert list(home.folder.iterdir()) == [home.folder / "daemon.log"]
