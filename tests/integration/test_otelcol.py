"""The OpenTelemetry Collector takes what we write: our files by its `filelog`, syslog by a drop-in output."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.e2e.agent import PATIENCE, ndjson, shipper, write_config
from tests.servers import Url

PLUGINS = Path(__file__).parent / "plugins"
COUNT = 1000


def records(collector: Url, marker: str, count: int) -> list[dict[str, Any]]:
    """Attributes of the exported log records whose `app` is `marker`, once there are `count` of them."""
    end = time.monotonic() + PATIENCE
    while True:
        found = [
            {each["key"]: next(iter(each["value"].values())) for each in record.get("attributes", ())}
            for export in ndjson(collector.data / "out.jsonl")
            for resource in export["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]
        found = [record for record in found if marker in (record.get("app"), record.get("appname"))]
        if len(found) >= count:
            return found
        assert time.monotonic() < end, f"the collector has {len(found)} of {count} records"
        time.sleep(0.05)


def write_log(path: Path, app: str) -> None:
    event = {"timestamp": "2026-11-20T09:12:10.779Z", "host": "web01", "app": app}
    path.write_text("".join(json.dumps({**event, "message": f"order {n} placed"}) + "\n" for n in range(COUNT)))


def run(folder: Path, output: dict[str, Any], **more: Any) -> None:
    config = {
        "inputs": {"app": {"type": "file", "include": [str(folder / "app.log")]}},
        "filters": {"parse": {"type": "parse", "format": "json"}},
        "outputs": {"out": output},
        **more,
    }
    done = shipper("run", "--once", "-c", write_config(config, folder))
    assert done.returncode == 0, done.stderr


def test_its_filelog_receiver_reads_our_files(otelcol: Url, tmp_path: Path) -> None:
    """NDJSON written by the file output is parsed by the collector: each event once, field by field."""
    (otelcol.data / "in").mkdir(exist_ok=True)
    write_log(tmp_path / "app.log", "by-file")
    run(tmp_path, {"type": "file", "path": str(otelcol.data / "in" / "shop.ndjson")})

    found = records(otelcol, "by-file", COUNT)
    assert [record["message"] for record in found] == [f"order {n} placed" for n in range(COUNT)]
    assert {(record["timestamp"], record["host"]) for record in found} == {("2026-11-20T09:12:10.779Z", "web01")}


def test_it_receives_syslog_from_a_drop_in_output(otelcol: Url, tmp_path: Path) -> None:
    """Octet-counted RFC 5424 messages sent by a plugin file of twenty lines are parsed by the collector."""
    write_log(tmp_path / "app.log", "by-syslog")
    run(tmp_path, {"type": "syslog_tcp", "port": otelcol.ports[2]}, plugins=[str(PLUGINS)])

    found = records(otelcol, "by-syslog", COUNT)
    assert sorted(record["message"] for record in found) == sorted(f"order {n} placed" for n in range(COUNT))
    assert {record["hostname"] for record in found} == {"web01"}
