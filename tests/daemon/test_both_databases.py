"""Queries that other tests run on one database only, here on both."""

from datetime import timedelta

import pytest

from prism.audit import store as audit
from prism.audit.model import AuditQuery, AuditReader
from prism.profiles import store as profiles
from prism.storage import store as storage
from prism.workspaces import store as workspaces
from tests.conftest import LOCATION

pytestmark = pytest.mark.postgres


def test_places_are_selected_by_prefix_without_wildcards(daemon, http):
    assert http.launch().status_code == 201
    body = {"type": "ebs", "name": "data", "size_gb": 8}
    assert http("POST", "/api/v1/storage/volumes/create", json=body).status_code == 201
    with daemon.db.read() as sql:
        assert [location for location, _ in workspaces.locations(sql, LOCATION[:5])] == [LOCATION]
        assert storage.locations(sql, LOCATION[:5]) == [LOCATION]
        assert workspaces.locations(sql, f"_{LOCATION[1:5]}") == []
        assert storage.locations(sql, "%") == []


def test_profile_is_in_use_after_a_switch(daemon, http):
    [name] = [entry.name for entry in daemon.profiles.every()]
    http("POST", "/api/v1/profiles/switch", json={"profile_name": name})
    with daemon.db.read() as sql:
        assert profiles.in_use(sql) == [name]


def test_audit_page_filters_by_subject_time_and_reader(daemon, http, clock):
    body = {"name": "lab"}
    assert http("POST", "/api/v1/projects", json=body).status_code == 201
    since = clock.now() - timedelta(hours=1)
    query = AuditQuery(subject="lab", since=since)
    with daemon.db.read() as sql:
        answers = [
            audit.page(sql, query, AuditReader(name, ()), range(1, 99)) for name in ("ada", "eve")
        ]
    assert [{entry.subject for entry in entries} for entries in answers] == [{"lab"}, set()]
