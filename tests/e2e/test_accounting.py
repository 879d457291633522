"""Every event is accounted for: what is refused is set aside alone, and the sums add up at any moment."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.e2e.agent import Agent, ndjson
from tests.e2e.fake import Destination, Got, Say

ISOLATE = """
data_dir: ./data
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters: {parse: {type: parse, format: json}}
outputs: {out: {type: http, url: "URL", delivery: {batch: {events: 400, wait: 50ms}, retry: {first: 20ms, max: 50ms}}}}
"""


def test_the_guilty_events_are_set_aside_and_only_they(tmp_path: Path) -> None:
    """Of 2,000 events 25 are refused with 400 and five are too large for the server: exactly those are dead letters, with reason and status."""
    bad = {n for n in range(2000) if n % 80 == 7}
    large = {n for n in range(2000) if n % 400 == 11}

    def answer(got: Got) -> Say:
        events = got.events
        if len(got.body) > 20_000:
            return Say(413, b"too much")
        if any(event["id"] in bad for event in events):
            return Say(400, b"no such field")
        return Say()

    with (tmp_path / "app.log").open("w") as file:
        for n in range(2000):
            file.write(json.dumps({"id": n, "pad": "x" * (30_000 if n in large else 50)}) + "\n")
    with Destination(answer) as server, Agent(ISOLATE.replace("URL", server.url), tmp_path) as agent:
        agent.wait_for(lambda: len(agent.dead_letters("out")) == len(bad) + len(large))
        agent.wait_for(lambda: agent.metric("shipper_in_flight_events") == 0)
        metrics = agent.metrics()
        assert agent.stop() == 0
    delivered = [event["id"] for event in server.events()]
    assert sorted(delivered) == sorted(set(range(2000)) - bad - large)
    letters = agent.dead_letters("out")
    assert sorted(letter["event"]["id"] for letter in letters) == sorted(bad | large)
    for letter in letters:
        assert set(letter) == {"time", "component", "reason", "status", "attempts", "event"}
        wanted = 413 if letter["event"]["id"] in large else 400
        assert (letter["component"], letter["status"]) == ("out", wanted)
        assert ("too much" if wanted == 413 else "no such field") in letter["reason"]
    assert metrics['shipper_output_events_total{output="out"}'] == 2000 - 30
    assert metrics['shipper_dead_letter_events_total{component="out",reason="HTTP 400"}'] == 25
    assert metrics['shipper_dead_letter_events_total{component="out",reason="HTTP 413"}'] == 5
    assert metrics['shipper_unaccounted_events{output="out"}'] == 0
    assert metrics['shipper_unaccounted_events{pipeline="main"}'] == 0


SUMS = """
data_dir: ./data
inputs: {app: {type: file, include: [./app.log], poll_interval: 50ms}}
filters:
  parse: {type: parse, format: json, on_error: dead_letter}
  some: {type: drop, when: "id % 10 == 3"}
  hide: {type: redact, detect: [email]}
outputs:
  web: {type: http, url: "URL", delivery: {batch: {events: 500, wait: 20ms}, retry: {first: 5ms, max: 20ms}}}
  file: {type: file, path: "./out/{kind}.ndjson", delivery: {batch: {bytes: 64KiB, wait: 20ms}}}
pipelines:
  main: {inputs: [app], filters: [parse, some, hide], outputs: [web, {output: file, when: "id % 2 == 0"}]}
  odd: {inputs: [app], filters: [parse], outputs: [{output: file, when: "id % 100 == 1"}]}
"""


def sums(metrics: dict[str, float]) -> None:
    """The two sums of the contract, from the page alone."""
    off = {name: value for name, value in metrics.items() if name.startswith("shipper_unaccounted_events") and value}
    assert not off
    for output in ("web", "file"):
        handed = metrics[f'shipper_output_events_total{{output="{output}"}}'] + sum(
            value
            for name, value in metrics.items()
            if name.startswith("shipper_dead_letter_events_total") and f'component="{output}"' in name
        )
        assert handed >= 0
        assert metrics[f'shipper_in_flight_events{{output="{output}"}}'] >= 0


def test_the_sums_add_up_at_any_moment(tmp_path: Path) -> None:
    """Over two pipelines, drops, dead letters, refusals and retries `shipper_unaccounted_events` is 0 whenever somebody looks, and the end is exact."""
    lines, chance = 30_000, random.Random(5)

    def answer(got: Got) -> Say:
        roll = chance.random()
        if roll < 0.2:
            return Say(503, b"", {"Retry-After": "0"})
        return Say(400, b"bad") if b'"id":4242,' in got.body or b'"id":777,' in got.body else Say()

    text = []
    for n in range(lines):
        kind = {"kind": f"k{n % 3}"} if n % 1000 else {}  # without it the file's path cannot be made
        text.append(json.dumps({"id": n, "mail": f"u{n}@example.com", **kind}) if n % 500 != 499 else f"broken {n}")
    (tmp_path / "app.log").write_text("\n".join(text) + "\n")
    looks = 0
    with Destination(answer) as server, Agent(SUMS.replace("URL", server.url), tmp_path) as agent:

        def done() -> bool:
            nonlocal looks
            metrics = agent.metrics()
            sums(metrics)
            looks += 1
            return metrics['shipper_input_events_total{input="app"}'] == lines and not any(
                value for name, value in metrics.items() if name.startswith("shipper_in_flight_events")
            )

        agent.wait_for(done, 40)
        metrics, status = agent.metrics(), agent.status()
        assert agent.stop() == 0
    assert looks > 3
    broken = lines // 500
    good = [n for n in range(lines) if n % 500 != 499]
    kept = [n for n in good if n % 10 != 3]
    refused = {n for n in kept if n in (4242, 777)}
    assert sorted(event["id"] for event in server.events()) == sorted(set(kept) - refused)
    evens = [n for n in kept if n % 2 == 0]
    # the second pipeline hands over lines of its own: the file gets them beside those of the first
    ones = [n for n in good if n % 100 == 1]
    wanted = sorted(n for n in [*evens, *ones] if n % 1000)
    found = sorted(event["id"] for name in ("k0", "k1", "k2") for event in ndjson(tmp_path / f"out/{name}.ndjson"))
    assert found == wanted
    main = status["pipelines"]["main"]
    assert main["received"] == lines
    assert sum(main["dropped"].values()) == len(good) - len(kept)
    assert sum(main["dead_letters"].values()) == broken
    assert metrics['shipper_dropped_events_total{component="odd",reason="no_route"}'] == len(good) - len(ones)
    assert len(agent.dead_letters("parse")) == 2 * broken
    assert len(agent.dead_letters("web")) == len(refused)
    assert len(agent.dead_letters("file")) == len([n for n in evens if n % 1000 == 0])
