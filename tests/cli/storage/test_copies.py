"""`prism snapshot copies` and `prism snapshot schedules`."""

COPY = {
    "id": "copy_1",
    "snapshot": "kept",
    "source_type": "volume",
    "source": "data",
    "destination": "/mnt/disk",
    "state": "copying",
    "progress": 40,
    "total_bytes": None,
    "added_bytes": None,
    "remote_id": None,
    "same_disk": None,
    "verify": "full",
    "verified_at": None,
    "created_at": "2026-01-02T03:04:05Z",
    "ended_at": None,
    "schedule": None,
    "project": None,
    "failure": None,
}
SCHEDULE = {
    "id": "schedule_1",
    "source_type": "volume",
    "source": "data",
    "destination": "/mnt/disk",
    "every": "daily",
    "keep": 7,
    "verify": "full",
    "next_run": "2026-01-02T03:04:05Z",
    "running": True,
    "last_success": None,
    "failure": None,
}


def test_copy_that_is_under_way_is_listed(prism, server):
    server.on("GET /copies", [COPY])
    done = prism("snapshot", "copies")
    assert done.returncode == 0, done.stderr
    assert "copying 40%" in done.stdout


def test_schedule_whose_first_copy_is_not_done_is_listed(prism, server):
    server.on("GET /copy-schedules", [SCHEDULE])
    done = prism("snapshot", "schedules")
    assert done.returncode == 0, done.stderr
    assert "now" in done.stdout
