"""Whether what came out is what went in: the count exactly, the content by samples spread over all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

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


COMPARE: dict[str, Compare] = {"raw": raw, "regex": regex, "json": parsed, "redact": redacted, "syslog": syslog}


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


def check_file(parse: str, source: Path, out: Path, lines: int) -> None:
    """One line out for each line in, in the same order; one in `lines / 1000` is compared with its origin."""
    if (came := LineCount(out)()) != lines:
        raise Wrong(f"{lines} lines went in, {came} came out")
    compare, every = COMPARE[parse], max(lines // SAMPLES, 1)
    with source.open() as wanted, out.open() as found:
        for n, (before, after) in enumerate(zip(wanted, found, strict=True)):
            if n % every == 0 and not compare(before[:-1], json.loads(after)):
                raise Wrong(f"line {n} became {after[:300]!r}; it was {before[:300]!r}")


def check_samples(parse: str, source: Path, tally: dict[str, Any], lines: int) -> None:
    """As many events as lines have arrived at the server, and its samples are among the lines."""
    if tally["events"] != lines:
        raise Wrong(f"{lines} lines went in, {tally['events']} events arrived")
    compare = COMPARE[parse]
    samples = tally["samples"]
    if lines and not samples:
        raise Wrong("the server kept no samples")
    by_line = {event["message"] if parse == "raw" else event["id"]: event for event in samples}
    with source.open() as file:
        for n, line in enumerate(file):
            event = by_line.pop(line[:-1] if parse == "raw" else n, None)
            if event is not None and not compare(line[:-1], event):
                raise Wrong(f"line {n} became {event}; it was {line!r}")
    if by_line:
        raise Wrong(f"nobody sent {next(iter(by_line.values()))}")
