"""Searches that end when their time is up, and what they take out of the budget for all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import threading
import time

import pytest
import uvloop

from shipper.text import patience
from shipper.text.alarm import Ticking, TimeUp, within
from shipper.text.patience import ALL, BOUND, LONG, SLOW, UNTRIED, Guard, Patience, TooSlow, has_longer, warning

BAD = re.compile(r"^(\w+\s?)*$")
POISON = "a" * 40 + "!"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def cpu(work: object) -> float:
    began = time.thread_time()
    assert callable(work)
    work()
    return time.thread_time() - began


def test_a_search_ends_when_its_time_is_up() -> None:
    """`re` hears the alarm in the middle of a match that would take years."""

    def search() -> None:
        with pytest.raises(TimeUp):
            within(0.05, BAD.search, POISON)

    assert 0.04 < cpu(search) < 0.5


def test_work_in_time_gives_its_result_and_leaves_no_alarm() -> None:
    """What ends in time, well or not, is as if nobody had watched."""
    set_before = signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert within(0.5, int, "12") == 12
    with pytest.raises(ValueError, match="invalid"):
        within(0.5, int, "x")
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) is set_before


def test_somebody_elses_alarm_still_rings() -> None:
    """A program (or a test runner) that uses SIGALRM itself keeps its handler and its time."""
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    due = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeUp):
            within(0.02, BAD.search, POISON)
        assert not rung
        assert 0.05 < signal.getitimer(signal.ITIMER_REAL)[0] <= 0.19
        deadline = time.monotonic() + 10
        while not rung and time.monotonic() < deadline:
            signal.sigtimedwait([], 0.01)
        assert rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, *due)
        signal.signal(signal.SIGALRM, before)


def test_a_process_that_had_to_wait_is_not_slow() -> None:
    """The time counts in which the thread worked, not in which it was stopped."""

    def patient() -> str:
        time.sleep(0.08)
        return "done"

    assert within(0.02, patient) == "done"


def test_in_another_thread_there_is_no_limit_and_no_harm() -> None:
    """Signals come to the main thread only."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(within(0.00001, sum, range(200_000))))
    thread.start()
    thread.join(10)
    assert found == [sum(range(200_000))]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_loop_goes_on_after_an_alarm(new_loop: object) -> None:
    """asyncio and uvloop take the signal for nobody's, and turn on."""

    async def main() -> int:
        ended = 0
        for _ in range(5):
            try:
                within(0.005, BAD.search, POISON)
            except TimeUp:
                ended += 1
            await asyncio.sleep(0.001)
        return ended

    assert callable(new_loop)
    loop = new_loop()
    try:
        assert loop.run_until_complete(main()) == 5
    finally:
        loop.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_signal_that_comes_while_it_ticks_reaches_the_loop(new_loop: object) -> None:
    """SIGTERM in the middle of a flood of poison: the loop hears of it afterwards, however often the alarm rang."""

    async def main() -> bool:
        heard, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        with Ticking():
            for number in range(2000):
                with pytest.raises(TimeUp):
                    within(0.00005, BAD.search, POISON)
                if number == 1000:
                    os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(10):
            return await heard.wait()

    assert callable(new_loop)
    loop = new_loop()
    try:
        assert loop.run_until_complete(main())
    finally:
        loop.close()


@pytest.mark.parametrize("ticking", [False, True])
def test_an_alarm_that_is_swallowed_rings_again(ticking: bool) -> None:
    """Code that is not ours and swallows everything, such as a destructor, does not make a search endless."""

    class Swallows:
        def __del__(self) -> None:
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass

    # as if it stood in a file of ours
    space = {"Swallows": Swallows, "BAD": BAD, "POISON": POISON}
    exec(compile("def work(): Swallows(); return BAD.search(POISON)", patience.__file__, "exec"), space)
    with Ticking() if ticking else contextlib.nullcontext():
        began = time.thread_time()
        with pytest.raises(TimeUp):
            within(0.005, space["work"])  # type: ignore[arg-type]
        assert 0.02 < time.thread_time() - began < 1


def test_hundreds_of_slow_texts_cost_little_more_than_two() -> None:
    """The budget is for all: what is left when it is spent goes to texts as quick as good ones are."""
    guard, slow = Guard(BAD, patience=Patience(Clock())), []

    def all_of_them() -> None:
        for number in range(500):  # twice as many, and a machine half as fast as most is where none is tried any more
            try:
                assert guard.one(BAD.search, "good text" if number % 5 else POISON)
            except TooSlow as error:
                slow.append(str(error))

    assert cpu(all_of_them) < 10 * ALL, "each by itself would take fifty times as much"
    assert slow == [SLOW] * 100


def test_after_hundreds_none_is_tried_until_time_has_gone_by() -> None:
    """A flood of poison ends in nothing being tried; a second later the next text is."""
    clock = Clock()
    guard = Guard(BAD, patience=Patience(clock))
    reasons = []
    for _ in range(3000):
        with pytest.raises(TooSlow) as caught:
            guard.one(BAD.search, POISON)
        reasons.append(str(caught.value))
    assert reasons[0] == SLOW
    assert reasons[-1] == UNTRIED
    clock.now += 1
    assert guard.one(BAD.search, "good text")


def test_risky_patterns_are_tried_on_short_texts_only() -> None:
    """What is longer than 8 Ki characters is named at once; a safe pattern knows no such bound."""
    with pytest.raises(TooSlow, match=LONG):
        Guard(BAD).one(BAD.search, "a" * (BOUND + 1))
    safe = re.compile("^a+")
    assert Guard(safe).one(safe.search, "a" * (BOUND + 1))


@pytest.mark.parametrize("pattern", [r"\d+x", r"\d+\d+x", r"(?:(?=\w+x)\w)+\d", r"^\s*(.*?)\s*;$", r"[a-z]+\d"])
@pytest.mark.parametrize("text", ["1" * BOUND, "a" * BOUND, " " * BOUND, "1a " * (BOUND // 3)])
def test_one_text_holds_the_loop_for_a_bounded_time(pattern: str, text: str) -> None:
    """Whatever the shape: `re` looks for the alarm often enough on texts of this length."""
    compiled = re.compile(pattern)
    guard = Guard(compiled, patience=Patience(Clock()))

    def once() -> None:
        with contextlib.suppress(TooSlow):
            guard.one(compiled.search, text)

    # `re` looks every 4096 tries, and each may be a step over all of the text: that is what this search does, unguarded
    unit = cpu(lambda: re.search(r"\d+x", "1" * BOUND))
    assert cpu(once) < max(0.25, 4 * unit)


def test_longer_lines_are_found() -> None:
    """The same answer as by splitting."""
    for text in (
        "",
        "a",
        "aaaa",
        "aaa\naaa",
        "aaa\naaaa",
        "aaaa\n",
        "\n\n\n",
        "\naaaa",
        "a\n" * 9 + "aaaa" + "\na" * 9,
    ):
        for limit in (1, 2, 3, 4):
            assert has_longer(text, limit) == (max(map(len, text.split("\n"))) > limit), (text, limit)


def test_a_warning_says_what_is_wrong_and_what_happens() -> None:
    """With the pattern, how bad it is, and the bounds."""
    assert warning(re.compile("^a+$")) == ""
    said = warning(BAD)
    assert r"found `^(\w+\s?)*$`" in said
    assert "doubles with each character" in said
    assert "8192 characters, for 25ms at most" in said
    assert "nothing ends it in a plugin" in warning(BAD, guarded=False)
