"""The scenarios, as data: what goes in, what is done with it, where it goes, and what the bare floor does instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Options = dict[str, Any]

COMBINED = (
    r'^(?P<remote_host>\S+) \S+ (?P<user>\S+) \[(?P<timestamp>[^\]]*)\] "(?P<method>\S+) (?P<path>\S+) '
    r'(?P<protocol>[^"]*)" (?P<status>\d+) (?P<bytes>\S+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$'
)
HOST: Options = {"type": "enrich", "host": True}
REGEX: Options = {
    "type": "parse",
    "format": "regex",
    "pattern": COMBINED,
    "timestamp": {"field": "timestamp", "formats": ["%d/%b/%Y:%H:%M:%S %z"]},
    "types": {"status": "int", "bytes": "int"},
}
JSON: Options = {"type": "parse", "format": "json"}
HIDE: Options = {"type": "redact", "detect": ["email", "credit_card"], "fields": ["msg"]}
NO_FILTERS: Mapping[str, Options] = MappingProxyType({})


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    title: str
    shape: str
    """Which lines the generator makes: apache, json, syslog."""
    parse: str
    """The floor's word for the same work; also how the content of what came out is checked."""
    write: str
    """The floor's word for where it goes: nothing, file, http, es, loki; `-gzip`."""
    filters: Mapping[str, Options] = field(default_factory=lambda: NO_FILTERS)
    by_tcp: bool = False
    """The lines come over one TCP connection, not from a file."""

    @property
    def to_server(self) -> bool:
        return self.write not in ("nothing", "file")

    @property
    def daemon(self) -> bool:
        """Whether it has to run until it is stopped: it listens, or only its metrics can say what it did."""
        return self.by_tcp or self.write == "nothing"

    def config(self, source: str, target: str, data_dir: str) -> Options:
        """The agent's configuration; `source` is a path or an address to listen on, `target` a path or a port."""
        to, _, packed = self.write.partition("-")
        url, compression = f"http://127.0.0.1:{target}", packed or "none"
        outputs: dict[str, Options] = {
            "nothing": {"type": "blackhole"},
            # the floor does not wait for the disk either
            "file": {"type": "file", "path": target, "fsync": False},
            "http": {"type": "http", "url": url, "compression": compression},
            "es": {"type": "elasticsearch", "endpoints": [url], "index": "logs-app", "compression": compression},
            "loki": {
                "type": "loki",
                "url": url,
                "labels": {"app": "x"},
                "compression": compression,
                "limits": {"age": None, "ahead": None},
            },
        }
        feed: Options = {"type": "syslog", "listen": source} if self.by_tcp else {"type": "file", "include": [source]}
        output = outputs[to]
        if self.daemon:  # somebody waits for the last events before stopping it; full requests are sent at once anyway
            output["delivery"] = {"batch": {"wait": "100ms"}}
        return {
            "data_dir": data_dir,
            "api": {"listen": "127.0.0.1:0" if self.daemon else None},
            "inputs": {"in": feed},
            "filters": {"host": HOST, **self.filters},
            "outputs": {"out": output},
        }


PARSED = {"parse": JSON}
REDACTED = {"parse": JSON, "hide": HIDE}
TIMED = {"parse": {**JSON, "timestamp": {"field": "ts"}}}

SCENARIOS = [
    Scenario("raw", "file, raw -> JSON file", "apache", "raw", "file"),
    Scenario("raw-nothing", "file, raw -> nothing", "apache", "raw", "nothing"),
    Scenario(
        "regex", "file, ten fields by regex, time parsed -> JSON file", "apache", "regex", "file", {"parse": REGEX}
    ),
    Scenario("regex-nothing", "the same -> nothing", "apache", "regex", "nothing", {"parse": REGEX}),
    Scenario("json", "file, JSON parsed + 2 fields -> JSON file", "json", "json", "file", PARSED),
    Scenario("json-nothing", "the same -> nothing", "json", "json", "nothing", PARSED),
    Scenario("redact", "JSON + e-mail and card redacted -> JSON file", "json", "redact", "file", REDACTED),
    Scenario("redact-nothing", "the same -> nothing", "json", "redact", "nothing", REDACTED),
    Scenario("syslog", "TCP, RFC 5424 parsed -> JSON file", "syslog", "syslog", "file", by_tcp=True),
    Scenario("http", "file, raw -> HTTP, NDJSON", "apache", "raw", "http"),
    Scenario("http-gzip", "the same, gzip", "apache", "raw", "http-gzip"),
    Scenario("es", "JSON -> Elasticsearch bulk", "json", "json", "es", PARSED),
    Scenario("es-gzip", "the same, gzip", "json", "json", "es-gzip", PARSED),
    Scenario("loki", "JSON -> Loki, JSON", "json", "json", "loki", TIMED),
    Scenario("loki-gzip", "the same, gzip", "json", "json", "loki-gzip", TIMED),
]
