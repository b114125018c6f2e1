"""The idle verdict: unknown time never counts as idle, and more activity never makes it idler."""

from collections.abc import Iterable, Mapping
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from prism.agent.idle.verdict import (
    ACTIVE,
    GAP,
    IDLE_STATE,
    UNKNOWN_STATE,
    Sample,
    Verdict,
    due_in,
    is_due,
    judge,
    verdict,
)
from prism.agent.protocol import IdleSettings
from tests.optional import not_none

EVERY = 30
LIMITS = {"cpu": 5.0, "network": 100.0, "gpu": 5.0}
QUIET = dict.fromkeys(LIMITS, 0.0)
RULE = IdleSettings(profile="t", seconds=600, action="hibernate", limits=LIMITS)

measurement = st.one_of(st.none(), st.sampled_from([0.0, 3.0, 5.0, 6.0, 1000.0]))
figures = st.fixed_dictionaries(dict.fromkeys(["cpu", "network", "gpu", "disk"], measurement))
notes = st.lists(st.sampled_from(["the kernel of a is busy", "`x` runs"]), max_size=1).map(tuple)


@st.composite
def histories(draw):
    """Samples in the order of time, with gaps between them."""
    at, history = draw(st.integers(0, 10_000)), []
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from([0, 0, 0, 0, 60, 500]))
        began, at = at, at + draw(st.sampled_from([EVERY, EVERY, EVERY, 15, 400, 0, -20]))
        touched = draw(st.lists(st.integers(-600, 60), max_size=2))
        touches = tuple((float(at + ago), "somebody typed") for ago in touched)
        history.append(Sample(began, at, draw(figures), draw(notes), draw(notes), touches))
    return history


def sample(began, ended=None, touches=(), work=(), doubts=(), **different):
    ended = began + EVERY if ended is None else ended
    return Sample(began, ended, {**QUIET, **different}, work, doubts, touches)


def verdict_of(samples: Iterable[Sample], limits: Mapping[str, float] = LIMITS) -> Verdict:
    return not_none(verdict(samples, limits))


def quiet_samples(began, ended):
    return [sample(at) for at in range(began, ended, EVERY)]


def test_verdict_is_idle_since_the_first_quiet_sample():
    judgement = verdict(quiet_samples(0, 300), LIMITS)
    assert judgement == Verdict(IDLE_STATE, 0, 300, ("nothing is going on",))


def test_verdict_is_none_without_samples():
    assert verdict([], LIMITS) is None
    assert not is_due(None, RULE, 10**9)


def test_verdict_is_active_and_names_the_measurement_above_its_limit():
    judgement = verdict_of([*quiet_samples(0, 300), sample(300, cpu=6.0)], LIMITS)
    assert (judgement.state, judgement.since) == (ACTIVE, 330)
    assert judgement.because == ("the processor was busy: 6.0 % of a core, above 5",)
    assert verdict_of([*quiet_samples(0, 300), sample(300, cpu=5.0)], LIMITS).state == IDLE_STATE


def test_verdict_ignores_measurements_without_a_limit():
    judgement = verdict_of([sample(0, disk=10**6, cpu=1.0)], {"cpu": 5.0})
    assert judgement.state == IDLE_STATE


def test_verdict_is_unknown_when_a_measurement_is_missing():
    judgement = verdict_of([*quiet_samples(0, 300), sample(300, network=None)], LIMITS)
    assert (judgement.state, judgement.because) == (
        UNKNOWN_STATE,
        ("network cannot be measured here, so it stays awake",),
    )
    silent = verdict_of([sample(0, doubts=("Jupyter does not say",))], LIMITS)
    assert (silent.state, silent.because) == (UNKNOWN_STATE, ("Jupyter does not say",))


def test_unknown_time_does_not_count_as_idle_time():
    blind = [sample(at, gpu=None) for at in range(300, 3900, 30)]
    limits = {**LIMITS, "gpu": 5.0}
    judgement = verdict_of([*quiet_samples(0, 300), *blind], limits)
    assert (judgement.state, judgement.since, judgement.until) == (UNKNOWN_STATE, 330, 3900)
    after = verdict_of([*quiet_samples(0, 300), *blind, *quiet_samples(3900, 4200)], limits)
    assert (after.state, after.since) == (IDLE_STATE, 3900)
    after_gap = verdict_of([*blind, sample(20_000, gpu=None)], limits)
    assert after_gap.since == after_gap.until, "a gap without samples restarts the count"


def test_idle_time_begins_after_the_last_activity():
    busy = sample(300, work=("the kernel of a is busy",))
    judgement = verdict_of([*quiet_samples(0, 300), busy, *quiet_samples(330, 600)], LIMITS)
    assert (judgement.state, judgement.since) == (IDLE_STATE, 330)


def test_idle_time_begins_at_the_last_input():
    typed = sample(300, touches=((310.0, "somebody typed into a terminal"),))
    judgement = verdict_of([*quiet_samples(0, 300), typed, *quiet_samples(330, 600)], LIMITS)
    assert (judgement.state, judgement.since) == (IDLE_STATE, 310)
    assert judgement.because == ("somebody typed into a terminal",)


def test_input_dated_in_the_future_counts_as_now():
    typed = sample(0, touches=((10.0**9, "somebody typed"),))
    assert verdict_of([typed], LIMITS).since == 30


def test_time_without_samples_does_not_count_as_idle_time():
    """The computer was suspended, or the supervisor could not take samples."""
    asleep = verdict_of([*quiet_samples(0, 300), *quiet_samples(300 + 7200, 300 + 7260)], LIMITS)
    assert asleep.since == 7500
    slow = verdict_of([*quiet_samples(0, 300), sample(300, 300 + 7200)], LIMITS)
    assert slow.since == 7500
    backwards = verdict_of([*quiet_samples(0, 300), sample(300, 200)], LIMITS)
    assert backwards.since == 200


def test_next_look_is_when_the_idle_period_ends_or_the_grant_of_time_does():
    idle = Verdict(IDLE_STATE, 0, 590, ("nothing is going on",))
    assert due_in(idle, RULE, 590) == 10
    awake = IdleSettings(**RULE, awake_until=700)
    assert due_in(idle, awake, 590) == 110
    for known, rule in ((None, RULE), (idle._replace(state=ACTIVE), RULE)):
        assert due_in(known, rule, 590) == inf, "only another sample can change that"
    assert due_in(idle, IdleSettings(**RULE, enabled=False), 590) == inf
    assert due_in(idle, RULE, 600) == inf, "it is due now"


def test_idle_action_is_due_after_the_idle_period_of_an_enabled_profile():
    idle = Verdict(IDLE_STATE, 0, 600, ())
    assert is_due(idle, RULE, 600)
    assert not is_due(idle, RULE, 599)
    assert not is_due(idle, RULE | {"enabled": False}, 600)
    assert not is_due(idle._replace(state=ACTIVE), RULE, 600)
    assert not is_due(idle._replace(state=UNKNOWN_STATE), RULE, 600)
    assert not is_due(idle, RULE, 600 + GAP + 1), "the last sample is too old"


def test_idle_action_is_not_due_before_awake_until():
    idle, awake = Verdict(IDLE_STATE, 0, 900, ()), RULE | {"awake_until": 900.0}
    assert not is_due(idle, awake, 899)
    assert is_due(idle, awake, 900)


@given(histories())
def test_verdict_is_never_idle_when_the_last_sample_is_unknown(history):
    last, judgement = history[-1], verdict_of(history, LIMITS)
    blind = last.doubts or any(last.figures[name] is None for name in LIMITS)
    assert judgement.state != IDLE_STATE or not blind
    assert judgement.until == last.ended


@given(histories(), st.integers(0, 11), st.sampled_from(["cpu", "network", "gpu"]))
def test_higher_measurement_never_makes_the_verdict_more_idle(history, at, name):
    at %= len(history)
    more = {**history[at].figures, name: 10.0**6}
    busier = [*history[:at], history[at]._replace(figures=more), *history[at + 1 :]]
    assert_not_more_idle(verdict(history, LIMITS), verdict(busier, LIMITS))


@given(histories(), st.integers(0, 11), st.integers(0, 100))
def test_input_never_makes_the_verdict_more_idle(history, at, ago):
    at %= len(history)
    touched = (*history[at].touches, (float(history[at].ended - ago), "somebody typed"))
    busier = [*history[:at], history[at]._replace(touches=touched), *history[at + 1 :]]
    assert_not_more_idle(verdict(history, LIMITS), verdict(busier, LIMITS))


@given(histories(), st.integers(0, 11))
def test_missing_sample_never_makes_the_verdict_more_idle(history, at):
    at %= len(history)
    if (
        at < len(history) - 1
        and history[at + 1].began - (history[at - 1].ended if at else 0) > GAP
    ):
        assert_not_more_idle(
            verdict(history, LIMITS), verdict([*history[:at], *history[at + 1 :]], LIMITS)
        )


def assert_not_more_idle(before, after):
    if after.state == IDLE_STATE:
        assert before.state == IDLE_STATE
        assert after.since >= before.since


@given(histories())
def test_verdict_of_all_samples_equals_the_verdict_sample_by_sample(history):
    known = None
    for sample in history:
        known = judge(known, sample, LIMITS)
    assert known == verdict(history, LIMITS)
