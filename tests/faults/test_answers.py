"""T26 to T29: what destinations say of single events, of the sender, and what makes no sense at all."""

from __future__ import annotations

import base64
import gzip
import math
import signal
import time
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.faults.bench.answers import OK, Answer, always
from tests.faults.bench.configs import bulk_to, log_to
from tests.faults.bench.destination import Destination
from tests.faults.bench.scenario import Bench
from tests.faults.bench.wire import Asked, Event, Head
from tests.faults.bench.writers import FileWriter

pytestmark = pytest.mark.faults
MiB = 1 << 20
LIMIT = 64 << 10


@pytest.mark.parametrize("when", ["after the body", "at the head", "at the head, rudely"])
@pytest.mark.parametrize("kind", [log_to, bulk_to])
def test_t26_too_large(bench: Bench, kind: Callable[..., dict[str, Any]], when: str) -> None:
    """T26: where requests may have 64 KiB, of a batch of 1,000 with one event of 80 KiB 999 arrive and that one is set
    aside, in at most twice as many requests as it takes, and then there is silence.
    """
    app, big, log = bench.oracle.source("app.log"), bench.oracle.source("big", 80 << 10), bench.folder / "app.log"
    app.append(log, 500)
    large = big.append(log, 1)
    app.append(log, 499)
    plain = {"compression": "none"} if kind is bulk_to else {}
    # rudely: an RST may overtake it, and then it was not said
    refuse = Answer(413, headers={"Connection": "close"} if "head" in when else {}, linger=when == "at the head")

    def at_head(head: Head) -> Answer | None:
        return refuse if when != "after the body" and head.length > LIMIT else None

    def rule(asked: Asked) -> Answer:
        return refuse if len(asked.body) > LIMIT else OK

    with Destination(rule, at_head=at_head) as server:
        config = kind(server, plain, concurrency=1, retry={"first": "50ms"}, batch={"events": 1000, "bytes": "5MiB"})
        with bench.agent(config) as agent:
            bench.oracle.wait(agent, server.taken, only=[app])
            agent.wait_for(lambda: agent.dead_letters("out"), what="to set it aside")
            agent.wait_for(lambda: not agent.metric("shipper_in_flight_events"), what="to be done")
            tries = len(server.requests)
            bench.sound(agent)
            assert agent.metric("shipper_output_events_total") == 999
            again = int(agent.metric("shipper_output_retries_total"))
            letters = agent.dead_letters("out")
            assert agent.stop() == 0
        assert len(server.requests) == tries  # nothing goes round
        good = [noted for noted in server.requests if noted.status == 200]
        least = math.ceil(sum(noted.size for noted in good) / LIMIT) + 1  # and the large one alone
    bench.figure("delivered", "999", len(server.taken))
    bench.figure("requests that were answered", f"<= {2 * least}", tries - again)
    bench.figure("requests that were not, and made again", "any" if "rude" in when else "0", again)
    bench.oracle.verdict(server.taken, only=[app]).clean(floor=998)
    assert [(letter["status"], letter["event"]["message"]) for letter in letters] == [(413, large.lines[0])]
    assert tries - again <= 2 * least
    assert not again or "rude" in when


def test_t27_some_documents_fail(bench: Bench) -> None:
    """T27: of a bulk request only what got 429 or 503 is sent again, 409 is done, 400 and 404 are set aside with the
    reason, and every counter is exact.
    """
    states, total = (201, 429, 503, 400, 404, 409), 1800
    asked: Counter[int] = Counter()

    def number(event: Event) -> int:
        return int(event["message"].split(" ")[1])

    def item(_: int, event: Event) -> int:
        n = number(event)
        asked[n] += 1
        state = states[n % len(states)]
        return 201 if state in (429, 503) and asked[n] > 2 else state  # the third time it goes well

    app = bench.oracle.source("app.log")
    app.append(bench.folder / "app.log", total)
    each = total // len(states)
    with Destination(Answer(items=item)) as server:
        config = bulk_to(server, concurrency=1, retry={"first": "50ms", "max": "100ms"}, batch={"events": 200})
        with bench.agent(config) as agent:
            agent.wait_for(lambda: len(server.taken) == 3 * each, what="to deliver")
            agent.wait_for(lambda: not agent.metric("shipper_in_flight_events"), what="to be done")
            bench.sound(agent)
            delivered, dead, dropped = (
                agent.metric(f"shipper_{name}_events_total") for name in ("output", "dead_letter", "dropped")
            )
            letters = agent.dead_letters("out")
            assert agent.stop() == 0
    wanted = {n: 3 if states[n % len(states)] in (429, 503) else 1 for n in range(total)}
    bench.figure(
        "documents sent another number of times than they should", "0", sum(asked[n] != wanted[n] for n in wanted)
    )
    bench.figure("delivered, set aside, dropped", f"{4 * each}, {2 * each}, 0", f"{delivered:g}, {dead:g}, {dropped:g}")
    assert asked == wanted
    assert sorted(map(number, server.taken)) == [n for n in range(total) if states[n % len(states)] in (201, 429, 503)]
    assert (delivered, dead, dropped) == (4 * each, 2 * each, 0)
    reasons = {400: "mapper_parsing_exception: says 400", 404: "index_not_found_exception: says 404"}
    found = {number(letter["event"]): (letter["status"], letter["reason"]) for letter in letters}
    guilty = {n: states[n % len(states)] for n in range(total) if states[n % len(states)] in reasons}
    assert found == {n: (state, reasons[state]) for n, state in guilty.items()}
    assert len(letters) == len(found)


@pytest.mark.parametrize("status", [401, 403])
def test_t28_a_new_secret(bench: Bench, status: int) -> None:
    """T28: with a wrong token (401, 403) nothing is dropped, however long the server says to wait; after a new one in
    its file and SIGHUP it resumes within 10 s; neither secret is ever shown.
    """
    old, new, token = "canary-old-5f2c91", "canary-new-81e0aa", bench.folder / "token"
    token.write_text(f"{old}\n")

    def at_head(head: Head) -> Answer | None:
        said = head.headers.get("authorization", "")
        wrong = Answer(status, body=f"{said} is wrong".encode(), headers={"Retry-After": "25"}, read=head.length)
        return None if said == f"Bearer {new}" else wrong

    with Destination(at_head=at_head) as server:
        auth = {"auth": {"type": "bearer", "token": f"${{file:{token}}}"}}
        with bench.agent(log_to(server, auth)) as agent:
            with FileWriter(bench.oracle, bench.folder / "app.log", total=6000) as writer:
                writer.finish()
            agent.wait_for(lambda: server.requests, what="to ask")
            agent.wait_for(lambda: agent.metric("shipper_input_events_total") == 6000, what="to read all")
            assert not server.taken
            token.write_text(f"{new}\n")
            agent.signal(signal.SIGHUP)
            began = time.monotonic()
            agent.wait_for(lambda: server.taken, 40, "to resume")
            resumed = time.monotonic() - began
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            dropped = agent.metric("shipper_dropped_events_total") + agent.metric("shipper_dead_letter_events_total")
            shown = [agent.get("/status"), agent.get("/metrics"), agent.stderr, agent.stdout]
            assert agent.stop() == 0
    shown += [path.read_bytes().decode("latin-1") for path in agent.data_dir.rglob("*") if path.is_file()]
    forms = [form for secret in (old, new) for form in (secret, base64.b64encode(secret.encode()).decode())]
    leaks = sum(form in text for form in forms for text in shown)
    bench.figure("dropped", "0", dropped)
    bench.figure("seconds until it resumed", "<= 10", resumed)
    bench.figure("secrets shown", "0", leaks)
    assert str(status) in agent.stderr  # it said why
    assert not dropped
    assert not leaks
    assert resumed <= 10
    bench.oracle.verdict(server.taken).clean(duplicates=0, ordered=False)


GZIP = {"Content-Encoding": "gzip"}


def bomb() -> bytes:
    """1 GiB of zeros, packed."""
    block = gzip.compress(bytes(64 * MiB))
    return block * 16  # members of one file


def fewer(asked: Asked) -> Answer:
    return Answer(
        body=orjson.dumps({"errors": False, "items": [{"create": {"status": 201}}] * (len(asked.events) - 1)})
    )


NONSENSE: dict[str, Callable[[], Answer | Callable[[Asked], Answer]]] = {
    "broken JSON": lambda: Answer(body=b'{"took":1,"errors":false,"items":[{"create":{"status"'),
    "deep JSON": lambda: Answer(body=b"[" * 100_000),
    "HTML": lambda: Answer(body=b"<html><body>It works!</body></html>"),
    "204": lambda: Answer(204),
    "fewer items": lambda: fewer,
    "no items": lambda: Answer(body=b'{"took":1,"errors":false}'),
    "items of another kind": lambda: Answer(body=b'{"took":1,"errors":true,"items":[1,null,{}]}'),
    "1 GiB packed": lambda: Answer(body=bomb(), headers=GZIP),
    "1 GiB in one member": lambda: Answer(body=one_member(), headers=GZIP),
    "1 GiB": lambda: Answer(raw=b"HTTP/1.1 200 -\r\n\r\n", flood=1024),
    "1 GiB header": lambda: Answer(raw=b"HTTP/1.1 200 -\r\nX-A: ", flood=1024),
    "1 GiB status line": lambda: Answer(raw=b"HTTP/1.1 200 ", flood=1024),
    "1 GiB chunk size": lambda: Answer(raw=b"HTTP/1.1 200 -\r\nTransfer-Encoding: chunked\r\n\r\n", flood=1024),
    "endless headers": lambda: Answer(raw=b"HTTP/1.1 200 -\r\n" + b"X-A: b\r\n" * 500_000),
    "not HTTP": lambda: Answer(raw=b"220 mail.example ESMTP\r\n"),
    "nothing": lambda: Answer(raw=b""),
}


def one_member() -> bytes:
    pack = zlib.compressobj(9, wbits=31)
    return b"".join(pack.compress(bytes(64 * MiB)) for _ in range(16)) + pack.flush()


@pytest.mark.parametrize("form", NONSENSE)
def test_t29_nonsense(bench: Bench, form: str) -> None:
    """T29: an answer that is none is taken for no answer: asked again until one is, nothing lost, resident memory at
    most 32 MiB more.
    """
    made = NONSENSE[form]()
    odd = made if callable(made) else always(made)
    bad = 3

    def rule(asked: Asked) -> Answer:
        if asked.number == 0 or asked.number > bad:
            return OK
        answer = odd(asked)
        return Answer(**{**vars(answer), "take": False})

    app, log = bench.oracle.source("app.log"), bench.folder / "app.log"
    app.append(log, 1000)
    with Destination(rule) as server:
        config = bulk_to(server, concurrency=1, timeout="5s", retry={"first": "50ms", "max": "100ms"})
        with bench.agent(config) as agent:
            bench.oracle.wait(agent, server.taken)
            before = agent.rss()
            app.append(log, 1000)
            bench.oracle.wait(agent, server.taken)
            more = (agent.rss(peak=True) - before) / MiB
            bench.sound(agent)
            assert agent.metric("shipper_output_retries_total") == bad
            assert agent.stop() == 0
    bench.figure("MiB of memory more", "<= 32", more)
    bench.oracle.verdict(server.taken).clean(duplicates=0)
    assert more <= 32


@pytest.mark.parametrize("kind", [log_to, bulk_to])
def test_t29_an_early_answer(bench: Bench, kind: Callable[..., dict[str, Any]]) -> None:
    """T29: a 200 that comes before the request was there to be read is no acknowledgement: it is sent again."""
    early = 3

    def at_head(head: Head) -> Answer | None:
        return Answer(read=100, linger=True) if head.number < early else None

    bench.oracle.source("app.log").append(bench.folder / "app.log", 30_000)  # 9 MB: more than the kernel takes at once
    plain = {"compression": "none"} if kind is bulk_to else {}
    with Destination(at_head=at_head) as server:
        delivery = {"concurrency": 1, "retry": {"first": "50ms", "max": "100ms"}}
        config = kind(server, plain, **delivery, batch={"bytes": "20MiB", "events": 100_000, "wait": "1s"})
        with bench.agent(config) as agent:
            agent.wait_for(lambda: len(server.requests) > early, what="to ask again")
            bench.oracle.wait(agent, server.taken)
            bench.sound(agent)
            assert agent.stop() == 0
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("lost to early answers", "0", len(verdict.missing))
    verdict.clean(duplicates=0)
