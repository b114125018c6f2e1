"""What list pages read of money comes from memory, except within a transaction."""


def test_a_page_reads_from_memory_and_a_transaction_does_not(clocked_daemon):
    clocked_daemon.pool("grant", 10.0)
    cache, db = clocked_daemon.daemon.wiring.budget_cache, clocked_daemon.daemon.db
    with db.read() as sql:
        [pool] = cache.of(sql).rows.pools.values()
    assert pool.name == "grant"
    with db.write() as tx:
        assert cache.of(tx.sql) is None, "it lacks what the transaction has changed"
