"""Requests that Schemathesis generates from the OpenAPI description are answered as described."""

import pytest

from prism.access.model import NewToken, Scope
from tests.proofs import record
from tests.robustness.explorer import PHASES, explore
from tests.robustness.world import OPERATIONS, all_but_every

LITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
FULL = pytest.mark.parametrize("url", ["postgres"], indirect=True)
# Without the event streams and the proxies; with the shutdown.
EVERY = (
    len(
        [
            operation
            for operation in OPERATIONS
            if not operation.path.startswith(("/web-", "/dcv-"))
        ]
    )
    + 1
)


def assert_clean(exploration, operations=EVERY):
    """Assert that every operation was tried without a failure."""
    assert exploration.wrong == []
    assert not [status for status in exploration.statuses if status >= 500]
    assert len(exploration.operations) >= operations
    return exploration


@LITE
def test_schema_edges_of_every_seventh_path_are_answered_as_described(daemon):
    # `test_edges.py` sends unknown methods.
    exploration = explore(daemon.app, phases=["coverage"], skip=[all_but_every(7)], methods=())
    assert assert_clean(exploration, EVERY // 10).total > 200


@pytest.mark.slow
@LITE
def test_schema_edges_of_every_path_are_answered_as_described(daemon):
    exploration = assert_clean(explore(daemon.app, phases=["coverage"]))
    assert exploration.total > 1500


@FULL
def test_fuzzed_and_stateful_requests_are_answered_as_described(daemon):
    exploration = assert_clean(explore(daemon.app, phases=["fuzzing", "stateful"], examples=3))
    assert exploration.cases["stateful"] > 5


@pytest.fixture
def team_daemon(make_daemon):
    return make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")


@pytest.mark.slow  # `tests/access/test_rules.py` requests each route without a token
@LITE
def test_fuzzed_requests_without_a_token_are_answered_401_in_team_mode(team_daemon):
    exploration = assert_clean(explore(team_daemon.app, phases=["fuzzing"]))
    assert set(exploration.statuses) == {401}


@pytest.mark.slow  # the same operations are tested in local mode in `make test`
@LITE
def test_fuzzed_requests_with_a_token_are_answered_as_described_in_team_mode(team_daemon):
    order = NewToken(name="op", user="ada@x.org", scope=Scope.ADMIN)
    headers = {"Authorization": f"Bearer {team_daemon.tokens.create(order).token}"}
    exploration = assert_clean(explore(team_daemon.app, phases=["fuzzing"], headers=headers))
    assert exploration.statuses[200] > 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_generated_cases_are_answered_as_described(daemon, request):
    exploration = assert_clean(explore(daemon.app, phases=PHASES, examples=150))
    assert exploration.total >= 10_000, "20,000 on both databases together"
    kind = "PostgreSQL" if daemon.db.shared else "SQLite"
    cases = ", ".join(
        f"{number:,} {name}" for name, number in sorted(exploration.cases.items()) if number
    )
    answers = ", ".join(
        f"{number:,} × {code}" for code, number in sorted(exploration.statuses.items())
    )
    record(
        f"Robustness of the API: {kind}",
        f"{exploration.total:,} cases over all {len(exploration.operations)} operations "
        f"({cases}). Answers: {answers}",
    )
