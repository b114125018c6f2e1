"""Below a transaction: drivers and their errors, migrations, a full disk, versions for caches."""
