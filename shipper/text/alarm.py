"""A piece of work that ends when its time is up: an alarm that Python's `re` hears while it searches.

`re` holds the interpreter, so no thread and no task can stop it. But it looks for signals now and then (each 4096
steps), and what a handler raises ends the search; measured on Python 3.11 to 3.13: within 1 ms for exponential patterns.
Arming costs about a microsecond. The time is that of this thread: a process that was stopped or had to wait is not slow.
"""

from __future__ import annotations

import signal
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found]  # `signal` wraps it in an enum, at twenty times the cost
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

__all__ = ["TimeUp", "within"]

P = ParamSpec("P")
R = TypeVar("R")
SOON = 0.0001
NONE = (0.0, 0.0)

_deadline: float | None = None  # of the work that is under way, in this thread's CPU time; there is one alarm a process


class TimeUp(Exception):
    """The work took all the time it had."""


def within(seconds: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the work gives, or TimeUp. It may be ended between any two steps, so it must change nothing that stays.

    Signals come to the main thread only: in any other, and where somebody else holds SIGALRM in C, there is no limit.
    """
    global _deadline  # noqa: PLW0603
    before = getsignal(signal.SIGALRM)
    if before is None or threading.current_thread() is not threading.main_thread():
        return work(*args, **kwargs)
    if before is not _ring:
        signal.signal(signal.SIGALRM, _ring)
    outer, began, due = _deadline, 0.0, NONE
    try:
        _deadline = time.thread_time() + seconds
        due = signal.setitimer(signal.ITIMER_REAL, seconds)
        if due[0]:
            began = time.monotonic()
        return work(*args, **kwargs)
    finally:
        _deadline = outer
        signal.setitimer(signal.ITIMER_REAL, 0)
        # the default would end the process, should an alarm still be on its way
        if before is not _ring and before != signal.SIG_DFL:
            signal.signal(signal.SIGALRM, before)
        if due[0]:  # somebody's alarm was set already: it rings when it would have
            signal.setitimer(signal.ITIMER_REAL, max(due[0] - (time.monotonic() - began), SOON), due[1])


def _ring(number: int, frame: FrameType | None) -> None:
    global _deadline  # noqa: PLW0603
    if _deadline is None:
        return
    left = _deadline - time.thread_time()
    if left > 0:
        signal.setitimer(signal.ITIMER_REAL, max(left, SOON))
        return
    _deadline = None
    raise TimeUp
