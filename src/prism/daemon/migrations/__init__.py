"""The schema's history: one file a step, run by `kit/migrate.py`."""

from pathlib import Path

FOLDER = Path(__file__).parent
