"""The main job with real ends: files, syslog and HTTP in, OpenSearch and Loki out, both read back by query.

`SHIPPER_ACCEPTANCE_LINES=1000000 pytest -n 0 -m servers tests/integration/test_acceptance.py` is the full run.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent
from tests.integration.rest import call
from tests.servers import Url

LINES = int(os.environ.get("SHIPPER_ACCEPTANCE_LINES", "9000"))
SECRETS = re.compile(r"planted|4111 ?1111|s3cr3tt0k3n")
PAGE = 5000
CONFIG = """
data_dir: ./data
inputs:
  app: {type: file, include: ["./logs/*.log"], poll_interval: 100ms}
  pipe: {type: stdin, codec: ndjson}
  net: {type: syslog, listen: "tcp://127.0.0.1:0"}
  web: {type: http, listen: 127.0.0.1:0}
filters:
  json: {type: parse, format: json}
  names: {type: set, fields: {level: "{severity}", service: "{app}", id: "{pid}"}}
  where: {type: enrich, host: true}
  hide: {type: redact, detect: [email, credit_card, bearer_token]}
outputs:
  es: {type: elasticsearch, endpoints: [OPENSEARCH], index: "accept-{service}"}
  loki: {type: loki, url: LOKI, labels: {job: accept, service: "{service}"}}
  file: {type: file, path: "./out/{service}.ndjson"}
pipelines:
  json: {inputs: [app, web], filters: [json, where, hide], outputs: &all [es, loki, file]}
  pipe: {inputs: [pipe], filters: [where, hide], outputs: *all}
  syslog: {inputs: [net], filters: [names, where, hide], outputs: *all}
"""


class Lines:
    """Numbered lines a millisecond apart, the last one about now; every seventh carries a secret."""

    def __init__(self, count: int) -> None:
        self.first = time.time_ns() // 10**6 - count - 30_000  # ms

    def stamp(self, n: int) -> str:
        ms = self.first + n
        return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"

    def text(self, n: int) -> str:
        secret = (
            "mail to planted.{}@example.com",
            "card 4111 1111 1111 1111",
            "Authorization: Bearer s3cr3tt0k3n4u1234567890",
        )
        return f"request {n} done " + (secret[n % 3].format(n) if n % 7 == 0 else "")

    def json(self, n: int) -> str:
        event = {
            "timestamp": self.stamp(n),
            "level": "info",
            "service": f"svc{n % 3}",
            "id": str(n),
            "message": self.text(n),
        }
        return json.dumps(event) + "\n"

    def syslog(self, n: int) -> str:
        return f"<14>1 {self.stamp(n)} web{n % 3} svc{n % 3} {n} - - {self.text(n)}\n"


def opensearch_ids(server: str) -> tuple[list[int], str]:
    """The ids of all documents, and their text."""
    call("POST", f"{server}/accept-*/_refresh")
    body = {"size": 10_000, "sort": ["_doc"], "_source": ["id", "message"]}
    page = call("POST", f"{server}/accept-*/_search?scroll=1m", body)
    ids, texts = [], []
    while hits := page["hits"]["hits"]:
        ids += [int(hit["_source"]["id"]) for hit in hits]
        texts += [hit["_source"]["message"] for hit in hits]
        page = call("POST", f"{server}/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
    call("DELETE", f"{server}/_search/scroll", {"scroll_id": page["_scroll_id"]})
    return ids, "\n".join(texts)


def loki_ids(server: str, lines: Lines, count: int) -> tuple[list[int], str]:
    """The ids of all entries, asked for page by page, and their text."""
    ids, texts = [], []
    for begin in range(0, count, PAGE):
        start = (lines.first + begin) * 10**6
        asked = {
            "query": '{job="accept"}',
            "start": start,
            "end": start + PAGE * 10**6,
            "limit": PAGE,
            "direction": "forward",
        }
        answer = call("GET", f"{server}/loki/api/v1/query_range?{urllib.parse.urlencode(asked)}")
        for stream in answer["data"]["result"]:
            for _, line in stream["values"]:
                ids.append(int(json.loads(line)["id"]))
                texts.append(line)
    return ids, "\n".join(texts)


@pytest.mark.timeout(900)
def test_every_line_can_be_found_again(opensearch: Url, loki: Url, tmp_path: Path) -> None:
    """Each id is in OpenSearch, in Loki and in the files exactly once; no secret is in any of them."""
    share = LINES // 4
    count = 4 * share
    lines = Lines(count)
    (tmp_path / "logs").mkdir()
    config = CONFIG.replace("OPENSEARCH", str(opensearch)).replace("LOKI", str(loki))
    with Agent(config, tmp_path, stdin=subprocess.PIPE) as agent:
        assert agent.process is not None
        stdin = agent.process.stdin
        assert stdin is not None
        inputs = agent.status()["inputs"]

        def files() -> None:
            for begin in range(0, share, 500):
                some = range(begin, min(begin + 500, share))
                with (tmp_path / f"logs/{begin // 500 % 3}.log").open("a") as file:
                    file.writelines(lines.json(4 * n) for n in some)

        def pipe() -> None:
            with stdin:
                stdin.writelines(lines.json(4 * n + 1).encode() for n in range(share))

        def syslog() -> None:
            with socket.create_connection(
                ("127.0.0.1", int(inputs["net"]["address"].rpartition(":")[2]))
            ) as connection:
                for begin in range(0, share, 500):
                    some = range(begin, min(begin + 500, share))
                    connection.sendall("".join(lines.syslog(4 * n + 2) for n in some).encode())

        def web() -> None:
            for begin in range(0, share, 5000):
                some = range(begin, min(begin + 5000, share))
                body = "".join(lines.json(4 * n + 3) for n in some).encode()
                request = urllib.request.Request(
                    inputs["web"]["address"], body, {"Content-Type": "application/x-ndjson"}
                )
                urllib.request.urlopen(request, timeout=120).close()

        run_all([files, pipe, syslog, web])

        def delivered() -> bool:
            metrics = agent.metrics()
            assert not [name for name, value in metrics.items() if "unaccounted" in name and value]
            outputs = agent.status()["outputs"].values()
            return all(output["delivered"] >= count and not output["in_flight"] for output in outputs)

        agent.wait_for(delivered, 600, "to deliver everything")
        assert agent.stop() == 0
    written = "".join(file.read_text() for file in (tmp_path / "out").iterdir())
    in_files = [int(json.loads(line)["id"]) for line in written.splitlines()]
    for ids, text in (opensearch_ids(opensearch), loki_ids(loki, lines, count), (in_files, written)):
        assert sorted(ids) == list(range(count))
        assert not SECRETS.search(text)
    assert not (agent.data_dir / "dead_letters").exists()


def run_all(works: list[Callable[[], None]]) -> None:
    """Each in a thread of its own; the first that failed is raised here."""
    errors: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
