"""Limits of a control group; the files of the kernel are played here."""

from prism.agent.freezer import set_limit


def group(tmp_path, **controls):
    """A group two below one that hands out these controllers."""
    path = tmp_path / "prism" / "local-1"
    path.mkdir(parents=True)
    for above in (tmp_path, path.parent):
        (above / "cgroup.subtree_control").write_text(controls.get("given", ""))
    return path


def test_processes_are_limited_and_the_controller_is_asked_for(tmp_path):
    path = group(tmp_path)
    assert set_limit(path, "pids", 4112)
    assert (path / "pids.max").read_text() == "4112"
    for above in (tmp_path, path.parent):
        assert (above / "cgroup.subtree_control").read_text() == "+pids"


def test_a_controller_that_is_there_is_not_asked_for_again(tmp_path):
    path = group(tmp_path, given="cpu memory")
    assert set_limit(path, "memory", 512 << 20)
    assert (path / "memory.max").read_text() == str(512 << 20)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "cpu memory"


def test_where_there_is_no_such_controller_nothing_is_limited(tmp_path):
    assert not set_limit(tmp_path / "prism" / "local-1", "pids", 4112)
