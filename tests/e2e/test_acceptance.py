"""The whole of the main job at once: four ways in, parsed, enriched, redacted, routed, four ways out, every line accounted for.

`SHIPPER_ACCEPTANCE_LINES=1000000 pytest tests/e2e/test_acceptance.py` is the full run; it is smaller by default.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from tests.e2e.agent import Agent
from tests.e2e.fake import Destination, Got, Say

LINES = int(os.environ.get("SHIPPER_ACCEPTANCE_LINES", "20000"))
CONFIG = """
data_dir: ./data
inputs:
  app: {type: file, include: ["./logs/*.log"], poll_interval: 100ms}
  pipe: {type: stdin}
  net: {type: syslog, listen: "tcp://127.0.0.1:0"}
  web: {type: http, listen: 127.0.0.1:0}
filters:
  json: {type: parse, format: json}
  lines: {type: parse, format: logfmt}
  names: {type: set, fields: {level: "{severity}", service: "{app}"}}
  where: {type: enrich, host: true, fields: {env: test}}
  hide: {type: redact, detect: [email, credit_card, bearer_token]}
outputs:
  file: {type: file, path: "./out/{level:none}.ndjson"}
  http: {type: http, url: "URL/in"}
  es: {type: elasticsearch, endpoints: ["URL/es"], index: "logs-{service:app}"}
  loki: {type: loki, url: "URL/loki", labels: {service: "{service}", level: "{level}"}, line: json}
pipelines:
  json: {inputs: [app, web], filters: [json, where, hide], outputs: &all [file, {output: http, when: "level != 'debug'"}, es, loki]}
  text: {inputs: [pipe], filters: [lines, where, hide], outputs: *all}
  syslog: {inputs: [net], filters: [names, where, hide], outputs: *all}
"""
HOUR = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H}"
"""When it was written: what is older than a week no Loki takes."""
LEVELS = ("debug", "info", "info", "info", "warn", "error")
SECRETS = re.compile(rb"planted|4111 ?1111|s3cr3tt0k3n")
ID = re.compile(rb"id-(\d{8})-id")
PATHS = ("/api/v1/orders", "/health", "/static/app.js", "/login")


def level(n: int) -> str:
    return LEVELS[n % len(LEVELS)]


def text(n: int) -> str:
    """A message as applications write them, with an id; every seventh carries something that must not leave the machine."""
    said = f"id-{n:08}-id GET {PATHS[n % 4]}/{n * 7919 % 10007} took {n % 900}ms"
    if n % 7 == 0:
        said += (
            f" for planted.{n}@example.com",
            " card 4111 1111 1111 1111",
            " Authorization: Bearer s3cr3tt0k3n4u1234567890",
        )[n % 3]
    return said


def as_json(n: int) -> bytes:
    return (
        f'{{"timestamp":"{HOUR}:{n % 60:02}:{n // 60 % 60:02}.{n % 1000:03}Z","level":"{level(n)}",'
        f'"service":"svc{n % 5}","msg":"{text(n)}","status":{200 + n % 4 * 100},"nested":{{"user":{{"id":{n}}}}}}}\n'
    ).encode()


def as_logfmt(n: int) -> bytes:
    return f'level={level(n)} service=svc{n % 5} status={n % 500} msg="{text(n)}"\n'.encode()


def as_syslog(n: int) -> bytes:
    return f"<{8 + (7, 6, 6, 6, 4, 3)[n % 6]}>1 {HOUR}:00:00.{n % 1000:03}Z web{n % 9} svc{n % 5} {n} - - {text(n)}\n".encode()


def chunks(make: Callable[[int], bytes], ids: Iterable[int], size: int = 500) -> Iterator[bytes]:
    rest = iter(ids)
    while some := list(islice(rest, size)):
        yield b"".join(map(make, some))


class Sources:
    """Each fills one input beside the others, in a thread; what fails there fails the test."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    @property
    def done(self) -> bool:
        if self.errors:
            raise self.errors[0]
        return not any(thread.is_alive() for thread in self.threads)


def elastic(got: Got) -> Say:
    count = got.body.count(b"\n") // 2
    items = b",".join([b'{"create":{"status":201}}'] * count)
    head = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}
    return Say(200, b'{"errors":false,"took":1,"items":[' + items + b"]}", head)


@pytest.mark.timeout(600)
def test_every_line_arrives_everywhere_and_no_secret_does(tmp_path: Path) -> None:
    """Each id is in each output it is routed to exactly once, although the servers refuse some requests; nothing planted comes out."""
    share = LINES // 4
    ids = [range(n * share, (n + 1) * share) for n in range(4)]
    calls = Counter[str]()
    seen: dict[str, Counter[int]] = {name: Counter() for name in ("in", "es", "loki", "file")}
    leaks: list[bytes] = []
    lock = threading.Lock()

    def answer(got: Got) -> Say:
        name = got.path.split("/")[1].split("?")[0]
        with lock:
            calls[name] += 1
            if calls[name] in (2, 5, 9):  # now and then it is busy
                return Say(503, b"busy", {"Retry-After": "0"})
        found = ID.findall(got.body)
        leak = SECRETS.search(got.body)
        with lock:
            seen[name].update(map(int, found))
            if leak:
                leaks.append(got.body[max(0, leak.start() - 100) : leak.end() + 50])
        return elastic(got) if name == "es" else Say(204 if name == "loki" else 200)

    (tmp_path / "logs").mkdir()
    began = time.monotonic()
    with Destination(answer, keep=False) as server:
        agent = Agent(CONFIG.replace("URL", server.url), tmp_path, stdin=subprocess.PIPE)
        with agent:
            assert agent.process is not None
            assert agent.process.stdin is not None
            stdin = agent.process.stdin
            inputs = agent.status()["inputs"]
            sources = Sources()

            def files() -> None:
                for number, some in enumerate(chunks(as_json, ids[0])):
                    with (tmp_path / f"logs/app{number % 3}.log").open("ab") as file:
                        file.write(some)

            def pipe() -> None:
                with stdin:
                    stdin.writelines(chunks(as_logfmt, ids[1]))

            def syslog() -> None:
                port = int(inputs["net"]["address"].rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    for some in chunks(as_syslog, ids[2]):
                        connection.sendall(some)

            def web() -> None:
                for some in chunks(as_json, ids[3], 20_000):
                    request = urllib.request.Request(
                        inputs["web"]["address"], some, {"Content-Type": "application/x-ndjson"}
                    )
                    with urllib.request.urlopen(request, timeout=60) as said:
                        assert said.status == 200

            for work in (files, pipe, syslog, web):
                sources.start(work)
            agent.wait_for(lambda: sources.done, 300, "to take everything")

            def delivered() -> bool:
                metrics = agent.metrics()
                assert not [name for name, value in metrics.items() if "unaccounted" in name and value]
                came = sum(value for name, value in metrics.items() if name.startswith("shipper_input_events_total"))
                flying = sum(value for name, value in metrics.items() if name.startswith("shipper_in_flight_events"))
                return came >= 4 * share and not flying

            agent.wait_for(delivered, 300, "to deliver everything")
            took = time.monotonic() - began
            metrics, state = agent.metrics(), agent.status()
            assert agent.stop() == 0
    for file in (tmp_path / "out").iterdir():
        body = file.read_bytes()
        seen["file"].update(map(int, ID.findall(body)))
        if leak := SECRETS.search(body):
            leaks.append(leak[0])
    print(f"{4 * share} lines in {took:.1f}s, {metrics['process_resident_memory_bytes'] / 2**20:.0f} MiB", end=" ")

    every = set(range(4 * share))
    quiet = {n for n in every if level(n) == "debug"}
    for name, wanted in {"file": every, "es": every, "loki": every, "in": every - quiet}.items():
        lost, more = wanted - set(seen[name]), set(seen[name]) - wanted
        assert (len(lost), len(more)) == (0, 0), (name, sorted(lost)[:5], sorted(more)[:5])
        twice = [n for n, count in seen[name].items() if count > 1]
        assert not twice, (name, len(twice), twice[:5])
    assert not leaks, leaks[0]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "debug.ndjson",
        "error.ndjson",
        "info.ndjson",
        "warn.ndjson",
        "warning.ndjson",
    ]
    assert not (agent.data_dir / "dead_letters").exists()
    for name in ("file", "es", "loki"):
        assert metrics[f'shipper_output_events_total{{output="{name}"}}'] == 4 * share
    assert metrics['shipper_output_events_total{output="http"}'] == 4 * share - len(quiet)
    assert {each["state"] for each in state["inputs"].values()} == {"running", "ended"}
