"""T42: JSON that is deep, long, no number or no character, each case among 999 good events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.bench.abuse import post, spare, stalls
from tests.faults.bench.configs import http
from tests.faults.bench.destination import Destination
from tests.faults.bench.ports import free_port
from tests.faults.bench.scenario import Bench

pytestmark = pytest.mark.faults
Event = dict[str, Any]
DEEP = 100_000
KEYS = {f"k{n}": n for n in range(100_000)}

RAW = "as it came, marked"
"""What the RFC does not allow, or no parser of ours reads, is kept as text in `message`, with `shipper_error`."""
REFUSED = "dead letter"
"""What was read and cannot be written again."""


def value(wanted: Any) -> Callable[[Event], bool]:
    """It is an object, and this is its `n`."""
    return lambda event: event["n"] == wanted and type(event["n"]) is type(wanted) and "shipper_error" not in event


RULES: dict[str, tuple[str, Any]] = {
    "100,000 arrays": ("[" * DEEP + "]" * DEEP, RAW),
    "100,000 objects": ('{"a":' * DEEP + "1" + "}" * DEEP, RAW),
    "300 arrays": ("[" * 300 + "]" * 300, REFUSED),
    "100 arrays": ("[" * 100 + "]" * 100, lambda event: json.dumps(event["n"]) == "[" * 100 + "]" * 100),
    "5,000 digits": ("9" * 5000, RAW),  # beyond what a float can be
    "300 digits": ("9" * 300, value(1e300)),
    "2^64": (str(2**64), value(float(2**64))),
    "2^64 - 1": (str(2**64 - 1), value(2**64 - 1)),
    "-2^63 - 1": (str(-(2**63) - 1), value(float(-(2**63)))),
    "NaN": ("NaN", RAW),
    "-Infinity": ("-Infinity", RAW),
    "1e400": ("1e400", RAW),
    "1e-400": ("1e-400", value(0.0)),
    "equal keys": ('1,"n":2,"n":3', value(3)),
    "a lone surrogate": (r'"\ud800"', RAW),
    "a lone surrogate in a key": (r'{"\udc00":1}', RAW),
    "NUL": (r'"a\u0000b"', value("a\0b")),
    "100,000 keys": (json.dumps(KEYS), value(KEYS)),
    "an open string": ('"', RAW),
    "two values": ("1}{", RAW),
}


def line(name: str) -> str:
    return f'{{"poison":"{name}","n":{RULES[name][0]}}}'


def follows(event: Event, name: str) -> bool:
    """Whether it came out by its rule."""
    rule = RULES[name][1]
    if rule is RAW:
        return event.get("message") == line(name) and "shipper_error" in event
    return callable(rule) and event.get("poison") == name and rule(event)


@pytest.mark.parametrize("route", ["http", "file"])
def test_t42_json(bench: Bench, route: str) -> None:
    """T42: each of 20 kinds of odd JSON among 999 good events: these are delivered, the odd one by its rule (as a value,
    as text with a mark, or as a dead letter); no stall above 250 ms, and the output is valid JSON throughout.
    """
    port, log, source = free_port(), bench.folder / "app.log", bench.oracle.source("app")
    log.touch()
    inputs: dict[str, Any] = {
        "http": {"type": "http", "listen": f"127.0.0.1:{port}"},
        "file": {"type": "file", "include": ["./app.log"], "max_line_bytes": "4MiB", "poll_interval": "50ms"},
    }
    parse = {"parse": {"type": "parse", "format": "json"}}
    with Destination() as server:  # it reads what it gets, strictly, and fails the scenario if it cannot
        config = {
            "data_dir": "./data",
            "inputs": {"app": inputs[route]},
            "filters": parse if route == "file" else {},
            "outputs": {"out": http(server, concurrency=1, batch={"events": 1000, "wait": "50ms"})},
        }
        with bench.agent(config) as agent:
            for name in RULES:
                chunk = source.mint(999)
                rows = [json.dumps(event) for event in chunk.events]
                rows.insert(500, line(name))
                body = "".join(f"{row}\n" for row in rows).encode()
                if route == "http":
                    assert post(port, body, {"Content-Type": "application/x-ndjson"}) == 200
                    chunk.acked()
                else:
                    with log.open("ab") as file:
                        file.write(body)
                    chunk.written()
            bench.oracle.wait(agent, server.taken)
            odd = [event for event in server.taken if not str(event.get("message")).startswith("app ")]
            agent.wait_for(lambda: agent.dead_letters("out"), what="to set one aside")
            late = stalls(agent)
            bench.sound(agent)
            assert agent.stop() == 0
        dead = [letter["event"] for letter in agent.dead_letters("out")]
    wrong = [
        name
        for name, (_, rule) in RULES.items()
        if not any(follows(event, name) for event in odd) and not (rule is REFUSED and len(dead) == 1)
    ]
    verdict = bench.oracle.verdict(server.taken)
    bench.figure("kinds that did not follow their rule", "0", len(wrong))
    bench.figure("good events lost or twice", "0", len(verdict.missing) + verdict.duplicates)
    bench.figure("stalls above 250 ms", "0", late)
    assert not wrong, wrong
    assert len(odd) == len(RULES) - 1
    assert not verdict.missing
    assert verdict.duplicates == 0
    assert verdict.delivered == 999 * len(RULES)
    assert late <= spare()
