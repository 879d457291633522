"""The scenarios, as data: what goes in, what is done with it, where it goes. Agents and the bare floor make of it what they need."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal, Protocol, TypeVar

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"==": operator.eq, ">=": operator.ge, "<": operator.lt}


@dataclass(frozen=True)
class Where:
    """A condition on one field of a parsed event."""

    field: str
    op: str
    """One of COMPARISONS."""
    value: str | int | bool

    def __call__(self, event: Mapping[str, Any]) -> bool:
        return COMPARISONS[self.op](event[self.field], self.value)


@dataclass(frozen=True)
class Route:
    """One place that events go to."""

    write: str
    """nothing, file (a JSON event a line), http (the same, in a POST), es (a bulk request), loki (JSON); the last three
    also with `-gzip` (level 1)."""
    where: Where | None = None
    """Only these events."""

    @property
    def to(self) -> str:
        """`write` without its compression."""
        return self.write.partition("-")[0]

    @property
    def packed(self) -> bool:
        return self.write.endswith("-gzip")

    @property
    def to_server(self) -> bool:
        return self.to in ("http", "es", "loki")


Parse = Literal["raw", "regex", "json", "redact", "syslog", "bsd", "trace", "cri"]
Feed = Literal["file", "tcp", "udp", "http"]


@dataclass(frozen=True)
class Scenario:
    """One row of the table: the same work for every agent, the same fields out, and `host` (and `file`) with each event."""

    name: str
    title: str
    shape: str
    """Which lines the generator makes: a key of `generate.SHAPES`."""
    parse: Parse
    """What is done with a line:

    raw     becomes `message`, with the time of reading
    regex   the ten fields of Apache's combined format by a pattern with groups, the time parsed, two numbers
    json    its fields become the event's; where it goes to Loki, `ts` is the event's time
    redact  the same, and e-mail addresses and card numbers in `msg` become `[email]` and `[credit_card]`
    syslog  RFC 5424, structured data parsed (the floor keeps it as text)
    bsd     RFC 3164
    trace   lines that do not begin with `dddd-` belong to the one before: one `message`, newlines kept
    cri     containerd's `time stream tag message`, parts of one line joined
    """
    routes: tuple[Route, ...] = (Route("file"),)
    feed: Feed = "file"
    """Where lines come from: a file, one connection, datagrams (one a line), or NDJSON posted over several connections."""

    @property
    def write(self) -> str:
        """Where it goes, in one word; `file+http+es` for several."""
        return "+".join(dict.fromkeys(route.write for route in self.routes))

    @property
    def forked(self) -> bool:
        """Whether each route is a pipeline of its own with a condition, on one input that is parsed once."""
        return any(route.where for route in self.routes)

    @property
    def daemon(self) -> bool:
        """Whether it has to run until it is stopped: it listens, or nothing outside can say what it did."""
        return self.feed != "file" or any(route.to == "nothing" for route in self.routes)


def to(*writes: str) -> tuple[Route, ...]:
    return tuple(Route(write) for write in writes)


TEN = tuple(
    Route("file", Where(*condition))
    for condition in (
        ("level", "==", "error"),
        ("level", "==", "debug"),
        ("service", "==", "checkout"),
        ("service", "==", "payment"),
        ("service", "==", "search"),
        ("status", "==", 404),
        ("status", "<", 201),
        ("duration_ms", ">=", 800),
        ("duration_ms", "<", 10),
        ("path", "==", "/login"),
    )
)

SCENARIOS = [
    Scenario("raw", "file, raw -> JSON file", "apache", "raw"),
    Scenario("raw-nothing", "file, raw -> nothing", "apache", "raw", to("nothing")),
    Scenario("regex", "file, ten fields by regex, time parsed -> JSON file", "apache", "regex"),
    Scenario("regex-nothing", "the same -> nothing", "apache", "regex", to("nothing")),
    Scenario("json", "file, JSON parsed + 2 fields -> JSON file", "json", "json"),
    Scenario("json-nothing", "the same -> nothing", "json", "json", to("nothing")),
    Scenario("redact", "JSON + e-mail and card redacted -> JSON file", "json", "redact"),
    Scenario("redact-nothing", "the same -> nothing", "json", "redact", to("nothing")),
    Scenario("trace", "file, stack traces joined -> JSON file", "trace", "trace"),
    Scenario("cri", "file, CRI with parts -> JSON file", "cri", "cri"),
    Scenario("syslog", "TCP, RFC 5424 parsed -> JSON file", "syslog", "syslog", feed="tcp"),
    Scenario("syslog-nothing", "the same -> nothing", "syslog", "syslog", to("nothing"), "tcp"),
    Scenario("syslog-udp", "UDP, RFC 3164 parsed -> JSON file", "bsd", "bsd", feed="udp"),
    Scenario("http-in", "HTTP in, NDJSON -> JSON file", "json", "json", feed="http"),
    Scenario("http", "file, raw -> HTTP, NDJSON", "apache", "raw", to("http")),
    Scenario("http-gzip", "the same, gzip", "apache", "raw", to("http-gzip")),
    Scenario("es", "JSON -> Elasticsearch bulk", "json", "json", to("es")),
    Scenario("es-gzip", "the same, gzip", "json", "json", to("es-gzip")),
    Scenario("loki", "JSON -> Loki, JSON", "json", "json", to("loki")),
    Scenario("loki-gzip", "the same, gzip", "json", "json", to("loki-gzip")),
    Scenario("fan-out", "JSON -> JSON file, HTTP and Elasticsearch", "json", "json", to("file", "http", "es")),
    Scenario("ten", "JSON -> ten pipelines with conditions, ten files", "json", "json", TEN),
]


class Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def chosen(all_: Iterable[N], patterns: str) -> list[N]:
    """Those whose name is one of these, separated by commas; patterns such as `es*` too."""
    return [each for each in all_ if any(fnmatch(each.name, pattern) for pattern in patterns.split(","))]
