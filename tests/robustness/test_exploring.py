"""Whatever the description makes thinkable is answered as the description says."""

import pytest

from prism.access.model import NewToken, Scope
from tests.proofs import record
from tests.robustness.explorer import PHASES, explore
from tests.robustness.world import OPERATIONS, all_but_every

LITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
FULL = pytest.mark.parametrize("url", ["postgres"], indirect=True)
# Without the two streams, and content, which is the workspace's own; with the shutdown.
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


def clean(exploration, operations=EVERY):
    """Every operation was tried, and nothing was wrong."""
    assert exploration.wrong == []
    assert not [status for status in exploration.statuses if status >= 500]
    assert len(exploration.operations) >= operations
    return exploration


@LITE
def test_each_edge_of_schemas_of_all_kinds(daemon):
    # `test_edges.py` asks by methods that an address does not know.
    exploration = explore(daemon.app, phases=["coverage"], skip=[all_but_every(7)], methods=())
    assert clean(exploration, EVERY // 10).total > 200


@pytest.mark.slow
@LITE
def test_each_edge_of_each_schema(daemon):
    exploration = clean(explore(daemon.app, phases=["coverage"]))
    assert exploration.total > 1500


@FULL
def test_what_comes_to_mind_one_after_the_other(daemon):
    exploration = clean(explore(daemon.app, phases=["fuzzing", "stateful"], examples=3))
    assert exploration.cases["stateful"] > 5


@pytest.fixture
def team_daemon(make_daemon):
    return make_daemon(auth="tokens", user="ada@x.org", smtp_url="smtp://127.0.0.1:1")


@pytest.mark.slow  # `tests/access/test_rules.py` asks for each route without a token
@LITE
def test_a_team_lets_nobody_in_who_says_not_who(team_daemon):
    exploration = clean(explore(team_daemon.app, phases=["fuzzing"]))
    assert set(exploration.statuses) == {401}


@pytest.mark.slow  # the same operations as of a person's own daemon, which stay in `make test`
@LITE
def test_a_team_lets_in_who_has_a_token(team_daemon):
    order = NewToken(name="op", user="ada@x.org", scope=Scope.ADMIN)
    headers = {"Authorization": f"Bearer {team_daemon.tokens.create(order).token}"}
    exploration = clean(explore(team_daemon.app, phases=["fuzzing"], headers=headers))
    assert exploration.statuses[200] > 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_cases(daemon, request):
    exploration = clean(explore(daemon.app, phases=PHASES, examples=150))
    assert exploration.total >= 10_000, "on each of two databases"
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
