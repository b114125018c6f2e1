"""The migrations of the schema, which `kit/database/migrate.py` runs."""

from pathlib import Path

MIGRATIONS_FOLDER = Path(__file__).parent
