"""Fluent Bit (written for 5.1): its configuration for a scenario, as the YAML that JSON is.

Its `file` output writes no event's time; where events have a `timestamp`, its `stdout` output writes the same JSON
lines with the time as RFC 3339, to a file, for the same CPU or less. Like ours, neither waits for the disk.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.agents import Cannot, Job
from bench.peers.common import AGENT_HOST, in_shell, released_port
from bench.peers.fluentbit_parsers import MULTILINE, NAMES, PARSERS, REDACT
from bench.scenarios import Route, Scenario

Options = dict[str, Any]

DATE = {"format": "json_lines", "json_date_key": "timestamp", "json_date_format": "iso8601"}
TIMED = ("raw", "regex", "bsd", "trace", "cri")
"""What comes out of these has a `timestamp`; the others carry their time as text in a field, or none."""
OPERATORS = {"==": "eq", ">=": "gte", "<": "lt"}
SCRIPTS = {"redact": REDACT, "bsd": NAMES}
CALLS = {"redact": "redact", "bsd": "names"}
NOTES = (
    "Fluent Bit saves a file's position when a line is read, not when it is delivered, and holds lines in memory: a crash "
    "loses them, where Shipper reads them again.",
    "Fluent Bit's RFC 5424 rows have the priority as a number and structured data as text; facility, severity and the "
    "parsed form would need Lua. This is in its favour.",
    "Fluent Bit redacts, and names facility and severity over UDP, in Lua: its filters cannot.",
    "Fluent Bit's own RFC 5424 parser drops messages whose process id is no number; the pattern used here takes them.",
    "Fluent Bit ends at whole seconds: its events/s are too low or too high by what a second of a run is. Its start is the "
    "time until its HTTP server answers, which is before its inputs have begun.",
)


def parser(scenario: Scenario) -> str:
    if any(route.to == "loki" for route in scenario.routes):
        return "loki"
    return "json" if scenario.parse == "redact" else scenario.parse


def ends(job: Job) -> bool:
    """At the end of the file; but there it would lose an event that more lines might belong to."""
    return not (job.scenario.daemon or job.follow or job.scenario.parse == "trace")


def feed(job: Job) -> Options:
    scenario = job.scenario
    if scenario.feed == "http":
        raise Cannot("its HTTP input takes application/json and refuses NDJSON")
    if scenario.feed != "file":
        return {
            "name": "syslog",
            "mode": scenario.feed,
            "listen": "127.0.0.1",
            "port": job.port,
            "parser": parser(scenario),
            "source_address_key": "peer",
            "buffer_chunk_size": "64k",
            "buffer_max_size": "1M",
        }
    how: Options = {} if scenario.parse == "raw" else {"parser": parser(scenario)}
    if scenario.parse in ("trace", "cri"):
        how = {"multiline.parser": f"{scenario.parse}_event"}
    return {
        "name": "tail",
        "path": str(job.source),
        "path_key": "file",
        "key": "message",
        "read_from_head": True,
        "exit_on_eof": ends(job),
        "db": str(job.folder / "positions.db"),
        "mem_buf_limit": "50M",
        "buffer_chunk_size": "64k",
        "buffer_max_size": "1M",
        "refresh_interval": 1,
        **how,
    }


def filters(job: Job) -> list[Options]:
    where: list[Options] = [{"name": "record_modifier", "match": "*", "record": f"host {AGENT_HOST}"}]
    if job.scenario.feed != "file":  # a message has its own host
        where = []
    if call := CALLS.get(job.scenario.parse):
        where.append({"name": "lua", "match": "*", "call": call, "code": SCRIPTS[job.scenario.parse]})
    return where


def output(job: Job, number: int, route: Route) -> Options:
    scenario = job.scenario
    server: Options = {"host": "127.0.0.1", "port": job.server, **({"compress": "gzip"} if route.packed else {})}
    file: Options = {"name": "file", "path": str(job.folder), "file": job.out(route).name, "format": "plain"}
    outputs: dict[str, Options] = {
        "nothing": {"name": "null"},
        "file": {"name": "stdout", **DATE} if scenario.parse in TIMED else file,
        "http": {"name": "http", "uri": job.path, **DATE, **server},
        # without a limit: an answer that did not fit would be taken for a failure, and everything sent again
        "es": {"name": "es", "index": "logs-app", "suppress_type_name": True, "buffer_size": "false", **server},
        "loki": {"name": "loki", "labels": "app=x", "line_format": "json", **server},
    }
    found = {**outputs[route.to], "alias": f"out{number}"}
    return found if scenario.forked else {**found, "match": "*"}


def branches(scenario: Scenario) -> list[Options]:
    """A route a condition, by its conditional routing."""
    return [
        {
            "name": f"p{n}",
            "condition": {
                "rules": [{"field": f"${where.field}", "op": OPERATORS[where.op], "value": where.value}],
            },
            "to": {"outputs": [{"name": f"out{n}"}]},
        }
        for n, route in enumerate(scenario.routes)
        if (where := route.where)
    ]


@dataclass(frozen=True)
class FluentBit:
    program: str
    name: str = "fluent-bit"

    def command(self, job: Job) -> Sequence[str]:
        scenario, file, api = job.scenario, job.folder / "fluent-bit.yaml", released_port()
        (job.folder / "api").write_text(str(api))
        source = feed(job)
        chain = filters(job)
        if scenario.forked:  # routing looks at what the input made, so the filters are the input's own
            source |= {
                "routes": {"logs": branches(scenario)},
                "processors": {"logs": [{k: v for k, v in each.items() if k != "match"} for each in chain]},
            }
            chain = []
        config: Options = {
            "service": {
                "flush": 1 if job.wait is None else job.wait,
                "grace": 60,
                "log_level": "warn",
                "http_server": not self.ends(job),
                "http_listen": "127.0.0.1",
                "http_port": api,
            },
            "parsers": [{"name": name, **options} for name, options in PARSERS.items()],
            "multiline_parsers": [{"name": name, **options} for name, options in MULTILINE.items()],
            "pipeline": {
                "inputs": [source],
                "filters": chain,
                "outputs": [output(job, n, route) for n, route in enumerate(scenario.routes)],
            },
        }
        file.write_text(json.dumps(config, indent=1))
        command = [self.program, "--quiet", "--config", str(file)]
        if any(each["name"] == "stdout" for each in config["pipeline"]["outputs"]):
            return in_shell(command, job.out(scenario.routes[0]))
        return command

    def ends(self, job: Job) -> bool:
        return ends(job)

    def ready(self, job: Job) -> bool:
        return self._ask(job, "/api/v1/uptime") is not None

    def delivered(self, job: Job) -> int | None:
        counted = json.loads(self._ask(job, "/api/v1/metrics") or "{}")
        return sum(int(each["proc_records"]) for each in counted.get("output", {}).values())

    def says(self, job: Job) -> dict[str, float]:
        return {}

    def _ask(self, job: Job, path: str) -> str | None:
        with contextlib.suppress(OSError):  # not there yet
            address = f"http://127.0.0.1:{(job.folder / 'api').read_text()}{path}"
            with urllib.request.urlopen(address, timeout=30) as response:
                text: str = response.read().decode()
                return text
        return None
