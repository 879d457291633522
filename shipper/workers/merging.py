"""The metrics pages of several processes as one page.

Counters, gauges and histogram buckets of one name and labels are added up. A counter never goes back: what a process
had counted when it was asked last is kept after its end, and its successor's counts are added to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LEAST = {"process_start_time_seconds"}
GREATEST = {"process_uptime_seconds", "shipper_insecure", "shipper_reloads_total"}
"""Not sums: each says something of all, or all say the same (every worker takes part in each reload)."""
STARTED = "process_start_time_seconds"
Series = tuple[str, str]
"""Name of the family; the series as it is written, `name{label="value"}`."""


@dataclass
class Page:
    """A page (Prometheus text 0.0.4) taken apart."""

    heads: dict[str, list[str]] = field(default_factory=dict)
    """Family -> its `# HELP` and `# TYPE` lines, in the order of the page."""
    kinds: dict[str, str] = field(default_factory=dict)
    values: dict[Series, float] = field(default_factory=dict)

    @property
    def started(self) -> float:
        """Tells one life of a process from the next."""
        return self.values.get((STARTED, STARTED), 0.0)

    def counts(self) -> dict[Series, float]:
        """What only grows while the process lives."""
        grows = ("counter", "histogram", "summary")
        return {key: value for key, value in self.values.items() if self.kinds.get(key[0]) in grows}


def parse(text: str) -> Page:
    """A page of ours: every family begins with its HELP and TYPE."""
    page = Page()
    family = ""
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, family, *rest = line.split(" ", 3)
            page.heads.setdefault(family, []).append(line)
            if what == "TYPE":
                page.kinds[family] = rest[0]
        elif line:
            series, _, value = line.rpartition(" ")
            page.values[family, series] = float(value)
    return page


def merged(pages: Iterable[Page], before: Mapping[Series, float] | None = None) -> str:
    """One page of all; `before` is what processes that have ended had counted."""
    heads: dict[str, list[str]] = {}
    found: dict[str, dict[str, float]] = {}
    for page in pages:
        for family, head in page.heads.items():
            heads.setdefault(family, head)
            found.setdefault(family, {})
        for (family, series), value in page.values.items():
            known = found[family]
            known[series] = together(family, known[series], value) if series in known else value
    for (family, series), value in (before or {}).items():
        if family in heads:  # every worker has the same families, whether or not they have series
            known = found[family]
            known[series] = together(family, known.get(series, 0.0), value)
    lines = []
    for family, head in heads.items():
        lines += head
        lines += [f"{series} {written(value)}" for series, value in found[family].items()]
    return "\n".join(lines) + "\n"


def together(family: str, one: float, other: float) -> float:
    if family in LEAST:
        return min(one, other)
    return max(one, other) if family in GREATEST else one + other


def written(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


class Memory:
    """What each process had counted when it was asked last, and what those that are gone had counted."""

    def __init__(self) -> None:
        self.last: dict[str, Page] = {}
        self.ended: dict[Series, float] = {}

    def saw(self, name: str, page: Page) -> None:
        """The page of a process; one that started at another time is another process."""
        known = self.last.get(name)
        if known is not None and known.started != page.started:
            for key, value in known.counts().items():
                if key[0] not in GREATEST:
                    self.ended[key] = self.ended.get(key, 0.0) + value
        self.last[name] = page

    def missing(self, name: str) -> Page | None:
        """For a process that does not answer: what it had counted, without what it had at the time."""
        known = self.last.get(name)
        if known is None:
            return None
        return Page(known.heads, known.kinds, {**known.counts(), **_start(known)})


def _start(page: Page) -> dict[Series, float]:
    return {key: value for key, value in page.values.items() if key[0] == STARTED}
