"""The books: lists share what they read, and requests read it again."""

from sqlalchemy import Engine, event

from prism.projects import store as projects


def test_lists_of_one_second_share_what_they_read_and_transactions_do_not(clocked_daemon):
    clocked_daemon.pool("grant", 10.0)
    reader, db = clocked_daemon.daemon.books, clocked_daemon.daemon.db
    with db.read() as sql:
        first, second = reader.open_whole(sql), reader.open_whole(sql)
        [pool] = first.pools().values()
        assert second.pools() is first.pools()
        assert reader.open(sql).pools() is not first.pools()
    assert pool.name == "grant"
    clocked_daemon.clock.advance(seconds=1)
    with db.read() as sql:
        later = reader.open_whole(sql)
        assert later._sums is not first._sums, "another second"
        assert later.pools() is first.pools(), "which has not changed"
    clocked_daemon.pool("gift", 10.0)
    with db.write() as tx:
        assert reader.open_whole(tx.sql).pools().keys() > first.pools().keys()
        assert reader.open_whole(tx.sql)._sums is None, "its own changes have no version"


def test_books_read_thresholds_without_what_is_reserved(clocked_daemon):
    clocked_daemon.pool("grant", 100.0)
    clocked_daemon.project("lab")
    clocked_daemon.allocate("grant", "lab", 50.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=30)
    with clocked_daemon.daemon.db.read() as sql:
        for books in (
            clocked_daemon.daemon.books.open_whole(sql),
            clocked_daemon.daemon.books.open(sql),
        ):
            [lab] = projects.every(sql)
            whole, part = (books.threshold_balance(lab, reserved=flag) for flag in (True, False))
            assert whole.reserved > 0 == part.reserved
            assert whole.settled == part.settled > 0


def test_project_list_shows_a_budget_change_within_the_same_second(clocked_daemon):
    lab = clocked_daemon.project("lab", 10.0)
    for amount in (10.0, 20.0):
        clocked_daemon.put(f"projects/{lab['id']}", budget={"total_allocated": amount})
        [listed] = clocked_daemon.get("projects")
        assert listed["budget"]["total_allocated"] == amount
        assert listed["budget"]["left"] == amount
        assert listed["budget"]["current_spend"] == 0.0, "known, because no price is missing"


def test_project_budgets_are_read_without_a_pool_query_per_project(clocked_daemon):
    for name in ("one", "two"):
        clocked_daemon.project(name)
        clocked_daemon.pool(f"grant-{name}", 10.0)
        clocked_daemon.allocate(f"grant-{name}", name, 5.0)
    statements: list[str] = []

    def record_statement(_connection, _cursor, statement, *_):
        statements.append(statement)

    with clocked_daemon.daemon.db.read() as sql:
        listed = projects.every(sql)
        event.listen(Engine, "before_cursor_execute", record_statement)
        try:
            books = clocked_daemon.daemon.books.open_whole(sql)
            assert [books.money(project).left for project in listed] == [5_000_000, 5_000_000]
        finally:
            event.remove(Engine, "before_cursor_execute", record_statement)
    assert len([statement for statement in statements if "FROM pools" in statement]) == 1
