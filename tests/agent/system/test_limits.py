"""Limits of a control group; plain files stand for those of the kernel."""

from prism.agent.system.freezer import set_limit


def nested_group(tmp_path, **controls):
    """A group two levels below one with these controllers."""
    path = tmp_path / "prism" / "local-1"
    path.mkdir(parents=True)
    for above in (tmp_path, path.parent):
        (above / "cgroup.subtree_control").write_text(controls.get("given", ""))
    return path


def test_limit_is_written_and_its_controller_is_enabled(tmp_path):
    path = nested_group(tmp_path)
    assert set_limit(path, "pids", 4112)
    assert (path / "pids.max").read_text() == "4112"
    for above in (tmp_path, path.parent):
        assert (above / "cgroup.subtree_control").read_text() == "+pids"


def test_limit_does_not_enable_an_enabled_controller_again(tmp_path):
    path = nested_group(tmp_path, given="cpu memory")
    assert set_limit(path, "memory", 512 << 20)
    assert (path / "memory.max").read_text() == str(512 << 20)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "cpu memory"


def test_limit_is_not_set_without_a_control_group(tmp_path):
    assert not set_limit(tmp_path / "prism" / "local-1", "pids", 4112)
