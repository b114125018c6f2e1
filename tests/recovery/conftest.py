"""A daemon that has lost its database, and a cloud that has not lost its machines."""

import pytest

from prism.kit.tables import metadata
from tests.conftest import Http


@pytest.fixture
def start_anew(make_daemon):
    """A new daemon on the same database, of which nothing is left."""

    def start(daemon, **settings):
        with daemon.db.writer.begin() as sql:
            for table in reversed(metadata.sorted_tables):
                sql.execute(table.delete())
        return make_daemon(**settings)

    return start


class Desk:
    """What an operator asks of one daemon."""

    def __init__(self, daemon):
        self.daemon, self.http = daemon, Http(daemon.app)

    def get(self, path):
        answer = self.http("GET", f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path, status=None, **body):
        answer = self.http("POST", f"/api/v1/{path}", json=body)
        assert answer.status_code == (status or answer.status_code), answer.text
        return answer.json()

    def orphans(self):
        return self.get("orphans")["orphans"]

    def recover(self, **body):
        return self.post("recover", 200, **body)

    def states(self):
        return {it["name"]: it["state"] for it in self.get("instances")}


@pytest.fixture
def desk():
    return Desk
