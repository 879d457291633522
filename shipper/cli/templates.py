"""What `shipper plugins new` writes: for each kind a plugin that works and a test that passes."""

FILTER = (
    '''"""Filter `@name@`: one file, found by its name."""

from typing import Annotated

from shipper import Attrs, Event, EventFilter, FieldPath, Meta


class @class_name@(EventFilter):
    """Write a field in capital letters; events without it go on as they are."""

    field: Annotated[FieldPath, Meta(description="The field.")] = FieldPath("level")

    def event(self, event: Event, attrs: Attrs) -> Event | None:
        value = self.field.get(event, attrs)
        if isinstance(value, str):
            self.field.set(event, value.upper())
        return event  # or None, to let the event end here
''',
    '''"""Tests of the filter `@name@`: it is constructed and called; no configuration, no loop, no mock."""

from @name@ import @class_name@

from shipper import FieldPath
from shipper.testing import check_filter, filtered


def test_changes_the_field_and_nothing_else() -> None:
    """The field is in capital letters, other events go on as they came."""
    subject = @class_name@(field=FieldPath("level"))
    assert filtered(subject, [{"level": "warn", "n": 1}, {"n": 2}]) == [{"level": "WARN", "n": 1}, {"n": 2}]


def test_keeps_the_contract_of_filters() -> None:
    """Attributes are left alone and an error is contained."""
    check_filter(lambda: @class_name@(field=FieldPath("level")), [{"level": "warn"}, {"level": 3}, {}])
''',
)

OUTPUT = (
    '''"""Output `@name@`: one file, found by its name."""

from pathlib import Path
from typing import Annotated

from shipper import Delivery, Event, EventOutput, Meta, Unavailable
from shipper.options import RELATIVE


class @class_name@(EventOutput):
    """Append the message of each event to a file.

    `deliver` gets a list of events and returns when they are safe. `Unavailable` means try again,
    `Rejected` that these events will never be taken; queues, batches and retries are not its business.
    """

    delivery = Delivery(concurrency=1)
    path: Annotated[Path, Meta(description="The file.", extra=RELATIVE)]

    async def deliver(self, events: list[Event]) -> None:
        try:
            with self.path.open("a") as file:
                file.writelines(f"{event.get('message', '')}\\n" for event in events)
        except OSError as error:
            raise Unavailable(str(error)) from error
''',
    '''"""Tests of the output `@name@`."""

from pathlib import Path

from @name@ import @class_name@

from shipper.testing import check_output, delivered


async def test_writes_a_line_an_event(tmp_path: Path) -> None:
    """What was delivered is in the file, in order."""
    await delivered(@class_name@(path=tmp_path / "out"), [{"message": "one"}, {"message": "two"}])
    assert (tmp_path / "out").read_text() == "one\\ntwo\\n"


async def test_keeps_the_contract_of_outputs(tmp_path: Path) -> None:
    """It opens, closes twice, and says what became of a request by a typed error or by returning."""
    await check_output(lambda: @class_name@(path=tmp_path / "out"))
''',
)

INPUT = (
    '''"""Input `@name@`: one file, found by its name."""

import asyncio
from typing import Annotated

from shipper import Batch, Duration, Input, Meta, Send


class @class_name@(Input):
    """Send an event that says hello, again and again.

    `await send(batch)` returns when the batch is safe; an input that can say its lines again waits for that
    before it forgets them.
    """

    every: Annotated[Duration, Meta(gt=0, description="Pause between two events.")] = Duration(1)

    async def run(self, send: Send) -> None:
        count = 0
        while True:
            count += 1
            await send(Batch([{"message": f"hello {count}", "timestamp": self.scope.clock.now()}]))
            await asyncio.sleep(self.every)
''',
    '''"""Tests of the input `@name@`: driven by answers, not by time."""

from @name@ import @class_name@

from shipper import Duration
from shipper.testing import check_input, drive


async def test_says_hello_once_the_last_one_is_safe() -> None:
    """Events come one by one, each after the one before was accepted."""
    async with drive(@class_name@(every=Duration(0.001))) as source:
        assert (await source.next()).events[0]["message"] == "hello 1"
        source.accept()
        assert (await source.next()).events[0]["message"] == "hello 2"


async def test_keeps_the_contract_of_inputs() -> None:
    """It stops within a second, closes twice, and sends nothing afterwards."""
    await check_input(lambda: @class_name@(every=Duration(0.001)))
''',
)

CODEC = (
    '''"""Codec `@name@`: one file, found by its name."""

from collections.abc import Iterable

from shipper import Batch, Codec, Event, Piece, Refused


class @class_name@(Codec):
    """One event a line, `key=value` pairs separated by `;`."""

    content_type = "text/plain"

    def decode(self, data: bytes) -> list[Event]:
        lines = data.decode("utf-8", "replace").split("\\n")
        return [dict(pair.split("=", 1) for pair in line.split(";") if "=" in pair) for line in lines]

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        lines = [";".join(f"{key}={value}" for key, value in event.items()) for event in batch.events]
        yield Piece(("\\n".join(lines) + "\\n").encode(), len(lines))
''',
    '''"""Tests of the codec `@name@`."""

from @name@ import @class_name@

from shipper import Batch, Piece


def test_reads_what_it_writes() -> None:
    """Encoding and decoding gives the same events."""
    events = [{"a": "1", "b": "2"}, {"c": "3"}]
    pieces = list(@class_name@().encode(Batch(events)))
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert [event for piece in pieces for event in @class_name@().events(piece)] == events
''',
)

TEMPLATES = {"filter": FILTER, "output": OUTPUT, "input": INPUT, "codec": CODEC}
