"""Which limits apply to whom."""

from datetime import UTC, datetime

from prism.budgets.model import Holder
from prism.limits.model import Limit
from prism.limits.plan import applicable

AT = datetime(2026, 1, 1, tzinfo=UTC)


def limit(id, scope, subject, project=None, *, by_operator=True):
    return Limit(
        id=id,
        scope=scope,
        subject=subject,
        project=project,
        by_operator=by_operator,
        workspaces=1,
        set_by="ada",
        set_at=AT,
    )


def held(limits, owner="bob@x", project="reef", role="member", tokens=()):
    rows = applicable(limits, owner, project, role=role, tokens=tokens)
    return {(held.limit.id, held.holder.project) for held in rows}


def test_a_person_has_the_limits_of_the_project_and_of_everywhere():
    rows = [
        limit("everywhere", "person", "bob@x"),
        limit("reef", "person", "BOB@x", "reef"),
        limit("tide", "person", "bob@x", "tide"),
        limit("eve", "person", "eve@x"),
    ]
    assert held(rows) == {("everywhere", None), ("reef", "reef")}


def test_an_own_limit_replaces_a_default_of_the_same_authority_and_place():
    default, mine = limit("all", "person", "*"), limit("mine", "person", "bob@x")
    assert held([default]) == {("all", None)}
    assert held([default, mine]) == {("mine", None)}
    assert held([default, mine], owner="eve@x") == {("all", None)}
    role = limit("role", "role", "member", "reef")
    by_owner = limit("by-owner", "person", "bob@x", "reef", by_operator=False)
    assert held([default, role]) == {("all", None), ("role", "reef")}
    assert held([role, by_owner]) == {("role", "reef"), ("by-owner", "reef")}, (
        "an owner of the project cannot replace the operator's default"
    )
    assert held([role], role="admin") == set()


def test_a_default_of_a_role_counts_in_each_project_by_itself():
    role = limit("role", "role", "member")
    assert held([role], project="reef") == {("role", "reef")}
    assert held([role], project="tide") == {("role", "tide")}


def test_a_token_is_limited_whoever_owns_what_it_made():
    [applied] = applicable(
        [limit("t", "token", "tok_1"), limit("u", "token", "tok_2")],
        "bob@x",
        "reef",
        role=None,
        tokens={"tok_1"},
    )
    assert applied.holder == Holder("token", "tok_1")
