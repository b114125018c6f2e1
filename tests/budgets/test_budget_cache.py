"""Lists read amounts from the budget cache; write transactions do not."""

from prism.budgets.balances import every_cap


def test_budget_cache_serves_reads_but_not_write_transactions(clocked_daemon):
    clocked_daemon.pool("grant", 10.0)
    cache, db = clocked_daemon.daemon.budget_cache, clocked_daemon.daemon.db
    with db.read() as sql:
        [pool] = cache.of(sql).rows.pools.values()
    assert pool.name == "grant"
    with db.write() as tx:
        assert cache.of(tx.sql) is None, "the cache lacks changes of the transaction"


def test_budget_cache_of_settled_money_excludes_reservations(clocked_daemon):
    clocked_daemon.pool("grant", 100.0)
    clocked_daemon.project("lab")
    clocked_daemon.allocate("grant", "lab", 50.0)
    clocked_daemon.running(project="lab")
    clocked_daemon.settle(minutes=30)
    cache, db = clocked_daemon.daemon.budget_cache, clocked_daemon.daemon.db
    with db.read() as sql:
        full, settled = cache.of(sql).reader, cache.of(sql, settled_only=True).reader
        for cap in every_cap(sql):
            whole, part = full.balance(cap), settled.balance(cap)
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
