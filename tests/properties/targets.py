"""What is fuzzed: for each parser and decoder what must be true of any bytes. A new one is a function here."""

from __future__ import annotations

import contextlib
import re
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from shipper import Batch, Condition, FieldPath, Template
from shipper.api.server import parse as parse_request
from shipper.batch import Piece
from shipper.codecs.cri import Cri
from shipper.codecs.csv import Csv
from shipper.codecs.docker import Docker
from shipper.codecs.json import Json
from shipper.codecs.logfmt import Logfmt
from shipper.codecs.ndjson import Ndjson
from shipper.codecs.text import Text
from shipper.component import Codec
from shipper.config.load import load
from shipper.delivery.frames import Short, parse
from shipper.errors import ConfigError, Partial, Rejected, TooLarge, Unavailable
from shipper.files.multiline import Auto, Continuation, Joiner, Start
from shipper.filters.parse import Parse
from shipper.filters.redact import Redact
from shipper.net.bulkanswer import judge
from shipper.net.framing import Framer
from shipper.net.listen import HostPort, Listen
from shipper.net.session import Answer
from shipper.net.status import printable, raise_for
from shipper.net.unpacking import unpack
from shipper.options import Duration, Size, Url
from shipper.testing import filtered
from shipper.text.bodies import batches
from shipper.text.formats.syslog import parse_messages, parse_syslog
from shipper.text.jsonlines import encode_lines
from shipper.text.patterns import compile_pattern
from shipper.text.timestamps import to_epoch_ns, to_rfc3339

NOW = 1_763_812_800.0
LIMIT = 1000
Check = Callable[[bytes], None]


def writable(events: list[dict[str, Any]]) -> None:
    """Events are JSON objects: each is written as one line, or refused by itself."""
    assert all(type(event) is dict for event in events)
    body, count, refused = encode_lines(Batch(events))
    assert count + len(refused) == len(events)
    assert all(type(orjson.loads(row)) is dict for row in body.split(b"\n")[:-1])


def parsing(**options: Any) -> Check:
    """A chunk of lines as bytes gives what each of its lines gives as text: as many events, the same ones."""
    several, single = Parse(**options), Parse(**options)

    def check(data: bytes) -> None:
        data = data.removesuffix(b"\n")
        together = several.apply(Batch(raw=data)).events
        writable(together)
        lines = data.split(b"\n")
        assert len(together) == len(lines)
        if options["format"] in ("syslog", "klog"):  # times without a year go by the clock
            return
        texts = [line.decode("utf-8", "replace") for line in lines]
        alone = [filtered(single, [{"message": text}])[0] for text in texts]
        for one, other, line in zip(together, alone, lines, strict=True):
            one.pop("shipper_error", None), other.pop("shipper_error", None)
            assert (
                one == other or b"\xef\xbf\xbd" in line or not _utf8(line)
            )  # broken UTF-8 is no JSON, its text may be

    return check


def _utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def codec(make: Callable[[], Codec]) -> Check:
    """Whatever is decoded can be encoded again, or is refused by itself."""

    def check(data: bytes) -> None:
        subject = make()
        chunk = data.removesuffix(b"\n")
        events = subject.decode(chunk)
        if hasattr(subject, "flush"):
            events += subject.flush()
        writable(events)
        if "encode" in subject.directions and events:
            made = list(subject.encode(Batch(events)))
            assert sum(each.count if isinstance(each, Piece) else 1 for each in made) == len(events)
            for each in made:
                if isinstance(each, Piece):
                    assert sum(single.count for single in subject.split(each)) == each.count

    return check


def framing(data: bytes) -> None:
    """The messages of a stream do not depend on how it is cut; none is longer than the limit."""

    def messages(pieces: list[bytes]) -> list[bytes]:
        framer, found = Framer(LIMIT), list[bytes]()
        for piece in pieces:
            chunk = framer.lines(piece)
            found += framer.feed(piece) if chunk is None else chunk.split(b"\n")
        return found + framer.finish()

    whole = messages([data])
    step = len(data) % 7 + 1
    assert messages([data[at : at + step] for at in range(0, len(data), step)]) == whole
    assert all(0 < len(message) <= LIMIT for message in whole)


def syslog(data: bytes) -> None:
    """Many messages give what each gives alone; an event always has a `message`."""
    texts = [line.decode("utf-8", "replace") for line in data.split(b"\n")]
    for form in ("auto", "rfc3164", "rfc5424"):
        events = parse_messages(texts, now=NOW, format=form)
        assert events == [parse_syslog(text, now=NOW, format=form) for text in texts]
        writable([event for event in events if event is not None])
        assert all("message" in event for event in events if event is not None)


def bodies(data: bytes) -> None:
    """A body is refused whole, before anything of it is given out, or all of it is events."""
    for form in ("auto", "json", "ndjson", "text"):
        found = []
        try:
            for batch in batches(data, form, {}, chunk=100):
                found.append(batch)
        except ValueError:
            assert not found
        for batch in found:
            writable(batch.events)


def unpacking(data: bytes) -> None:
    """Bytes up to the limit, or one of two errors."""
    for encoding in ("gzip", "deflate", "zstd", "identity"):
        for body in (data, b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + data, b"\x28\xb5\x2f\xfd" + data):
            with contextlib.suppress(TooLarge, ValueError):
                assert len(unpack(body, encoding, LIMIT)) <= LIMIT


def requests(data: bytes) -> None:
    """What is no request is None."""
    found = parse_request(data + b"\r\n\r\n", "127.0.0.1")
    assert found is None or (found.path.startswith("/") and "?" not in found.path)


def frames(data: bytes) -> None:
    """A frame is whole and its checksum fits, or there is none."""
    for head in (b"", b"SHP1", data[:4]):
        try:
            found = parse(head + data, 0)
        except Short as error:
            assert error.need > len(head + data)
        else:
            assert found is None or found.length <= len(head + data)


def answers(data: bytes) -> None:
    """Whatever a destination answers is one of our errors, or all is delivered; its text never brings control characters."""
    text = data.decode("utf-8", "replace")
    assert printable(text, 100).isprintable()
    for status in (200, 301, 400, 413, 429, 500, 999):
        headers = {"Retry-After": text[:40]}
        try:
            raise_for(status, headers, text, now=NOW)
        except (Rejected, Unavailable) as error:
            assert getattr(error, "after", 0) >= 0
    pieces = [Piece(b'{"create":{}}\n{"n":1}\n', 1)] * 2
    for body in (data, b'{"errors":true,"items":[' + data + b"," + data + b"]}"):
        try:
            judge(Answer(200, {}, body), Url("http://h"), pieces, NOW)
        except (Partial, Unavailable):
            pass
        else:
            assert b'"errors"' in body or b'"items"' in body  # never by accident


def words(data: bytes) -> None:
    """What options are written as is read or refused with a sentence; what was read never raises on an event."""
    text = data.decode("utf-8", "replace")
    event = {"a": {"b": 1, "c.d": "x"}, "status": 503, "path": "/checkout", "timestamp": "2026-11-22T12:00:00Z"}
    for make in (Duration, Size, HostPort, Listen, Url, compile_pattern):
        _read(make, text)
    if path := _read(FieldPath, text):
        path.get(event)
        path.has(event)
        made = {"a": {"b": 1}}
        try:
            path.set(made, 1)
        except ValueError:
            pass
        else:
            assert path.get(made) == 1
            path.pop(made)
    if template := _read(Template, text):
        assert template.render(event) is None or isinstance(template.render(event), str)
    if condition := _read(Condition, text):
        assert condition(event) in (True, False)
    for form in ((), ("epoch",), ("rfc3164",), ("clf",)):
        if (time := _read(partial(to_rfc3339, formats=form, now=NOW), text)) is not None:
            to_epoch_ns(time)


def _read(make: Callable[[str], Any], text: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `re` on `[[`, which means something else elsewhere
            return make(text)
    except ValueError as error:
        assert str(error)
        return None


def multiline(data: bytes) -> None:
    """Joined or not, cut by the caps or not: it is the same text, in order."""
    text = data.decode("utf-8", "replace")
    for options in (Auto(), Start(pattern=re.compile(r"^\S")), Continuation(pattern=re.compile(r"^\s"))):
        joiner, found = Joiner(options), list[str]()
        for at in range(0, len(text.split("\n")), 3):
            found += joiner.feed("\n".join(text.split("\n")[at : at + 3]))
        last = joiner.flush()
        assert "\n".join([*found, *([] if last is None else [last])]) == text


def redaction(data: bytes) -> None:
    """Nothing raises, events stay events, and a second time changes nothing."""
    subject = Redact(
        detect=["email", "credit_card", "iban", "ipv4", "ipv6", "phone", "jwt", "bearer_token", "password"]
    )
    once = filtered(subject, [{"message": data.decode("utf-8", "replace")}])
    writable(once)
    assert filtered(subject, once) == once


def config(data: bytes) -> None:
    """It is a configuration, or there are problems, each with a sentence; nothing else is raised."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shipper.yaml")
        path.write_bytes(data)
        try:
            load([path], {"HOME": "/nowhere"})
        except ConfigError as error:
            assert error.problems
            assert all(problem.message and str(problem) for problem in error.problems)


FORMATS = ("json", "logfmt", "syslog", "cri", "docker", "klog", "apache", "nginx", "auto")
LINES: dict[str, Check] = {f"parse {name}": parsing(format=name) for name in FORMATS}
LINES["parse csv"] = parsing(format="csv", columns=["a", "b", "c"])
LINES["parse regex"] = parsing(format="regex", pattern=re.compile(r"^(?P<a>\S+) (?P<b>.*)$"))
for made in (Ndjson, Json, Logfmt, Cri, Docker, Text):
    LINES[f"codec {made.__name__.lower()}"] = codec(made)
LINES["codec csv"] = codec(lambda: Csv(columns=["a", "b", "c"]))
LINES |= {"bodies": bodies, "unpacking": unpacking, "frames": frames, "answers": answers, "multiline": multiline,
          "redaction": redaction}  # fmt: skip

TARGETS: dict[str, tuple[str, Check]] = {name: ("lines", check) for name, check in LINES.items()}
TARGETS |= {
    "framing": ("syslog", framing),
    "syslog": ("syslog", syslog),
    "requests": ("http", requests),
    "words": ("words", words),
    "config": ("config", config),
}
"""Name -> the corpus that it begins with, and what is checked."""
