"""Whether what came out is what went in: the count exactly, the content by samples spread over all of it."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import orjson

from bench.scenarios import Scenario, Where

SAMPLES = 1000

Compare = Callable[[str, dict[str, Any]], bool]


class Wrong(Exception):
    """What came out is not what went in: no time is worth printing."""


def raw(line: str, event: dict[str, Any]) -> bool:
    return bool(event["message"] == line)


def regex(line: str, event: dict[str, Any]) -> bool:
    words = line.split('"')
    method, path, protocol = words[1].split(" ")
    status, size = words[2].split()
    time = datetime.strptime(line[line.index("[") + 1 : line.index("]")], "%d/%b/%Y:%H:%M:%S %z")
    wanted = [line.split(" ", 1)[0], method, path, protocol, int(status), int(size), words[3], words[5], time]
    names = ("remote_host", "method", "path", "protocol", "status", "bytes", "referer", "agent")
    return wanted == [*(event[name] for name in names), datetime.fromisoformat(event["timestamp"])]


def parsed(line: str, event: dict[str, Any]) -> bool:
    return bool(event.items() >= json.loads(line).items())


def redacted(line: str, event: dict[str, Any]) -> bool:
    wanted = json.loads(line)
    hidden = re.sub(r"\S+@\S+", "[email]", wanted["msg"])
    hidden = re.sub(r"(\d{4} ){3}\d{4}", "[credit_card]", hidden)
    return event.items() >= {**wanted, "msg": hidden}.items()


def syslog(line: str, event: dict[str, Any]) -> bool:
    _, time, host, app, pid, msgid, rest = line.split(" ", 6)
    wanted = [host, app, pid, msgid, rest.partition("] ")[2], datetime.fromisoformat(time)]
    names = ("host", "app", "pid", "msgid", "message")
    return wanted == [*(str(event[name]) for name in names), datetime.fromisoformat(event["timestamp"])]


def bsd(line: str, event: dict[str, Any]) -> bool:
    head, _, rest = line.partition(">")
    host, tag, message = rest[16:].split(" ", 2)
    app, _, pid = tag.partition("[")
    priority = int(head[1:])
    time = datetime.fromisoformat(event["timestamp"])
    wanted = [host, app, pid[:-2], message, rest[:15]]
    found = [
        *(str(event[name]) for name in ("host", "app", "pid", "message")),
        f"{time:%b} {time.day:2} {time:%H:%M:%S}",
    ]
    return wanted == found and event["facility"] == {16: "local0", 20: "local4", 3: "daemon", 1: "user"}[priority >> 3]


def cri(line: str, event: dict[str, Any]) -> bool:
    time, stream, _, message = line.split(" ", 3)
    apart = datetime.fromisoformat(time) - datetime.fromisoformat(event["timestamp"])
    # of the parts of a line, a millisecond apart, any may give the time
    return [stream, message] == [event["stream"], event["message"]] and abs(apart.total_seconds()) < 0.01


def or_kept(compare: Compare) -> Compare:
    """For lines of which some are malformed: those are kept as they were, and marked."""

    def compared(line: str, event: dict[str, Any]) -> bool:
        try:
            return compare(line, event)
        except (ValueError, IndexError):  # of the line, not of the event: a field that it has not is a KeyError
            return bool(event["message"] == line and event["shipper_error"])

    return compared


COMPARE: dict[str, Compare] = {
    "raw": raw,
    "regex": or_kept(regex),
    "json": or_kept(parsed),
    "redact": redacted,
    "syslog": syslog,
    "bsd": bsd,
    "trace": raw,
    "cri": cri,
}


def records(parse: str, lines: Iterable[str]) -> Iterator[str]:
    """What is one event each, of lines with their newlines, without the last; the parts of a CRI line as if they had come in one."""
    if parse == "trace":
        held: list[str] = []
        for line in lines:
            if held and line[:4].isdigit():
                yield "".join(held)[:-1]
                held.clear()
            held.append(line)
        if held:
            yield "".join(held)[:-1]
    elif parse == "cri":
        before = ""
        for line in lines:
            head, tag, text = line[:-1].partition(" P " if " P " in line[:45] else " F ")
            if tag == " P ":
                before += text
            else:
                yield f"{head} F {before}{text}"
                before = ""
    else:
        yield from (line[:-1] for line in lines)


@lru_cache
def wanted(source: Path, parse: str, wheres: tuple[Where | None, ...]) -> list[array[int] | int]:
    """For each condition the numbers of the records that fulfil it; without one, only how many there are."""
    found = [array("q") if where else None for where in wheres]
    pairs = [(where, numbers) for where, numbers in zip(wheres, found, strict=True) if where and numbers is not None]
    total = 0
    with source.open() as file:
        for total, record in enumerate(records(parse, file), 1):
            if pairs:
                event = orjson.loads(record)
                for where, numbers in pairs:
                    if where(event):
                        numbers.append(total - 1)
    return [total if numbers is None else numbers for numbers in found]


def expected(source: Path, scenario: Scenario) -> list[int]:
    """How many events each route is to get."""
    numbers = wanted(source, scenario.parse, tuple(route.where for route in scenario.routes))
    return [each if isinstance(each, int) else len(each) for each in numbers]


class LineCount:
    """Newlines in a file that grows; each call counts what has come since the last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counted = 0
        self.offset = 0

    def __call__(self) -> int:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.offset)
                for chunk in iter(partial(file.read, 1 << 20), b""):
                    self.counted += chunk.count(b"\n")
                    self.offset += len(chunk)
        return self.counted


def check_file(parse: str, source: Path, out: Path, only: array[int] | int) -> None:
    """One event out for each record in (or those of these numbers), in the same order; a thousand are compared with their origin."""
    count = only if isinstance(only, int) else len(only)
    if (came := LineCount(out)()) != count:
        raise Wrong(f"{count} events were to come, {came} came out")
    compare, every = COMPARE[parse], max(count // SAMPLES, 1)
    with source.open() as before, out.open() as found:
        chosen = records(parse, before)
        if not isinstance(only, int):
            numbers = set(only)
            chosen = (record for n, record in enumerate(chosen) if n in numbers)
        for n, (record, after) in enumerate(zip(chosen, found, strict=True)):
            if n % every == 0 and not matches(compare, record, json.loads(after)):
                raise Wrong(f"record {n} became {after[:300]!r}; it was {record[:300]!r}")


def check_numbered(parse: str, source: Path, out: Path, count: int) -> None:
    """Each event once, by its `id`, in whatever order; a thousand are compared with their origin."""
    compare, every = COMPARE[parse], max(count // SAMPLES, 1)
    with source.open() as file:
        samples = {n: line[:-1] for n, line in enumerate(file) if n % every == 0}
    seen = bytearray(count)
    with out.open("rb") as found:
        for after in found:
            event = orjson.loads(after)
            number = event["id"]
            if seen[number]:
                raise Wrong(f"event {number} came twice")
            seen[number] = True
            if number in samples and not matches(compare, samples[number], event):
                raise Wrong(f"record {number} became {event}; it was {samples[number]}")
    if missing := seen.count(0):
        raise Wrong(f"{count} events were to come, {missing} are missing")


def check_lossy(source: Path, out: Path) -> None:
    """Numbered messages (`seq=`), of which some may be missing: none doubled, none out of order, each as it was sent."""
    with source.open() as file:
        records = enumerate(file)
        with out.open() as found:
            for after in found:
                event = json.loads(after)
                number = int(event["message"].rpartition("seq=")[2])
                record = next((line for n, line in records if n == number), None)
                if record is None or not matches(bsd, record[:-1], event):
                    raise Wrong(f"{after[:300]!r} came, twice or out of order; it was {record!r}")


def matches(compare: Compare, record: str, event: dict[str, Any]) -> bool:
    """Whether the event is what the record says; a field that is missing is as wrong as one that differs."""
    try:
        return compare(record, event)
    except (KeyError, ValueError, TypeError):
        return False


def check_samples(parse: str, source: Path, tally: dict[str, Any], count: int) -> None:
    """As many events as there are records have arrived at the server, and its samples are among them."""
    if tally["events"] != count:
        raise Wrong(f"{count} events were to come, {tally['events']} arrived")
    compare = COMPARE[parse]
    samples = tally["samples"]
    if count and not samples:
        raise Wrong("the server kept no samples")
    by_line = {event["message"] if parse == "raw" else event["id"]: event for event in samples}
    with source.open() as file:
        for n, line in enumerate(file):
            event = by_line.pop(line[:-1] if parse == "raw" else n, None)
            if event is not None and not matches(compare, line[:-1], event):
                raise Wrong(f"line {n} became {event}; it was {line!r}")
    if by_line:
        raise Wrong(f"nobody sent {next(iter(by_line.values()))}")
