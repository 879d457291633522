"""T32: two outputs, one of them dead."""

from __future__ import annotations

import time
from typing import Any, Literal

import pytest

from tests.faults.bench.configs import http, logs_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.lateness import p99, timed
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import tier
from tests.faults.bench.wire import Event
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
CAP, BATCH = 4 << 20, 500
RETRY = {"first": "200ms", "max": "1s"}


def pair(live: Destination, dead: Destination, when_full: str) -> dict[str, Any]:
    buffer = {"disk": "4MiB", "when_full": when_full, "spill_after": "1s"}
    small = {"events": BATCH, "wait": "100ms"}
    return logs_to(
        {
            "live": http(live, concurrency=1),
            "dead": http(dead, concurrency=1, retry=RETRY, buffer=buffer, batch=small),
        }
    )


def number(event: Event) -> int:
    return int(event["message"].split(" ")[1])


@pytest.mark.nightly
def test_t32_block(bench: Bench) -> None:
    """T32: one of two outputs is dead for 20 s (nightly 60 s) with room for 4 MiB and `block`: until that is full the
    live one has its events within 1 s (p99); then both wait, and when it is back nothing is missing at either.
    """
    with Destination(keep=timed) as live, Destination(keep=timed) as dead:
        dead.close()
        with bench.agent(pair(live, dead, "block")) as agent:
            with FileWriter(bench.oracle, bench.folder / "app.log", rate=2000) as writer:
                began = time.monotonic()
                agent.wait_for(lambda: "its buffer is full" in agent.stderr, 30, "to be full")
                full = time.monotonic()
                time.sleep(max(began + tier(c=20, n=60) - full, 0))  # so long it is dead
                most = agent.metric("shipper_buffer_bytes", output="dead")
                dead.open()
                writer.stop()
            for server in (live, dead):
                bench.oracle.wait(agent, server.taken, 60)
            bench.sound(agent)
            dropped = agent.metric("shipper_dropped_events_total")
            assert agent.stop() == 0
    late = p99(writer, live.taken, until=full - 1)
    bench.figure("seconds until the buffer was full", ">= 3", full - began)
    assert full - began >= 3  # else p99 says little
    bench.figure("p99 of the live one until then, s", "<= 1", late)
    bench.figure("bytes on disk", f"<= {CAP}", most)
    bench.figure("dropped", "0", dropped)
    for server in (live, dead):
        bench.oracle.verdict(server.taken).clean(duplicates=0)
    assert late <= 1
    assert most <= CAP
    assert not dropped


@pytest.mark.nightly
@pytest.mark.parametrize("when_full", ["drop_newest", "drop_oldest"])
def test_t32_drop(bench: Bench, when_full: Literal["drop_newest", "drop_oldest"]) -> None:
    """T32: the same for 15 s (nightly 60 s) with a policy that drops: the live one has all of its events within 1 s (p99) all the time, and of
    the dead one exactly those are missing that were counted: the newest from the time it was full until it was back, or
    the oldest on disk.
    """
    with Destination(keep=timed) as live, Destination() as dead:
        dead.close()
        with bench.agent(pair(live, dead, when_full)) as agent:
            with FileWriter(bench.oracle, bench.folder / "app.log", rate=2000) as writer:
                time.sleep(tier(c=15, n=60))  # so long it is dead
                dead.open()
                agent.wait_for(lambda: dead.taken, what="to be back")
                back = writer.done
                writer.stop()
            bench.oracle.wait(agent, live.taken)
            agent.wait_for(lambda: not agent.metric("shipper_buffer_events", output="dead"), 60, "to drain")
            agent.wait_for(lambda: not agent.metric("shipper_in_flight_events"), what="to be done")
            bench.sound(agent)
            dropped = agent.metric("shipper_dropped_events_total", component="dead", reason="buffer_full")
            event = agent.metric("shipper_output_bytes_total") / agent.metric("shipper_output_events_total")
            others = agent.metric("shipper_dropped_events_total") - dropped
            assert agent.stop() == 0
    late = p99(writer, live.taken)
    verdict = bench.oracle.verdict(dead.taken)
    had = set(map(number, dead.taken))
    missing = sorted(set(range(writer.done)) - had)
    bench.figure("p99 of the live one, s", "<= 1", late)
    bench.figure("counted as dropped, and missing", "equal", f"{dropped:g}, {len(missing)}")
    bench.oracle.verdict(live.taken).clean(duplicates=0)
    assert (verdict.duplicates, verdict.spurious, verdict.corrupted, verdict.disordered) == (0, [], [], [])
    assert late <= 1
    assert dropped == len(missing) > 1000
    assert not others
    room = CAP / event  # events
    if when_full == "drop_newest":  # the first 4 MiB; what comes later, only where room was found again
        kept = missing[0]
        assert kept >= 0.9 * room
    else:  # those that were tried, and the last 4 MiB, but for the segment that went and the one that is filled (1/8 each)
        kept = back - missing[-1]
        assert missing[0] <= 2 * BATCH + BATCH
        assert len(missing) == missing[-1] + 1 - missing[0]  # one gap
        assert kept >= 0.7 * room
    bench.figure("kept of what the room holds", ">= 0.9 (newest), 0.7 (oldest)", kept / room)
