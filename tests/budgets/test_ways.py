"""How many files and functions a request runs through; the bounds may only become smaller.

What is counted: functions of `src/prism` that run for the request, in a daemon whose loops stand
still. Each kind of request was answered once before, so nothing is built or read for the first
time, except that `projects` reads the project again that has changed since (decision 066).
`pytest -s` prints the ways. If you shorten one, lower its bound.
"""

import sys

import pytest

from tests.budgets.ways import way_of

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12"
)
ORDER = {"project": "lab", "ttl_hours": 4, "storage": {"ebs_volume_size": 8}}
# Files and functions, as counted. In each request, a file and five functions count requests for
# metrics.
BOUNDS = {
    "refused launch": (61, 219),
    "launch": (73, 266),
    "projects": (28, 131),
    "stop": (49, 137),
    "terminate": (53, 156),
    "list": (13, 47),
}


@pytest.fixture
def funded_lab(clocked_daemon):
    """A project with a cap of its own and an allocation, in which each request was made once."""
    lab = clocked_daemon
    lab.project("lab", 40.0)
    lab.pool("grant", 100.0, "monthly")
    lab.allocate("grant", "lab", 50.0)
    lab.running("first", **ORDER)
    assert lab.launch("refused", **ORDER | {"ttl_hours": 700}).status_code == 403
    lab.get("projects")
    lab.get("instances")
    assert lab.verb("first", "stop").status_code == 200
    lab.settle()
    assert lab.verb("first", "terminate", confirm="DELETE").status_code == 200
    lab.settle(minutes=1)
    return lab


def test_ways_of_requests_for_money_do_not_become_longer(funded_lab):
    lab = funded_lab
    ways = {
        "refused launch": way_of(lambda: lab.launch("refused", **ORDER | {"ttl_hours": 700}), 403),
        "launch": way_of(lambda: lab.launch("second", **ORDER), 201),
    }
    lab.settle()
    ways["projects"] = way_of(lambda: lab.http("GET", "/api/v1/projects"), 200)
    ways["list"] = way_of(lambda: lab.http("GET", "/api/v1/instances"), 200)
    ways["stop"] = way_of(lambda: lab.verb("second", "stop"), 200)
    lab.settle()
    ways["terminate"] = way_of(lambda: lab.verb("second", "terminate", confirm="DELETE"), 200)
    for name, way in ways.items():
        sys.stdout.write(f"\n== {name}: {way}\n")
    longer = {
        name: (way.files, way.functions)
        for name, way in ways.items()
        if way.files > BOUNDS[name][0] or way.functions > BOUNDS[name][1]
    }
    assert not longer, f"longer than {BOUNDS}; what runs is printed above"
