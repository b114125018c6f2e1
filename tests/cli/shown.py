"""A workspace as the daemon shows it."""

from typing import Any


def workspace(name: str = "mine", state: str = "running", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "id": "local-0123456789abcdef0",
        "state": state,
        "public_ip": None,
        "private_ip": "127.0.0.1",
        "instance_type": "t3.medium",
        "machine": "this computer, at most 2 cores and 4 GiB of memory",
        "region": "local",
        "template": "Plain Shell",
        "launch_time": "2026-01-01T00:00:00Z",
        "hourly_rate": None,
        "current_spend": None,
        "hibernation_capable": True,
        "attached_volumes": [],
        "attached_ebs_volumes": [],
        "tags": {},
        "profile": "local",
        "launch_progress": 100,
        "progress": 100,
        "stage": None,
        "expires_at": None,
        "failure": None,
        "idle": {"profile": None, "idle_minutes": None, "verdict": None},
        "price_source": None,
    } | more


def changed(previous: str, new: str, **more: Any) -> dict[str, Any]:
    return {"name": "mine", "previous_state": previous, "new_state": new} | more


def launched(**more: Any) -> dict[str, Any]:
    return {
        "name": "mine",
        "instance_id": None,
        "state": "launching",
        "estimated_ready_time": "2026-01-01T00:01:00Z",
        "hourly_rate": None,
        "launch_progress": 0,
        "notes": [],
    } | more


FORWARD = "ssh -L 9000:localhost:9000 -p 2222 mine@127.0.0.1"
CONNECTION = {
    "ssh": {"command": "ssh -p 2222 mine@127.0.0.1", "host": "127.0.0.1", "user": "mine"},
    "services": {
        "files": {"url": "http://127.0.0.1:9000", "local_forward": FORWARD},
        "jupyter": {"url": "http://127.0.0.1:8888", "token": "t/k"},
        "rstudio": {"url": "http://127.0.0.1:8787", "username": "ada", "password": "secret"},
    },
}
