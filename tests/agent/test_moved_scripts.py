"""Scripts of an environment that was moved run where it is now; other files stay."""

import pytest

from prism.agent.moved_scripts import corrected, main

OLD, NEW = b"/old/venv", b"/new/venv"


@pytest.mark.parametrize(
    ("name", "text", "after"),
    [
        ("pip", b"#!/old/venv/bin/python\nprint()\n", b"#!/new/venv/bin/python\nprint()\n"),
        ("pip", b"#!/usr/bin/sh\n/old/venv\n", b"#!/usr/bin/sh\n/old/venv\n"),
        ("data", b"/old/venv", b"/old/venv"),
        ("activate", b"a\nVIRTUAL_ENV='/old/venv'\n", b"a\nVIRTUAL_ENV='/new/venv'\n"),
    ],
)
def test_first_line_names_the_new_place(name, text, after):
    assert corrected(text, name, OLD, NEW) == after


def test_links_and_large_files_are_left_alone(tmp_path):
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    outside, script = tmp_path / "outside", venv / "bin" / "script"
    for path in (outside, script):
        path.write_bytes(b"#!/old/venv/bin/python\n")
        path.chmod(0o750)
    (venv / "bin" / "link").symlink_to(outside)
    (venv / "bin" / "large").write_bytes(b"#!/old/venv/bin/python\n" + bytes(2_000_000))
    main(venv, "/old/venv", "/new/venv")
    assert script.read_bytes() == b"#!/new/venv/bin/python\n"
    assert script.stat().st_mode & 0o777 == 0o750
    assert outside.read_bytes() == b"#!/old/venv/bin/python\n"
    assert (venv / "bin" / "large").read_bytes().startswith(b"#!/old")
