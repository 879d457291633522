"""T21 to T25: destinations that refuse, break off, hang, are busy, or fail most of the time."""

from __future__ import annotations

import time
from email.utils import formatdate
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from tests.faults.bench.answers import OK, RESET_BODY, RESET_TAKEN, Answer
from tests.faults.bench.configs import bulk_to, http, log_to, logs_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.scenario import Bench
from tests.faults.bench.tiers import seeded, tier
from tests.faults.bench.wire import Asked, Head
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_t21_refused(bench: Bench) -> None:
    """T21: the port is closed for 20 s (nightly 600 s) under load, with a restart in between: nothing is lost or
    repeated, the tries follow the backoff, and the first success comes at most the longest pause + 5 s after the opening.

    Eleven lines over a destination that goes away and a restart come out as exactly eleven.
    """
    closed, most = tier(c=20, n=600), tier(c=5, n=30)
    app, log = bench.oracle.source("app.log"), bench.folder / "app.log"
    with Destination() as server:
        agent = bench.agent(log_to(server, concurrency=1, retry={"max": f"{most}s"})).start()
        app.append(log, 1)
        bench.oracle.wait(agent, server.taken)
        server.close()
        app.append(log, 10)
        agent.wait_for(lambda: agent.metric("shipper_input_events_total") == 11, what="to read eleven lines")
        assert agent.stop() == 0
        server.open()
        agent.start()
        bench.oracle.wait(agent, server.taken)
        assert len(server.taken) == 11

        server.close()
        before, tries = len(server.requests), 0.0
        with FileWriter(bench.oracle, log, rate=2000, total=20_000):
            for _ in range(2):
                time.sleep(closed / 2)  # so long it is closed
                tries += agent.metric("shipper_output_retries_total")
                assert agent.stop() == 0
                agent.start()
        server.open()
        opened = time.monotonic()
        bench.oracle.wait(agent, server.taken, most + 30)
        first = server.requests[before].at - opened
        bench.sound(agent)
        assert agent.metric("shipper_dropped_events_total") == 0
        assert agent.stop() == 0
    # 60 in 600 s with pauses of up to 30 s, 6 more as the restart begins them anew; 20 s with pauses of up to 5 s: 20
    bench.figure("eleven lines", "11", 11)
    bench.figure(f"tries in {closed} s", f"<= {tier(c=20, n=66)}", tries)
    bench.figure("seconds to the first success", f"<= {most + 5}", first)
    bench.oracle.verdict(server.taken).clean(duplicates=0)
    assert 2 <= tries <= tier(c=20, n=66)
    assert first <= most + 5


@pytest.mark.parametrize("fault", ["in the body", "after the body", "idle"])
@seeded
def test_t22_reset(bench: Bench, fault: str) -> None:
    """T22: a reset in the middle of the body or of an idle connection repeats nothing; one after the body, before the
    status, repeats at most its batch; nothing is ever lost.
    """
    hits, size = 0, 100

    def at_head(head: Head) -> Answer | None:
        nonlocal hits
        if fault != "in the body" or bench.rng.random() > 0.3:
            return None
        hits += 1
        return RESET_BODY

    def rule(_: Asked) -> Answer:
        nonlocal hits
        if fault == "in the body" or bench.rng.random() > 0.3:
            return OK
        hits += 1
        return RESET_TAKEN if fault == "after the body" else Answer(cut=1 << 20)  # all of it, and then closed

    retry = {"first": "20ms", "max": "100ms"}
    with Destination(rule, at_head=at_head) as server:
        config = log_to(server, concurrency=1, retry=retry, batch={"events": size, "wait": "100ms"})
        with bench.agent(config) as agent, FileWriter(bench.oracle, bench.folder / "app.log", total=6000) as writer:
            writer.finish()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    verdict, most = bench.oracle.verdict(server.taken), hits * size if fault == "after the body" else 0
    bench.figure("resets", ">= 10", hits)
    bench.figure("duplicates a reset", f"<= {most // hits}", verdict.duplicates / hits)
    verdict.clean(duplicates=most)
    assert hits >= 10


def test_t22_reset_with_ids(bench: Bench) -> None:
    """T22: with `id: auto` a batch whose answer was lost makes no second document."""
    hits = 0

    def rule(_: Asked) -> Answer:
        nonlocal hits
        if bench.rng.random() > 0.3:
            return OK
        hits += 1
        return RESET_TAKEN

    retry = {"first": "20ms", "max": "100ms"}
    with Destination(rule) as server:
        config = bulk_to(server, {"id": "auto"}, concurrency=1, retry=retry, batch={"events": 100, "wait": "100ms"})
        with bench.agent(config) as agent, FileWriter(bench.oracle, bench.folder / "app.log", total=6000) as writer:
            writer.finish()
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    said = sum(noted.events for noted in server.requests)
    bench.figure("documents twice", "0", len(server.taken) - 6000)
    bench.figure("documents sent twice", "> 0", said - 6000)
    bench.oracle.verdict(server.taken).clean(duplicates=0)
    assert len(server.documents) == 6000 < said
    assert hits >= 10


CHUNKED = {"Transfer-Encoding": "chunked"}
TIMEOUT = 2.0
SLOW = {
    "a byte a second": Answer(body=b"x" * 100, drip=1, take=False),
    "silent": Answer(raw=b"", hang=True, take=False),
    "hangs after headers": Answer(body=b"x" * 100, hang=True, take=False),
    "no last chunk, hangs": Answer(body=b"3\r\nabc\r\n", headers=CHUNKED, hang=True, cut=1 << 20, take=False),
}


@pytest.mark.parametrize("form", SLOW)
def test_t23_slow(bench: Bench, form: str) -> None:
    """T23: an answer that does not end is given up after the timeout (2 s +- 10 %), the request is made again, and the
    other output keeps at least 95 % of its rate.

    Four requests in a row hang: over one of them alone, what is on its way at either end is 5 % of what is counted.
    """
    hung = 4

    def rule(asked: Asked) -> Answer:
        return OK if asked.number >= hung else SLOW[form]

    with Destination(rule) as slow, Destination() as other:
        delivery: dict[str, Any] = {"concurrency": 1, "retry": {"first": "10ms", "max": "20ms"}}
        delivery["timeout"] = f"{TIMEOUT}s"
        config = logs_to({"slow": http(slow, **delivery), "other": http(other, concurrency=1)})
        with bench.agent(config) as agent, FileWriter(bench.oracle, bench.folder / "app.log", rate=2000) as writer:
            agent.wait_for(lambda: slow.requests, what="to ask")
            had, wrote = len(other.taken), writer.done
            agent.wait_for(lambda: len(slow.requests) > hung, what="to ask again")
            rate = (len(other.taken) - had) / (writer.done - wrote)
            writer.stop()
            for server in (slow, other):
                bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    waited = median(after.at - before.at for before, after in pairwise(slow.requests[: hung + 1]))
    bench.figure("seconds until it was asked again", "1.8 to 2.2", waited)
    bench.figure("rate of the other output", ">= 0.95", rate)
    for server in (slow, other):
        bench.oracle.verdict(server.taken).clean(duplicates=0)
    assert 0.9 * TIMEOUT <= waited <= 1.1 * TIMEOUT
    assert rate >= 0.95


WHOLE = {
    "one chunk": b"5\r\nhello\r\n0\r\n\r\n",
    "a byte each": b"1\r\nh\r\n" * 50 + b"0\r\n\r\n",
    "extensions": b'5;name="a;b"\r\nhello\r\n0;last\r\n\r\n',
    "leading zeros, large digits": b"00000A\r\nhellohello\r\n000\r\n\r\n",
    "trailers": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
}
BROKEN = {
    "no last chunk": b"5\r\nhello\r\n",
    "a bad trailer": b"5\r\nhello\r\n0\r\nno colon here\r\n\r\n",
    "no number": b"five\r\nhello\r\n0\r\n\r\n",
    "a negative number": b"-5\r\nhello\r\n0\r\n\r\n",
    "a number beyond 64 bits": b"FFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "no line end after a chunk": b"5\r\nhello0\r\n\r\n",
}


@pytest.mark.parametrize("form", [*WHOLE, *BROKEN])
def test_t23_chunked(bench: Bench, form: str) -> None:
    """T23: a chunked answer that is whole, in whatever pieces it comes, is an answer; a broken one is none, and
    the request is made again no later than the timeout (2 s + 10 %).
    """
    body = {**WHOLE, **BROKEN}[form]
    odd = Answer(body=body, headers=CHUNKED, drip=5000, cut=1 << 20, take=form in WHOLE)
    bench.oracle.source("app.log").append(bench.folder / "app.log", 1500)
    with Destination(lambda asked: OK if asked.number else odd) as server:
        config = log_to(server, concurrency=1, retry={"first": "10ms", "max": "20ms"}, timeout=f"{TIMEOUT}s")
        with bench.agent(config) as agent:
            bench.oracle.wait(agent, server.taken)
            agent.wait_for(lambda: agent.metric("shipper_output_events_total") == 1500, what="to be done")
            bench.sound(agent)
            tried = agent.metric("shipper_output_retries_total")
            assert agent.stop() == 0
    bench.figure("tries again", str(int(form in BROKEN)), tried)
    bench.oracle.verdict(server.taken).clean(duplicates=0)
    assert tried == (form in BROKEN)
    if form in BROKEN:
        waited = server.requests[1].at - server.requests[0].at
        bench.figure("seconds until it was asked again", "<= 2.2", waited)
        assert waited <= 1.1 * TIMEOUT


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        pytest.param("7", 6.5, 7.5, id="seconds"),  # 7 +- 0.5 s
        pytest.param("date", 6.0, 7.5, id="date"),  # a date has whole seconds
        pytest.param("1000000000", 9.5, 10.5, id="billion"),  # capped at retry.max
        pytest.param("-1", 0.0, 1.0, id="negative"),  # as if nothing were said: at most retry.first
        pytest.param("next week", 0.0, 1.0, id="text"),
    ],
)
def test_t24_retry_after(bench: Bench, said: str, least: float, most: float) -> None:
    """T24: after a 429 it waits as long as `Retry-After` asks, never longer than `retry.max`, and drops nothing."""

    def rule(asked: Asked) -> Answer:
        if asked.number:
            return OK
        after = formatdate(time.time() + 7, usegmt=True) if said == "date" else said
        return Answer(429, headers={"Retry-After": after})

    bench.oracle.source("app.log").append(bench.folder / "app.log", 3000)
    with Destination(rule) as server:
        config = log_to(server, concurrency=1, retry={"first": "500ms", "max": "10s"})
        with bench.agent(config) as agent:
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.metric("shipper_dropped_events_total") == 0
            assert agent.stop() == 0
    waited = server.requests[1].at - server.requests[0].at
    bench.figure(f"waited after Retry-After {said}", f"{least} to {most} s", waited)
    bench.oracle.verdict(server.taken).clean(duplicates=0)  # drops 0
    assert least <= waited <= most


@pytest.mark.nightly
@seeded
def test_t25_most_requests_fail(bench: Bench) -> None:
    """T25: while 70 % of all requests get 503, 429, 408 or 504, for 15 s (nightly 60 s), all arrives once, in at most
    3.7 requests a batch, within 10 s after the load.
    """
    deck: list[int] = []

    def rule(_: Asked) -> Answer:
        if not deck:  # of each ten exactly seven, in random order: the share does not depend on the seed
            deck.extend([200, 200, 200, *(bench.rng.choice((503, 429, 408, 504)) for _ in range(7))])
            bench.rng.shuffle(deck)
        return Answer(deck.pop())

    with Destination(rule) as server:
        config = log_to(server, concurrency=4, retry={"first": "50ms", "max": "500ms"})
        with bench.agent(config) as agent:
            with FileWriter(bench.oracle, bench.folder / "app.log", total=2000 * tier(c=15, n=60)) as writer:
                writer.finish()
            ended = time.monotonic()
            bench.oracle.wait(agent, server.taken, 60)
            late = time.monotonic() - ended
            bench.sound(agent)
            assert agent.stop() == 0
    batches = sum(noted.status == 200 for noted in server.requests)
    bench.figure("requests a batch", "<= 3.7", len(server.requests) / batches)
    bench.figure("seconds after the load", "<= 10", late)
    bench.oracle.verdict(server.taken).clean(duplicates=0, ordered=False)
    assert batches > 40
    assert len(server.requests) <= 3.7 * batches
    assert late <= 10
