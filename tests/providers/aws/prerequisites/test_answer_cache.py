"""Concurrent callers share one request, and its answer is kept for a while."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from prism.providers.aws.prerequisites.answer_cache import AnswerCache
from tests.waiting import eventually


class Slow:
    """Answers once `let` is set, and counts its calls."""

    def __init__(self, answer=1):
        self.asked, self.let, self.answer = 0, threading.Event(), answer

    def __call__(self):
        self.asked += 1
        assert self.let.wait(120)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_concurrent_callers_wait_for_one_answer(prerequisites_clock):
    once, slow = AnswerCache[str, int](prerequisites_clock, timedelta(minutes=1)), Slow()
    with ThreadPoolExecutor(20) as many:
        asking = [many.submit(once.get, "a", slow) for _ in range(20)]
        eventually(lambda: slow.asked)
        slow.let.set()
        assert [future.result() for future in asking] == [1] * 20
    assert slow.asked == 1


def test_answer_is_kept_for_a_limited_time(prerequisites_clock):
    once, answers = (
        AnswerCache[str, int](prerequisites_clock, timedelta(minutes=1)),
        iter(range(9)),
    )
    assert once.get("a", lambda: next(answers)) == 0
    prerequisites_clock.advance(seconds=59)
    assert once.get("a", lambda: next(answers)) == 0
    assert once.get("b", lambda: next(answers)) == 1, "another key has its own answer"
    prerequisites_clock.advance(seconds=1)
    assert once.get("a", lambda: next(answers)) == 2
    once.forget()
    assert once.get("a", lambda: next(answers)) == 3


def test_failure_reaches_all_waiting_callers_and_is_not_kept(prerequisites_clock):
    once, slow = (
        AnswerCache[str, int](prerequisites_clock, timedelta(minutes=1)),
        Slow(OSError("away")),
    )
    with ThreadPoolExecutor(5) as many:
        first = many.submit(once.get, "a", slow)
        eventually(lambda: slow.asked)
        waiting = [many.submit(once.get, "a", slow) for _ in range(4)]
        eventually(lambda: all(future.running() for future in waiting))
        slow.let.set()
        for future in [first, *waiting]:
            with pytest.raises(OSError, match="away"):
                future.result()
    assert once.get("a", lambda: 2) == 2
