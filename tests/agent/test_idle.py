"""The verdict: unknown is never idle, and nobody becomes idle by doing more."""

from collections.abc import Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from prism.agent.idle import (
    ACTIVE,
    GAP,
    IDLE,
    UNKNOWN,
    Sample,
    Verdict,
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

figure = st.one_of(st.none(), st.sampled_from([0.0, 3.0, 5.0, 6.0, 1000.0]))
figures = st.fixed_dictionaries(dict.fromkeys(["cpu", "network", "gpu", "disk"], figure))
words = st.lists(st.sampled_from(["the kernel of a is busy", "`x` runs"]), max_size=1).map(tuple)


@st.composite
def stories(draw):
    """Samples in the order of time, with holes in between."""
    at, story = draw(st.integers(0, 10_000)), []
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from([0, 0, 0, 0, 60, 500]))
        began, at = at, at + draw(st.sampled_from([EVERY, EVERY, EVERY, 15, 400, 0, -20]))
        touched = draw(st.lists(st.integers(-600, 60), max_size=2))
        touches = tuple((float(at + ago), "somebody typed") for ago in touched)
        story.append(Sample(began, at, draw(figures), draw(words), draw(words), touches))
    return story


def sample(began, ended=None, touches=(), work=(), doubts=(), **different):
    ended = began + EVERY if ended is None else ended
    return Sample(began, ended, {**QUIET, **different}, work, doubts, touches)


def judged(samples: Iterable[Sample], limits: Mapping[str, float] = LIMITS) -> Verdict:
    return not_none(verdict(samples, limits))


def quiet(began, ended):
    return [sample(at) for at in range(began, ended, EVERY)]


def test_quiet_since_the_first_look():
    judgement = verdict(quiet(0, 300), LIMITS)
    assert judgement == Verdict(IDLE, 0, 300, ("nothing is going on",))


def test_without_a_look_there_is_no_verdict():
    assert verdict([], LIMITS) is None
    assert not is_due(None, RULE, 10**9)


def test_a_figure_above_its_limit_is_activity_and_says_so():
    judgement = judged([*quiet(0, 300), sample(300, cpu=6.0)], LIMITS)
    assert (judgement.state, judgement.since) == (ACTIVE, 330)
    assert judgement.because == ("the processor was busy: 6.0 % of a core, above 5",)
    assert judged([*quiet(0, 300), sample(300, cpu=5.0)], LIMITS).state == IDLE


def test_what_has_no_limit_is_not_judged():
    judgement = judged([sample(0, disk=10**6, cpu=1.0)], {"cpu": 5.0})
    assert judgement.state == IDLE


def test_what_cannot_be_measured_is_unknown():
    judgement = judged([*quiet(0, 300), sample(300, network=None)], LIMITS)
    assert (judgement.state, judgement.because) == (
        UNKNOWN,
        ("network cannot be measured here, so it stays awake",),
    )
    silent = judged([sample(0, doubts=("Jupyter does not say",))], LIMITS)
    assert (silent.state, silent.because) == (UNKNOWN, ("Jupyter does not say",))


def test_unknown_time_is_counted_and_is_never_idle_time():
    blind = [sample(at, gpu=None) for at in range(300, 3900, 30)]
    limits = {**LIMITS, "gpu": 5.0}
    judgement = judged([*quiet(0, 300), *blind], limits)
    assert (judgement.state, judgement.since, judgement.until) == (UNKNOWN, 330, 3900)
    after = judged([*quiet(0, 300), *blind, *quiet(3900, 4200)], limits)
    assert (after.state, after.since) == (IDLE, 3900)
    looked_away = judged([*blind, sample(20_000, gpu=None)], limits)
    assert looked_away.since == looked_away.until, "nobody looked: it begins anew"


def test_idleness_begins_after_the_last_activity():
    busy = sample(300, work=("the kernel of a is busy",))
    judgement = judged([*quiet(0, 300), busy, *quiet(330, 600)], LIMITS)
    assert (judgement.state, judgement.since) == (IDLE, 330)


def test_a_touch_within_a_quiet_time_moves_its_beginning():
    typed = sample(300, touches=((310.0, "somebody typed into a terminal"),))
    judgement = judged([*quiet(0, 300), typed, *quiet(330, 600)], LIMITS)
    assert (judgement.state, judgement.since) == (IDLE, 310)
    assert judgement.because == ("somebody typed into a terminal",)


def test_a_clock_in_the_future_makes_nobody_idle_earlier_or_for_ever_awake():
    typed = sample(0, touches=((10.0**9, "somebody typed"),))
    assert judged([typed], LIMITS).since == 30


def test_time_that_nobody_looked_at_is_not_idle_time():
    """A laptop slept in its bag, or the supervisor could not look."""
    asleep = judged([*quiet(0, 300), *quiet(300 + 7200, 300 + 7260)], LIMITS)
    assert asleep.since == 7500
    slow = judged([*quiet(0, 300), sample(300, 300 + 7200)], LIMITS)
    assert slow.since == 7500
    backwards = judged([*quiet(0, 300), sample(300, 200)], LIMITS)
    assert backwards.since == 200


def test_it_is_due_when_it_was_idle_for_long_enough():
    idle = Verdict(IDLE, 0, 600, ())
    assert is_due(idle, RULE, 600)
    assert not is_due(idle, RULE, 599)
    assert not is_due(idle, RULE | {"enabled": False}, 600)
    assert not is_due(idle._replace(state=ACTIVE), RULE, 600)
    assert not is_due(idle._replace(state=UNKNOWN), RULE, 600)
    assert not is_due(idle, RULE, 600 + GAP + 1), "it was not looked at since"


def test_it_is_kept_awake_until_then_and_no_longer():
    idle, awake = Verdict(IDLE, 0, 900, ()), RULE | {"awake_until": 900.0}
    assert not is_due(idle, awake, 899)
    assert is_due(idle, awake, 900)


@given(stories())
def test_unknown_is_never_idle(story):
    last, judgement = story[-1], judged(story, LIMITS)
    blind = last.doubts or any(last.figures[name] is None for name in LIMITS)
    assert judgement.state != IDLE or not blind
    assert judgement.until == last.ended


@given(stories(), st.integers(0, 11), st.sampled_from(["cpu", "network", "gpu"]))
def test_who_does_more_is_never_more_idle(story, at, name):
    at %= len(story)
    more = {**story[at].figures, name: 10.0**6}
    busier = [*story[:at], story[at]._replace(figures=more), *story[at + 1 :]]
    less_idle(verdict(story, LIMITS), verdict(busier, LIMITS))


@given(stories(), st.integers(0, 11), st.integers(0, 100))
def test_who_types_is_never_more_idle(story, at, ago):
    at %= len(story)
    touched = (*story[at].touches, (float(story[at].ended - ago), "somebody typed"))
    busier = [*story[:at], story[at]._replace(touches=touched), *story[at + 1 :]]
    less_idle(verdict(story, LIMITS), verdict(busier, LIMITS))


@given(stories(), st.integers(0, 11))
def test_what_was_not_seen_makes_nobody_more_idle(story, at):
    at %= len(story)
    if at < len(story) - 1 and story[at + 1].began - (story[at - 1].ended if at else 0) > GAP:
        less_idle(verdict(story, LIMITS), verdict([*story[:at], *story[at + 1 :]], LIMITS))


def less_idle(before, after):
    if after.state == IDLE:
        assert before.state == IDLE
        assert after.since >= before.since


@given(stories())
def test_it_does_not_matter_whether_one_judges_at_once_or_as_one_goes(story):
    known = None
    for sample in story:
        known = judge(known, sample, LIMITS)
    assert known == verdict(story, LIMITS)
