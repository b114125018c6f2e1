"""The real daemon over HTTP, with machines in memory that cost as much as EC2's."""

from datetime import timedelta

from prism.daemon.main import run
from prism.kit.clock import WallClock
from prism.providers.local.location import location_of
from prism.settings import Settings
from tests.doubles.memory import MemoryComputer

if __name__ == "__main__":
    settings = Settings.read()
    machines = MemoryComputer(WallClock(), busy=timedelta(milliseconds=200))
    raise SystemExit(run(settings, {location_of(settings.folder): machines}))
