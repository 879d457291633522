"""Vector (after the documentation of 0.5x): its configuration for a scenario, as JSON.

Untried: no Vector was at hand when this was written. What it writes is checked like everything else before a time is
printed, so a mistake here shows as a row without figures. It is stopped by SIGTERM once everything is out.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.agents import Cannot, Job
from bench.peers.common import released_port
from bench.scenarios import Route, Scenario

Options = dict[str, Any]

PARSED = "parsed = object!(parse_json!(string!(.message)))\ndel(.message)\n. = merge(., parsed)\n"
REDACTED = (
    r""".msg = replace(string!(.msg), r'[\w.+-]+@[\w-]+\.[\w.]+', "[email]")"""
    "\n"
    r""".msg = replace(string!(.msg), r'\b(?:\d[ -]?){15}\d\b', "[credit_card]")"""
    "\n"
)
RENAMED = ".app = del(.appname)\n.pid = del(.procid)\n.host = del(.hostname)\n.peer = del(.source_ip)\n"
PROGRAMS = {
    "raw": "",
    "trace": "",
    "regex": r"""parsed = parse_regex!(string!(.message), r'^(?P<remote_host>\S+) \S+ (?P<user>\S+) \[(?P<timestamp>[^\]]*)\] "(?P<method>\S+) (?P<path>\S+) (?P<protocol>[^"]*)" (?P<status>\d+) (?P<bytes>\S+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$')
del(.message)
. = merge(., parsed)
.timestamp = parse_timestamp!(.timestamp, "%d/%b/%Y:%H:%M:%S %z")
.status = to_int!(.status)
.bytes = to_int!(.bytes)
""",
    "json": PARSED,
    "redact": PARSED + REDACTED,
    "syslog": RENAMED,
    "bsd": RENAMED,
}
"""What is done with an event, in its remap language."""
NOTES = (
    "Vector's file output makes one write a line; it has no option for more.",
    "Vector's rows to Loki are JSON, as ours, not its default (protobuf packed by snappy).",
)


def feed(job: Job) -> Options:
    scenario, address = job.scenario, f"127.0.0.1:{job.port}"
    if scenario.feed == "http":
        lines = {"framing": {"method": "newline_delimited"}, "decoding": {"codec": "json"}}
        return {"type": "http_server", "address": address, **lines}
    if scenario.feed != "file":
        return {"type": "syslog", "mode": scenario.feed, "address": address}
    more: Options = {}
    if scenario.parse == "trace":
        start = r"^\d{4}-"
        more = {
            "multiline": {
                "mode": "halt_before",
                "start_pattern": start,
                "condition_pattern": start,
                "timeout_ms": 1000,
            }
        }
    return {"type": "file", "include": [str(job.source)], "read_from": "beginning", **more}


def program(scenario: Scenario) -> str:
    if scenario.parse not in PROGRAMS:
        raise Cannot("joining the parts of a CRI line outside Kubernetes was not tried")
    found = "" if scenario.feed == "http" else PROGRAMS[scenario.parse]
    if any(route.to == "loki" for route in scenario.routes):
        found += '.timestamp = parse_timestamp!(.ts, "%+")\n'
    return found + "del(.source_type)\n"


def condition(route: Route) -> str:
    assert route.where is not None
    kind = "int!" if isinstance(route.where.value, int) else "string!"
    return f"{kind}(.{route.where.field}) {route.where.op} {json.dumps(route.where.value)}"


def output(job: Job, route: Route) -> Options:
    url, compression = f"http://127.0.0.1:{job.server}", "gzip" if route.packed else "none"
    coded = {"encoding": {"codec": "json"}}
    batch: Options = {} if job.wait is None or not route.to_server else {"batch": {"timeout_secs": job.wait}}
    outputs: dict[str, Options] = {
        "nothing": {"type": "blackhole"},
        "file": {"type": "file", "path": str(job.out(route)), **coded},
        "http": {
            "type": "http",
            "uri": url + job.path,
            "framing": {"method": "newline_delimited"},
            "compression": compression,
            **coded,
        },
        "es": {
            "type": "elasticsearch",
            "endpoints": [url],
            "api_version": "v8",
            "bulk": {"index": "logs-app", "action": "create"},
            "compression": compression,
        },
        "loki": {"type": "loki", "endpoint": url, "labels": {"app": "x"}, "compression": compression, **coded},
    }
    return outputs[route.to] | batch


@dataclass(frozen=True)
class Vector:
    program: str
    name: str = "vector"

    def command(self, job: Job) -> Sequence[str]:
        scenario, file = job.scenario, job.folder / "vector.json"
        api, metrics = released_port(), released_port()
        (job.folder / "ports").write_text(f"{api} {metrics}")
        routes = [*enumerate(scenario.routes)]
        transforms: dict[str, Options] = {"work": {"type": "remap", "inputs": ["in"], "source": program(scenario)}}
        if scenario.forked:
            transforms["by"] = {
                "type": "route",
                "inputs": ["work"],
                "route": {f"p{n}": condition(route) for n, route in routes},
            }
        config: Options = {
            "data_dir": str(job.folder),
            "api": {"enabled": True, "address": f"127.0.0.1:{api}"},
            "sources": {"in": feed(job)},
            "transforms": transforms,
            "sinks": {
                f"out{n}": {**output(job, route), "inputs": [f"by.p{n}" if scenario.forked else "work"]}
                for n, route in routes
            },
        }
        if any(route.to == "nothing" for route in scenario.routes):  # only it can say what it threw away
            config["sources"]["own"] = {"type": "internal_metrics", "scrape_interval_secs": 1}
            config["sinks"]["own_metrics"] = {
                "type": "prometheus_exporter",
                "inputs": ["own"],
                "address": f"127.0.0.1:{metrics}",
            }
        file.write_text(json.dumps(config, indent=1))
        return [self.program, "--quiet", "--config", str(file)]

    def ends(self, job: Job) -> bool:
        return False

    def ready(self, job: Job) -> bool:
        return self._ask(job, 0, "/health") is not None

    def delivered(self, job: Job) -> int | None:
        rows = (self._ask(job, 1, "/metrics") or "").splitlines()
        sent = [row for row in rows if row.startswith("vector_component_sent_events_total{")]
        return int(sum(float(row.split()[1]) for row in sent if 'component_id="out' in row))

    def says(self, job: Job) -> dict[str, float]:
        return {}

    def _ask(self, job: Job, which: int, path: str) -> str | None:
        with contextlib.suppress(OSError):  # not there yet
            port = (job.folder / "ports").read_text().split()[which]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
                text: str = response.read().decode()
                return text
        return None
