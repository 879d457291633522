"""A piece of work that ends when its time is up: an alarm that Python's `re` hears while it searches.

`re` holds the interpreter, so no thread and no task can stop it. But it looks for signals now and then (each 4096
steps), and what a handler raises ends the search; measured on Python 3.11 to 3.13: within 1 ms for exponential patterns.
The time is that of this thread: a process that was stopped or had to wait is not slow.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found]  # `signal` wraps it in an enum, at twenty times the cost
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, Self, TypeVar

# ruff: noqa: PLW0603  (there is one alarm in a process, and its handler gets nothing to keep its state in)

__all__ = ["Ticking", "TimeUp", "within"]

P = ParamSpec("P")
R = TypeVar("R")
SOON = 0.0001
TICK = 0.0001
AGAIN = 0.001
NONE = (0.0, 0.0)
HERE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120  # as code objects have it

_deadline: float | None = None  # of the work that is under way, in this thread's CPU time; there is one alarm a process
_ticking = False


class TimeUp(Exception):
    """The work took all the time it had."""


def within(seconds: float, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the work gives, or TimeUp. It may be ended between any two steps, so it must change nothing that stays.

    It is ended while it is in code of this package or in C that this called, as a search is.

    Signals come to the main thread only: in any other, and where somebody else holds SIGALRM in C, there is no limit.
    Setting the alarm costs from 1 to 15 microseconds (a virtual machine leaves for it); for many, see `Ticking`.
    """
    global _deadline
    outer = _deadline
    if _ticking and on_main_thread():
        try:
            _deadline = time.thread_time() + seconds
            return work(*args, **kwargs)
        finally:
            _deadline = outer
    before = getsignal(signal.SIGALRM)
    if before is None or not on_main_thread():
        return work(*args, **kwargs)
    if before is not _ring:
        signal.signal(signal.SIGALRM, _ring)
    began, due = 0.0, NONE
    try:
        _deadline = time.thread_time() + seconds
        due = signal.setitimer(signal.ITIMER_REAL, seconds)
        if due[0]:
            began = time.monotonic()
        return work(*args, **kwargs)
    finally:
        _deadline = outer
        signal.setitimer(signal.ITIMER_REAL, 0)
        _give_back(before, due, began)


class Ticking:
    """`with Ticking():` many short pieces of work, each `within` its time: one alarm that rings again and again.

    Signals other than its own reach the event loop at the end of the block: each is a byte in the loop's wakeup
    descriptor, and the ticks would fill that until none of the others found room.
    """

    def __enter__(self) -> Self:
        global _ticking
        self._mine = not _ticking and on_main_thread() and getsignal(signal.SIGALRM) is not None
        if not self._mine:
            return self
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._write, self._loop = write, signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._before = getsignal(signal.SIGALRM)
        if self._before is not _ring:
            signal.signal(signal.SIGALRM, _ring)
        self._collects = gc.isenabled()
        gc.disable()  # its time would count as that of whatever is under way
        self._began = time.monotonic()
        self._due = signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
        _ticking = True
        return self

    def __exit__(self, *_: object) -> None:
        global _ticking
        if not self._mine:
            return
        _ticking = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._collects:
            gc.enable()
        signal.set_wakeup_fd(self._loop)
        try:
            others = os.read(self._read, 2**16).replace(bytes([signal.SIGALRM]), b"")
        except BlockingIOError:
            others = b""
        for descriptor in (self._read, self._write):
            os.close(descriptor)
        if others and self._loop >= 0:
            os.write(self._loop, others)
        _give_back(self._before, self._due, self._began)


def on_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _give_back(handler: object, due: tuple[float, float], began: float) -> None:
    """Somebody's handler, and their alarm when one was set: it rings when it would have."""
    # the default would end the process, should an alarm of ours still be on its way
    if handler is not _ring and handler != signal.SIG_DFL:
        signal.signal(signal.SIGALRM, handler)  # type: ignore[arg-type]  # `getsignal` gave it
    if due[0]:
        signal.setitimer(signal.ITIMER_REAL, max(due[0] - (time.monotonic() - began), SOON), due[1])


def _ring(number: int, frame: FrameType | None) -> None:
    global _deadline
    if _deadline is None:
        return
    now = time.thread_time()
    if late := _deadline <= now:
        # once more, should this be swallowed; not at once, while the exception is on its way
        _deadline = now + AGAIN
    if not _ticking:
        signal.setitimer(signal.ITIMER_REAL, max(_deadline - now, SOON))
    if late and _ours(frame):
        raise TimeUp


def _ours(frame: FrameType | None) -> bool:
    """Whether nobody else's code is under way: a callback of the garbage collector would swallow what is raised in it."""
    while frame is not None and frame.f_code is not within.__code__:
        if not frame.f_code.co_filename.startswith((HERE, "<")):  # or made by us, such as a condition
            return False
        frame = frame.f_back
    return True
