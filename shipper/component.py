"""What a component is: a dataclass whose fields are its options, and one method that does its work.

The class docstring is its page, its annotations are its options, its file's name is its type.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from shipper.batch import ID, Attrs, Batch, Event, Piece, Send
from shipper.clock import Clock
from shipper.errors import Refused
from shipper.options import Meta, Options
from shipper.policy import Delivery
from shipper.share import WHOLE, Share
from shipper.text.conditions import Condition


class Scope:
    """What the house lends a component: its name, a folder of its own, a clock, a log, counters, its share."""

    def __init__(
        self,
        name: str = "unnamed",
        state: Path | None = None,
        clock: Clock | None = None,
        checkpoint_interval: float = 1.0,
        quarantine: Path | None = None,
        share: Share = WHOLE,
        common: Path | None = None,
    ) -> None:
        self.name = name
        self.share = share
        """The part of the work that is this process's; all of it but with `workers`."""
        self.common = common
        """A folder that all workers share, `data_dir/workers`; None where there is one process."""
        self.clock = clock or Clock()
        self.log = logging.getLogger(f"shipper.{name}")
        self.checkpoint_interval = checkpoint_interval
        self.counters: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self.gauges: dict[str, float] = {}
        self.address: str | None = None
        """Where it listens, once it does: `tcp://127.0.0.1:5514`; with port 0 this is how it is found."""
        self._state = state
        self._quarantine = quarantine

    def set_aside(self, file: Path) -> Path:
        """Move a damaged file of its state out of the way, into the quarantine; where it is now."""
        folder = self._quarantine or file.parent / "quarantine"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"{self.name}.{file.parent.name}.{file.name}"
        number = next(n for n in itertools.count(1) if not (folder / f"{stem}.{n}").exists())
        return file.replace(folder / f"{stem}.{number}")

    @property
    def state(self) -> Path:
        """Its folder below `data_dir`, made when first asked for."""
        if self._state is None:
            raise RuntimeError("this component was given no folder for its state")
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._state

    def count(self, what: str, events: int = 1, **labels: str) -> None:
        """Count something of its own: `shipper_<what>_total{component, ...}`."""
        self.counters[what, tuple(sorted(labels.items()))] += events

    def dropped(self, reason: str, events: int = 1) -> None:
        """Say that events were lost or left out before they reached a batch; never do it silently."""
        self.counters["dropped_events", (("reason", reason),)] += events


class Component(Options):
    """Options as fields; `open` acquires, `close` releases, and the runner calls both."""

    kind: ClassVar[str] = ""

    @property
    def scope(self) -> Scope:
        """What the runner lent it; a component that stands alone in a test has an empty one."""
        scope: Scope | None = self.__dict__.get("_scope")
        if scope is None:
            scope = self.__dict__["_scope"] = Scope(type(self).__name__.lower())
        return scope

    @scope.setter
    def scope(self, scope: Scope) -> None:
        self.__dict__["_scope"] = scope

    def check(self) -> Iterable[tuple[str, str]]:
        """What is wrong with the options together: pairs of an option's name and a sentence. No network; it may
        read files that the options name."""
        return ()

    def warnings(self) -> Iterable[tuple[str, str]]:
        """What works, but most likely not as meant: pairs like those of `check`. `validate` says them and so does a
        start; only asked when `check` found nothing."""
        return ()

    def version(self) -> str:
        """What a reload compares besides the options, such as a digest of a file that they name."""
        return ""

    async def open(self) -> None:
        """Acquire what it needs; raising here is reported and tried again."""

    async def close(self) -> None:
        """Release it; called once for each `open`, and harmless when called twice."""


class Input(Component):
    """Where events come from.

    `run` returns when there is nothing more to come. When it raises, the runner calls it again, and it goes
    on behind what it submitted last; when a delivery failed, the runner calls `close`, `open` and `run`, and
    it goes on from the last position it committed. It is cancelled to stop reading; commits still arrive
    until `close`.
    """

    kind: ClassVar[str] = "input"
    repeatable: ClassVar[bool] = False
    """Whether it can say a line again after a crash."""
    listens: ClassVar[bool] = False
    """Whether it waits for others to connect; `--once` leaves it out."""
    divides: ClassVar[bool] = False
    """Whether each of several workers can run it at the same time, each with its part by `scope.share`; else worker 0 has it alone."""

    names: ClassVar[bool] = False
    """Whether it gives its events ids by their places (`Batch.ids`) when `_ids` is set; else they get random ones at receipt."""

    _once: bool = False
    """Set by `--once`: read what is there now and end."""
    _ids: bool = False
    """Set when an output wants ids."""

    async def run(self, send: Send) -> None:
        raise NotImplementedError

    def reads(self, path: str) -> Literal["no", "perhaps", "yes"]:
        """Whether it reads the file of this name, in which a NUL stands for what events decide; see `Output.writes`."""
        return "no"

    @property
    def held(self) -> int:
        """Events that it has read and not handed on: at a stop they are lost when it cannot repeat them."""
        return 0


class Filter(Component):
    """What happens on the way: pure CPU, no await.

    `apply` builds what is new and assigns it at the end, so that a filter that raises leaves the batch as it
    came; the core then runs it event by event. An empty batch ends here.
    """

    kind: ClassVar[str] = "filter"
    one_each: ClassVar[bool] = False
    """Whether it gives exactly one event for each, in their order, whatever other events are beside it."""

    when: Annotated[Condition | None, Meta(description="Only these events pass through the filter.")] = None
    on_error: Annotated[
        Literal["pass", "drop", "dead_letter"],
        Meta(
            description="What becomes of an event that the filter cannot treat; `pass` marks it with `shipper_error`."
        ),
    ] = "pass"

    _faults: list[tuple[Event, str]] | None = None

    @property
    def needs(self) -> Literal["attributes", "events", "copy"]:
        """What it needs of a batch that other pipelines see too: only its attributes; its events, of which it may leave some
        out and changes none; or a copy of these, because it may change them."""
        return "copy"

    def apply(self, batch: Batch) -> Batch:
        raise NotImplementedError

    def fault(self, event: Event, reason: str) -> None:
        """Report an event that could not be treated and stays in the batch as it came: `on_error` decides."""
        if self._faults is None:
            self._faults = []
        self._faults.append((event, reason))

    def faults(self) -> list[tuple[Event, str]] | None:
        """What was reported since the last call; the core asks after each `apply`."""
        found, self._faults = self._faults, None
        return found


class EventFilter(Filter):
    """The easy form: one event in, one event or None out. It gets its own shallow copy of each event."""

    def event(self, event: Event, attrs: Attrs) -> Event | None:
        raise NotImplementedError

    def apply(self, batch: Batch) -> Batch:
        event, attrs, events = self.event, batch.attrs, batch.events
        if events and ID in events[0]:  # whatever an author makes of an event, its id stays with it
            made = [(event(each.copy(), attrs), each.get(ID)) for each in events]
            kept = [(new, text) for new, text in made if new is not None]
            for new, text in kept:
                if text is not None:
                    new[ID] = text
            batch.events = [new for new, _ in kept]
            return batch
        batch.events = [out for each in events if (out := event(each.copy(), attrs)) is not None]
        return batch


class Output(Component):
    """Where events go. No output contains a retry, a queue, a batch or a metric of its own."""

    kind: ClassVar[str] = "output"
    delivery: ClassVar[Delivery] = Delivery()
    """Its defaults for batching, retry and concurrency."""
    piece_version: ClassVar[int] = 1
    """Raise it when what is in a piece's body changes: what an older release left on disk is not taken for it."""

    def unfit(self, delivery: Delivery) -> Iterable[tuple[str, str]]:
        """Warnings about its options together with those under `delivery:`; pairs like those of `warnings`."""
        return ()

    @property
    def wants_ids(self) -> bool:
        """Whether each event is to have an id of its own, in the field `ID`, that is the same when it is sent again."""
        return False

    def writes(self) -> Iterable[tuple[str, str]]:
        """The files that it writes: pairs of an option and a whole path, in which a NUL stands for what events decide.

        What an input feeds it must not be read by that input again.
        """
        return ()

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        """Pure CPU, no await; the batch may be shared and is not changed. One that cannot be encoded is Refused alone."""
        raise NotImplementedError

    async def write(self, pieces: Sequence[Piece]) -> None:
        """One request with pieces of one key; says what became of it by its exception."""
        raise NotImplementedError

    def split(self, piece: Piece) -> list[Piece]:
        """The piece as one piece an event."""
        raise NotImplementedError

    def events(self, piece: Piece) -> list[Event]:
        """What was to be sent, decoded, for the dead letters."""
        raise NotImplementedError

    def shape(self) -> str:
        """What `write`, `split` and `events` have to know of how a piece was encoded; by default the codecs.

        After a reload or a restart, what waits is written by the output as it is configured then, wherever its address
        leads now. Only when its shape is another, the old output goes on with what it holds, beside the new one.
        """
        return ", ".join(repr(value) for value in vars(self).values() if isinstance(value, Codec))

    async def idle(self) -> None:
        """Called now and then while nothing is written: close what has been open for too long."""

    async def probe(self) -> str:
        """For `shipper doctor`: would the destination take us? What it said of itself, in a few words; "" for nothing.

        Never writes to it. Called on an output that is not open: it opens what it needs and closes that. Raises
        Unavailable, Rejected or OSError with a sentence on what is wrong.
        """
        return ""


class EventOutput(Output):
    """The easy form: a list of events at a time, attributes already in them."""

    async def deliver(self, events: list[Event]) -> None:
        raise NotImplementedError

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        from shipper.text.jsonlines import encode_lines

        body, count, refused = encode_lines(batch)
        if count:
            yield Piece(body, count)
        yield from refused

    async def write(self, pieces: Sequence[Piece]) -> None:
        await self.deliver([event for piece in pieces for event in self.events(piece)])

    def split(self, piece: Piece) -> list[Piece]:
        return [Piece(line, 1, piece.key) for line in split_lines(piece.body)]

    def events(self, piece: Piece) -> list[Event]:
        from shipper.text.jsonlines import decode_lines

        return decode_lines(piece.body)


class Codec(Component):
    """Bytes to events and back, whole chunks at a time."""

    kind: ClassVar[str] = "codec"
    content_type: ClassVar[str] = "application/octet-stream"
    directions: ClassVar[tuple[str, ...]] = ("decode", "encode")
    """What it can do; an input needs `decode`, an output `encode`."""
    one_each: ClassVar[bool] = False
    """Whether a line is at most one event, whatever stands around it (parts that are joined are one at their last line)."""
    framed: ClassVar[bool] = True
    """Whether the frames are lines, so that a chunk of whole lines can be decoded."""

    def decode(self, data: bytes) -> list[Event]:
        """Events of a chunk of whole frames (no newline at the end); what cannot be read is kept raw and marked."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> Iterable[Piece | Refused]:
        """The batch as pieces whose bodies can be joined."""
        raise NotImplementedError

    def document(self, bodies: Sequence[bytes]) -> bytes:
        """The bodies of some pieces as one document."""
        return b"".join(bodies)

    def split(self, piece: Piece) -> list[Piece]:
        """The piece as one piece an event."""
        lines = split_lines(piece.body)
        if len(lines) > piece.count:  # text with newlines inside: no bounds to be had, so the rest stays together
            lines[piece.count - 1 :] = [b"".join(lines[piece.count - 1 :])]
        return [Piece(line, 1, piece.key) for line in lines]

    def events(self, piece: Piece) -> list[Event]:
        """What was to be sent, decoded, for the dead letters."""
        return self.decode(piece.body.removesuffix(b"\n"))


def split_lines(body: bytes) -> list[bytes]:
    """By newline only, each with its newline (`bytes.splitlines` also splits at a bare CR)."""
    lines = [line + b"\n" for line in body.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
