"""Files into a real Loki, as JSON and as protobuf, read back by LogQL."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from shipper.batch import Batch, Piece
from shipper.clock import rfc3339
from shipper.errors import Refused, Rejected, TooLarge, Unavailable
from shipper.net.lokilimits import Limits
from shipper.options import Size
from shipper.options import Url as Option
from shipper.outputs.loki import Loki
from shipper.text.templates import Template
from tests.e2e.agent import shipper, write_config
from tests.integration.rest import call
from tests.servers import Url

COUNT = 2000


def stamp(nanoseconds: int) -> str:
    """RFC 3339 with microseconds."""
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000 % 10**6:06}Z"


def streams(server: str, query: str, since: int) -> dict[str, list[Any]]:
    """Entries by the label `service`, oldest first: [time in ns, line, {"structuredMetadata": ...}]."""
    asked = {"query": query, "start": since, "end": since + 3600 * 10**9, "limit": 5000, "direction": "forward"}
    answer = call(
        "GET",
        f"{server}/loki/api/v1/query_range?{urllib.parse.urlencode(asked)}",
        headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"},
    )
    return {stream["stream"]["service"]: stream["values"] for stream in answer["data"]["result"]}


@pytest.mark.parametrize("format", ["json", "protobuf"])
def test_entries_come_back_in_order_with_labels_and_metadata(format: str, loki: Url, tmp_path: Path) -> None:
    """Every entry is there once, in the order and at the time of the file, with its labels and metadata."""
    first = time.time_ns() // 10**6 * 10**6 - 600 * 10**9
    with (tmp_path / "app.log").open("w") as log:
        for n in range(COUNT):
            event = {
                "id": n,
                "timestamp": stamp(first + n * 10**6),
                "service": ("checkout", "payment")[n % 2],
                "message": f'request {n} said "grüß dich"',
                "trace_id": f"{n // 2:032x}",
            }
            log.write(json.dumps(event, ensure_ascii=n % 3 == 0) + "\n")
    config = {
        "inputs": {"app": {"type": "file", "include": [str(tmp_path / "app.log")]}},
        "filters": {"parse": {"type": "parse", "format": "json"}},
        "outputs": {
            "loki": {
                "type": "loki",
                "url": str(loki),
                "format": format,
                "labels": {"service": "{service}", "job": f"test-{format}", "absent": "{no.such.field}"},
                "structured_metadata": {"trace_id": "{trace_id}", "id": "{id}"},
                "line": "message",
            }
        },
    }
    done = shipper("run", "--once", "-c", write_config(config, tmp_path))
    assert done.returncode == 0, done.stderr

    found = streams(loki, f'{{job="test-{format}"}}', first)
    assert sorted(found) == ["checkout", "payment"]
    for odd, service in enumerate(("checkout", "payment")):
        wanted = [n for n in range(COUNT) if n % 2 == odd]
        values = found[service]
        assert [value[1] for value in values] == [f'request {n} said "grüß dich"' for n in wanted]
        assert [int(value[0]) for value in values] == [first + n * 10**6 for n in wanted]
        metadata = [value[2]["structuredMetadata"] for value in values]
        assert [data["trace_id"] for data in metadata] == [f"{n // 2:032x}" for n in wanted]
        assert [data["id"] for data in metadata] == [str(n) for n in wanted]
    labels = call("GET", f"{loki}/loki/api/v1/labels?start={first}")["data"]
    assert "service" in labels
    assert "absent" not in labels


def test_entries_that_are_too_old_are_set_aside_alone(loki: Url, tmp_path: Path) -> None:
    """Loki refuses what is older than a week: those lines become dead letters with its reason, the others arrive."""
    first = time.time_ns() // 10**6 * 10**6 - 600 * 10**9
    with (tmp_path / "app.log").open("w") as log:
        for n in range(200):
            service, when = ("old", first - 30 * 86400 * 10**9) if n % 50 == 7 else ("new", first + n * 10**6)
            log.write(json.dumps({"timestamp": stamp(when), "service": service, "message": f"{n}"}) + "\n")
    labels = {"service": "{service}", "job": "test-old"}
    config = {
        "inputs": {"app": {"type": "file", "include": [str(tmp_path / "app.log")]}},
        "filters": {"parse": {"type": "parse", "format": "json"}},
        "outputs": {"loki": {"type": "loki", "url": str(loki), "labels": labels, "line": "json"}},
    }
    done = shipper("run", "--once", "-c", write_config(config, tmp_path))
    assert done.returncode == 0, done.stderr

    found = streams(loki, '{job="test-old"}', first)
    assert [json.loads(value[1])["message"] for value in found["new"]] == [f"{n}" for n in range(200) if n % 50 != 7]
    letters = (tmp_path / "shipper-data" / "dead_letters" / "loki.ndjson").read_text().splitlines()
    assert sorted(json.loads(letter)["event"]["message"] for letter in letters) == ["107", "157", "57", "7"]
    assert all("too old" in json.loads(letter)["reason"] for letter in letters)


def event_of(kind: str, more: int) -> tuple[dict[str, Any], dict[str, Template], dict[str, Template]]:
    """An event, labels and metadata that lie exactly on a limit of Loki's, or `more` beyond it."""
    labels = {"service": Template("limits"), "kind": Template(kind)}
    metadata: dict[str, Template] = {}
    event: dict[str, Any] = {"message": "x", "v": "v"}
    match kind:
        case "line_bytes":
            event["message"] = "é" * (128 << 10) + "x" * more
        case "label_value_bytes":
            event["v"] = "é" * 1024 + "x" * more
            labels["v"] = Template("{v}")
        case "labels":
            labels |= {f"l{n}": Template("x{v}") for n in range(13 + more)}
        case "metadata_entries":
            metadata = {f"m{n}": Template("{v}") for n in range(128 + more)}
        case "metadata_bytes":
            event["v"] = "x" * ((64 << 10) - 1 + more)
            metadata = {"m": Template("{v}")}
        case "age":
            event["timestamp"] = rfc3339(time.time() - 7 * 86400 + 60 - 120 * more)
        case "ahead":
            event["timestamp"] = rfc3339(time.time() + 600 - 60 + 120 * more)
    return event, labels, metadata


NO_LIMITS = Limits(
    line_bytes=Size(1 << 30), labels=1000, label_value_bytes=Size(1 << 20), metadata_entries=1000,
    metadata_bytes=Size(1 << 20), age=None, ahead=None,
)  # fmt: skip
KINDS = ["line_bytes", "label_value_bytes", "labels", "metadata_entries", "metadata_bytes", "age", "ahead"]


@pytest.mark.parametrize("format", ["json", "protobuf"])
@pytest.mark.parametrize("kind", KINDS)
async def test_our_limits_are_lokis(kind: str, format: Literal["json", "protobuf"], loki: Url) -> None:
    """What lies on a limit Loki takes and so do we; what lies beyond it Loki refuses, and we set it aside."""
    for more in (0, 1):
        event, labels, metadata = event_of(kind, more)
        output = Loki(
            url=Option(str(loki)), labels=labels, structured_metadata=metadata, line="message", format=format,
            limits=NO_LIMITS,
        )  # fmt: skip
        await output.open()
        try:
            (piece,) = output.encode(Batch([event]))
            assert isinstance(piece, Piece)
            if more:
                with pytest.raises(Rejected):
                    await output.write([piece])
            else:
                await output.write([piece])
            output.limits = Limits()
            (found,) = output.encode(Batch([event]))
        finally:
            await output.close()
        if more:
            assert isinstance(found, Refused) and f"(limits.{kind})" in found.reason
        else:
            assert isinstance(found, Piece)


async def test_a_request_larger_than_loki_takes(loki: Url) -> None:
    """Loki refuses a request over `request_bytes` as a whole (which is why we split before), and takes one below it."""
    options: dict[str, Any] = {"url": Option(str(loki)), "labels": {"service": Template("large")}, "line": "message"}
    large = Loki(**options, limits=Limits(request_bytes=Size(1 << 30)))
    await large.open()
    try:
        (piece,) = large.encode(Batch([{"message": "x" * 200_000}]))
        assert isinstance(piece, Piece)

        async def write(pieces: int) -> None:
            """When it may: more than 4 MB a second are 429."""
            async with asyncio.timeout(20):
                while True:
                    try:
                        return await large.write([piece] * pieces)
                    except Unavailable:
                        await asyncio.sleep(0.2)

        await write(20)
        with pytest.raises(TooLarge):
            await write(25)
    finally:
        await large.close()
