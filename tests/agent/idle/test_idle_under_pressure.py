"""The idle verdict on a busy computer, with a simulated scheduler and disk.

An idle server wakes up once a second, and for each request whether it is idle. On a busy
computer it then waits for a processor or a disk, so samples often show it waiting. A job waits
too, but all the time. Clock and load are simulated, so the load of the test computer does not
matter.
"""

import random

import pytest

from prism.agent.idle import samples
from prism.agent.idle.idle_watch import MAX_INTERVAL, SHARE
from prism.agent.idle.verdict import Sample, is_due, judge
from prism.agent.protocol import IdleSettings

TICK, THRESHOLD = 0.01, 60.0
LIMITS = {"cpu": 5.0}
RULE = IdleSettings(profile="test", seconds=THRESHOLD, action="stop", limits=LIMITS)
EVERY = min(THRESHOLD / SHARE, MAX_INTERVAL)


class SimulatedProcess:
    """One process among `rivals` that always want the processor, with a slow disk."""

    def __init__(self, chance, rivals, blocked):
        self.chance, self.rivals, self.blocked = chance, rivals, blocked
        self.needs = self.at_disk = self.own = self.waited = 0.0
        self.moved = self.stuck = 0

    def live(self, seconds):
        """Let time pass."""
        for _ in range(round(seconds / TICK)):
            self.wake()
            if self.at_disk > 0:
                self.at_disk -= TICK
            elif self.needs > 0:
                if self.chance.random() < 1 / (1 + self.rivals):
                    self.own += TICK
                    self.needs -= TICK
                else:
                    self.waited += TICK

    def sample(self, at):
        """A sample of the process."""
        life = samples.ProcessSample(
            pid=1, name="it", began="1", group=1, session=1, terminal=0, foreground=0,
            own=self.own, children=0.0, memory=2**20, wants=self.needs > 0 or self.at_disk > 0,
            parent=0, waited=self.waited, moved=self.moved,
        )  # fmt: skip
        return samples.SystemSample(at, at, {(1, "1"): life}, None, None)

    def wake(self):
        """Begin work of its own."""

    def answer_idle_request(self):
        """Answer the request whether it is idle."""

    def maybe_wait_for_disk(self):
        if self.chance.random() < self.blocked:
            self.at_disk += self.chance.uniform(0.1, 2.0)
            self.moved += 4096


class IdleServer(SimulatedProcess):
    def wake(self):
        if self.chance.random() < TICK:  # once a second
            self.needs += TICK
            self.maybe_wait_for_disk()

    def answer_idle_request(self):
        self.needs += 0.03
        self.maybe_wait_for_disk()


class StarvedJob(SimulatedProcess):
    """Computes without end; gets as little CPU time as its rivals leave."""

    def wake(self):
        self.needs = 1.0


class DiskJob(SimulatedProcess):
    """Writes without end to a slow disk, with short pauses."""

    def wake(self):
        if self.at_disk <= 0 and self.chance.random() < 0.3:
            self.at_disk = self.chance.uniform(0.5, 1.5)
            self.moved += 8192


def seconds_until_idle_action(process, most):
    """The time after which the idle action is due, in seconds; none if it is not due by `most`."""
    at, known, before, stuck = 0.0, None, process.sample(0.0), 0
    while at < most:
        process.live(EVERY)
        at += EVERY
        now = process.sample(at)
        work = tuple(samples.wanting(before, now))
        stuck += bool(now.processes[1, "1"].wants)
        sample = samples_of(before, now, work)
        known, before = judge(known, sample, LIMITS), now
        process.answer_idle_request()
        process.stuck = stuck
        if is_due(known, RULE, at):
            return at
    return None


def samples_of(before, now, work):
    return Sample(before.wall, now.wall, samples.figures(before, now, 0), work)


@pytest.mark.parametrize(("rivals", "blocked"), [(0, 0.0), (12, 0.0), (3, 0.5), (12, 0.5)])
def test_idle_server_sleeps_in_time_even_if_samples_show_it_waiting(rivals, blocked):
    stuck = 0
    for seed in range(20):
        process = IdleServer(random.Random(seed), rivals, blocked)
        at = seconds_until_idle_action(process, 10 * THRESHOLD)
        assert at is not None, f"seed {seed}"
        assert at <= 1.5 * THRESHOLD, f"seed {seed}"
        stuck += process.stuck
    assert bool(stuck) is bool(rivals or blocked), "under load some samples show it waiting"


@pytest.mark.parametrize("kind", [StarvedJob, DiskJob])
@pytest.mark.parametrize("rivals", [30, 200])
def test_starved_job_never_sleeps(kind, rivals):
    for seed in range(20):
        process = kind(random.Random(seed), rivals, 0.0)
        assert seconds_until_idle_action(process, 10 * THRESHOLD) is None, f"seed {seed}"
        assert process.own / (10 * THRESHOLD) < LIMITS["cpu"] / 100, (
            "its CPU time is below the limit"
        )
