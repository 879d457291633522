"""How a destination answers: one value says all of it, and rules choose it for each request."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from tests.faults.bench.wire import Asked, Event, Head

REASONS = {400: "mapper_parsing_exception", 404: "index_not_found_exception", 409: "version_conflict_engine_exception",
           429: "es_rejected_execution_exception", 503: "unavailable_shards_exception"}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """An answer, and what goes wrong while it is given.

    `body` None is what the protocol says. `items(number, event)` is the status of each document of a bulk request.
    `take` says whether the events count as accepted; None: as the status (and each item's) says. It is
    decided before a byte of the answer is sent, so with `reset` the events are there and the client cannot know.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    items: Callable[[int, Event], int] | None = None
    take: bool | None = None
    delay: float = 0
    """Seconds before the first byte."""
    drip: float = 0
    """Bytes a second for all of it; 0 is at once."""
    cut: int | None = None
    """Close after so many bytes of it."""
    hang: bool = False
    """After the headers (or after `cut` bytes) say nothing more, until the client goes away."""
    reset: bool = False
    """RST in place of the answer (or after `cut` bytes)."""
    raw: bytes | None = None
    """These bytes in place of status line, headers and body."""
    read: int = 0
    """Of an answer given at the head: bytes of the body that are read before it."""
    linger: bool = False
    """Of an answer given at the head: what comes after it is read and thrown away, as nginx does. Without it the
    connection ends with an RST, and a client that was still writing may never see the answer."""
    flood: int = 0
    """Mebibytes of the letter `a` that follow it, as far as the client reads."""


OK = Answer()
RESET_BODY = Answer(status=0, reset=True, read=1000)
"""For `at_head`: RST in the middle of the body."""
RESET_TAKEN = Answer(reset=True)
"""The events are accepted, and then RST before the status."""
RESET_LOST = Answer(status=503, reset=True)
"""They are not, and RST before the status."""

Rule = Callable[[Asked], Answer]
AtHead = Callable[[Head], Answer | None]


def always(answer: Answer) -> Rule:
    return lambda _: answer


def first(answers: Sequence[Answer], then: Answer = OK) -> Rule:
    """Each of these once, in order of the requests, then always the last one."""
    queue = itertools.chain(answers, itertools.repeat(then))
    return lambda _: next(queue)


def chance(rng: random.Random, share: float, bad: Sequence[Answer], good: Answer = OK) -> Rule:
    """Of all requests this share gets one of the bad answers, at random."""
    return lambda _: rng.choice(bad) if rng.random() < share else good


def statuses(*codes: int) -> list[Answer]:
    return [Answer(code) for code in codes]


def verdicts(asked: Asked, answer: Answer, documents: Mapping[str, Event]) -> list[int]:
    """The status of each event of a request: the answer's own, or for bulk one an item (409: the id is there)."""
    good = 200 <= answer.status < 300
    count = len(asked.events) if good or answer.take else 0
    if asked.kind != "bulk" or not good:
        return [answer.status if answer.take is None else 200 if answer.take else 503] * count
    states = [answer.items(i, event) for i, event in enumerate(asked.events)] if answer.items else [201] * count
    here: set[str] = set()  # one request may say an id twice
    for i, (verb, about) in enumerate(asked.actions):
        if about.get("_id") is not None and verb == "create" and states[i] < 300:
            if key(about) in documents or key(about) in here:
                states[i] = 409
            here.add(key(about))
    return states if answer.take is not False else [503] * count


def key(about: Mapping[str, str]) -> str:
    return f"{about.get('_index')}/{about['_id']}"


def rendered(asked: Asked | None, answer: Answer, states: Sequence[int]) -> tuple[bytes, bytes]:
    """Head and body of the answer as bytes."""
    if answer.raw is not None:
        return answer.raw, b""
    body = answer.body
    if body is None:
        body = b"" if asked is None or not 200 <= answer.status < 300 else _natural(asked, states)
    status = 204 if asked is not None and asked.kind == "loki" and answer.status == 200 and not body else answer.status
    fields = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch", **answer.headers}
    if status != 204 and "Transfer-Encoding" not in fields:
        fields.setdefault("Content-Length", str(len(body)))
    rows = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} -\r\n{rows}\r\n".encode(), body


def _natural(asked: Asked, states: Sequence[int]) -> bytes:
    if asked.kind != "bulk":
        return b""
    bad = any(state >= 300 for state in states)
    if not bad:
        rows = [
            b'{"%s":{"status":%d}}' % (verb.encode(), s) for (verb, _), s in zip(asked.actions, states, strict=True)
        ]
        return b'{"took":1,"errors":false,"items":[' + b",".join(rows) + b"]}"
    return orjson.dumps({"took": 1, "errors": True, "items": [
        {verb: {"status": s} if s < 300 else {"status": s, "error": {"type": REASONS.get(s, "error"), "reason": f"says {s}"}}}
        for (verb, _), s in zip(asked.actions, states, strict=True)
    ]})  # fmt: skip
