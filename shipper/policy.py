"""How the core treats an output: the options under `delivery:`, the same for all of them."""

from __future__ import annotations

from typing import Annotated, Literal

from shipper.options import Duration, Group, Meta, Size, option


class BatchPolicy(Group):
    """When a request is sent: as soon as one of the three is reached."""

    bytes: Annotated[Size, Meta(ge=1, description="Encoded bytes in a request.")] = Size(2**20)
    events: Annotated[int, Meta(ge=1, description="Events in a request.")] = 10_000
    wait: Annotated[Duration, Meta(ge=0, description="How long the first event waits for others.")] = Duration(1)


class RetryPolicy(Group):
    """What happens while a destination is unavailable: full jitter between nothing and a pause that doubles."""

    first: Annotated[Duration, Meta(gt=0, description="Longest pause before the second try.")] = Duration(1)
    max: Annotated[Duration, Meta(gt=0, description="Longest pause at all, `Retry-After` included.")] = Duration(30)
    give_up: Annotated[
        Literal["never"] | Duration,
        Meta(description="When to stop trying; what is left goes to the dead letters."),
    ] = "never"


class BufferPolicy(Group):
    """Where events wait while the destination is behind."""

    disk: Annotated[
        Size,
        Meta(
            ge=0,
            description="Room on disk, used only while the destination is behind; 0 keeps what waits in memory. "
            "1GiB by default where the destination is on the network. Divided among `workers`.",
        ),
    ] = Size(0)
    when_full: Annotated[
        Literal["block", "drop_newest", "drop_oldest"],
        Meta(description="What happens when there is no room; only `block` loses nothing."),
    ] = "block"
    spill_after: Annotated[
        Duration, Meta(ge=0, description="What is not delivered so long after its batch was due goes to disk.")
    ] = Duration(2)


BUFFERED = BufferPolicy(disk=Size(2**30))
"""For outputs whose destination is on the network."""


class Delivery(Group):
    """The core's options of every output, never mixed with the component's own."""

    batch: BatchPolicy = option(BatchPolicy)
    concurrency: Annotated[
        int, Meta(ge=1, le=1000, description="Requests at a time, in each of several `workers`; 1 keeps order.")
    ] = 2
    timeout: Annotated[Duration, Meta(gt=0, description="Longest time for one request.")] = Duration(60)
    retry: RetryPolicy = option(RetryPolicy)
    buffer: BufferPolicy = option(BufferPolicy)
    dead_letter: Annotated[
        bool,
        Meta(
            description="Keep refused events in data_dir/dead_letters with the reason; `false` drops and counts them."
        ),
    ] = True


class DeadLetterPolicy(Group):
    """How much of what no destination takes is kept, for each component that sets events aside."""

    max_bytes: Annotated[
        Size,
        Meta(
            ge=2**20, description="Room for the dead letters of one component, all of its files and `workers` together."
        ),
    ] = Size(2**30)
    rotate: Annotated[
        Size,
        Meta(ge=2**10, description="A file that would grow beyond it is set apart; at most a quarter of `max_bytes`."),
    ] = Size(64 * 2**20)
    when_full: Annotated[
        Literal["block", "drop_oldest"],
        Meta(description="What happens when there is no room; only `block` loses nothing: it presses back, loudly."),
    ] = "block"
