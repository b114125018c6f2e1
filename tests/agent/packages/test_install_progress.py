"""The progress of an installation, read from the output of uv."""

import pytest

from prism.agent.packages.install_progress import InstallProgress

LINES = (
    ("Using Python 3.11.7 environment at: v", "packages", 20),
    ("Resolved 92 packages in 558ms", "packages: 92 chosen", 20),
    ("Downloading jedi (4.7MiB)", "packages: 92, 0 of at least 5 MiB downloaded", 20),
    ("Downloading lab (16.5MiB)", "packages: 92, 0 of at least 21 MiB downloaded", 20),
    ("Downloading small (512.0KiB)", "packages: 92, 0 of at least 22 MiB downloaded", 20),
    (" Downloaded jedi", "packages: 92, 5 of at least 22 MiB downloaded", 30),
    (" Downloaded never-announced", "packages: 92, 5 of at least 22 MiB downloaded", 30),
    ("Prepared 92 packages in 5.85s", "packages: installing 92", 30),
    ("Installed 92 packages in 692ms", "packages: installing 92", 80),
    (" + anyio==4.16.0", "packages: installing 92", 80),
)


def test_install_progress_follows_the_output_of_uv():
    progress = InstallProgress()
    for line, stage, percent in LINES:
        progress.add_line(line)
        assert (progress.stage, progress.percent) == (stage, percent), line


def test_install_progress_reports_only_lines_that_change_it():
    progress = InstallProgress()
    news = [line for line, *_ in LINES if progress.add_line(line)]
    assert news == [line for line, *_ in LINES[1:-1]]


def test_install_progress_of_cached_packages_shows_no_download():
    progress = InstallProgress()
    progress.add_line("Resolved 1 package in 3ms")
    progress.add_line("Installed 1 package in 3ms")
    assert progress.stage == "packages: installing 1"


@pytest.mark.parametrize(
    "size", ["(1e999MiB)", "(-4MiB)", "(nanMiB)", "(4MiB", "(4TiB)", f"({'9' * 400}MiB)"]
)
def test_install_progress_ignores_invalid_sizes(size):
    progress = InstallProgress()
    progress.add_line("Resolved 1 package in 3ms")
    progress.add_line(f"Downloading x {size}")
    assert progress.stage == "packages: 1 chosen"


def test_install_progress_counts_at_most_1000_downloads():
    progress = InstallProgress()
    progress.add_line("Resolved 1 package in 3ms")
    for number in range(5000):
        progress.add_line(f"Downloading x{number} (1.0MiB)")
    assert "of at least 1000 MiB" in progress.stage
