"""This agent: its configuration for a scenario, and where it says how far it is."""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bench.agents import Job
from bench.scenarios import Route, Scenario

Options = dict[str, Any]

COMBINED = (
    r'^(?P<remote_host>\S+) \S+ (?P<user>\S+) \[(?P<timestamp>[^\]]*)\] "(?P<method>\S+) (?P<path>\S+) '
    r'(?P<protocol>[^"]*)" (?P<status>\d+) (?P<bytes>\S+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$'
)
REGEX: Options = {
    "type": "parse",
    "format": "regex",
    "pattern": COMBINED,
    "timestamp": {"field": "timestamp", "formats": ["%d/%b/%Y:%H:%M:%S %z"]},
    "types": {"status": "int", "bytes": "int"},
}
JSON: Options = {"type": "parse", "format": "json"}
HIDE: Options = {"type": "redact", "detect": ["email", "credit_card"], "fields": ["msg"]}
FILTERS: dict[str, dict[str, Options]] = {
    "regex": {"parse": REGEX},
    "json": {"parse": JSON},
    "redact": {"parse": JSON, "hide": HIDE},
}
START = r"^\d{4}-"
"""How the first line of a stack trace's event begins."""


def filters(scenario: Scenario) -> dict[str, Options]:
    by_input = scenario.forked or scenario.feed == "http"  # JSON is parsed where it comes in
    found = {} if by_input else dict(FILTERS.get(scenario.parse, {}))
    if "parse" in found and any(route.to == "loki" for route in scenario.routes):
        found["parse"] = {**found["parse"], "timestamp": {"field": "ts"}}
    return {"host": {"type": "enrich", "host": True}, **found}


def feed(job: Job) -> Options:
    scenario, address = job.scenario, f"127.0.0.1:{job.port}"
    if scenario.feed == "http":
        return {"type": "http", "listen": address, "codec": "ndjson"}
    if scenario.feed != "file":
        return {"type": "syslog", "listen": f"{scenario.feed}://{address}"}
    more: Options = {}
    if scenario.parse == "trace":
        more = {"multiline": {"type": "start", "pattern": START}}
    elif scenario.parse == "cri":
        more = {"codec": "cri"}
    elif scenario.forked:
        more = {"codec": "json"}
    return {"type": "file", "include": [str(job.source)], **more}


def output(job: Job, route: Route) -> Options:
    url, compression = f"http://127.0.0.1:{job.server}", "gzip" if route.packed else "none"
    outputs: dict[str, Options] = {
        "nothing": {"type": "blackhole"},
        # the floor does not wait for the disk either
        "file": {"type": "file", "path": str(job.out(route)), "fsync": False},
        "http": {"type": "http", "url": url + job.path, "compression": compression},
        "es": {"type": "elasticsearch", "endpoints": [url], "index": "logs-app", "compression": compression},
        "loki": {
            "type": "loki",
            "url": url,
            "labels": {"app": "x"},
            "compression": compression,
            "limits": {"age": None, "ahead": None},
        },
    }
    delivery: Options = {} if job.wait is None else {"delivery": {"batch": {"wait": f"{job.wait * 1000:.0f}ms"}}}
    return outputs[route.to] | delivery


def pipelines(scenario: Scenario) -> dict[str, Options]:
    """One, with all outputs; but one for each condition."""
    chain = list(filters(scenario))
    if not scenario.forked:
        return {
            "main": {"inputs": ["in"], "filters": chain, "outputs": [f"out{n}" for n in range(len(scenario.routes))]}
        }
    return {
        f"p{n}": {"inputs": ["in"], "filters": chain, "outputs": [{"output": f"out{n}", **condition(route)}]}
        for n, route in enumerate(scenario.routes)
    }


def condition(route: Route) -> Options:
    return {"when": f"{route.where.field} {route.where.op} {route.where.value!r}"} if route.where else {}


@dataclass(frozen=True)
class Shipper:
    """`python -m shipper run`, of this tree; `settings` are laid over the top level of its configuration."""

    name: str = "shipper"
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def command(self, job: Job) -> Sequence[str]:
        file, scenario = job.folder / "shipper.json", job.scenario
        config = {
            "data_dir": str(job.folder / "data"),
            "api": {"listen": None if self.ends(job) else "127.0.0.1:0"},
            "inputs": {"in": feed(job)},
            "filters": filters(scenario),
            "outputs": {f"out{n}": output(job, route) for n, route in enumerate(scenario.routes)},
            "pipelines": pipelines(scenario),
            **self.settings,
        }
        file.write_text(json.dumps(config))
        once = ["--once"] if self.ends(job) else []
        return [sys.executable, "-m", "shipper", "run", *once, "-c", str(file)]

    def ends(self, job: Job) -> bool:
        return not (job.scenario.daemon or job.follow)

    def ready(self, job: Job) -> bool:
        return self._ask(job, "/readyz") is not None

    def delivered(self, job: Job) -> int | None:
        return int(sum(series(self._ask(job, "/metrics"), "shipper_output_events_total")))

    def says(self, job: Job) -> dict[str, float]:
        if self.ends(job):
            return {}
        metrics, status = self._ask(job, "/metrics"), json.loads(self._ask(job, "/status") or "{}")
        return {
            "stall": float(status.get("longest_stall_seconds", 0)),
            "kernel_drops": sum(series(metrics, "shipper_dropped_events_total", 'reason="kernel_udp_drops"')),
            "own_drops": sum(series(metrics, "shipper_dropped_events_total", 'reason="no_room"')),
        }

    def _ask(self, job: Job, path: str) -> str | None:
        """What the api answers; None while it is not there, or says that it is not ready."""
        with contextlib.suppress(
            OSError, ValueError
        ):  # HTTPError is an OSError; an address that is not written yet is none
            api = (job.folder / "data" / "api").read_text().strip()
            with urllib.request.urlopen(api + path, timeout=30) as response:
                text: str = response.read().decode()
                return text
        return None


def series(page: str | None, name: str, label: str = "") -> list[float]:
    """The values of a metric, on a Prometheus page."""
    rows = (page or "").splitlines()
    return [float(row.rpartition(" ")[2]) for row in rows if row.startswith((f"{name}{{", f"{name} ")) and label in row]
