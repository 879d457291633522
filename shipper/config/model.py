"""What a configuration says, typed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from shipper.component import Component
from shipper.errors import Problem
from shipper.options import RELATIVE, Duration, Group, Meta, Secret, Size, option
from shipper.policy import DeadLetterPolicy, Delivery
from shipper.text.conditions import Condition


class LogOptions(Group):
    """The agent's own log, on stderr."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="What is logged at least.")] = (
        "info"
    )
    format: Annotated[Literal["text", "json"], Meta(description="How it is written.")] = "text"


class ApiOptions(Group):
    """Metrics, health and status over HTTP."""

    listen: Annotated[
        str | None,
        Meta(
            pattern=r"^.+:(\d{1,4}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$",
            examples=["127.0.0.1:9600"],
            description="`host:port`; loopback unless told, port 0 takes any free one, null turns it off.",
        ),
    ] = "127.0.0.1:9600"
    token: Annotated[
        Secret | None,
        Meta(min_length=1, description="Bearer token for `/status`; needed to see it from beyond loopback."),
    ] = None


class Settings(Group):
    """The top level, without the components."""

    data_dir: Annotated[
        Path | None,
        Meta(
            description="Positions, buffers and dead letters; one process at a time. Default: `$STATE_DIRECTORY`, or "
            "`/var/lib/shipper` for a configuration below `/etc`, or `shipper-data` beside the configuration.",
            extra=RELATIVE,
        ),
    ] = None
    shutdown_grace: Annotated[Duration, Meta(ge=0, description="Longest time for draining at a stop.")] = Duration(30)
    checkpoint_interval: Annotated[
        Duration, Meta(gt=0, description="Positions are saved at most so long after the acknowledgement.")
    ] = Duration(1)
    stuck_after: Annotated[
        Duration, Meta(gt=0, description="`/readyz` turns 503 when input waits and nothing is delivered for so long.")
    ] = Duration(300)
    log: LogOptions = option(LogOptions)
    api: ApiOptions | None = option(ApiOptions)
    plugins: Annotated[list[Path], Meta(description="Folders of drop-in plugins.", extra=RELATIVE)] = option(list)
    memory_limit: Annotated[
        Size, Meta(ge=2**20, description="Log bytes held in memory, all together; what finds no room waits.")
    ] = Size(96 * 2**20)
    dead_letters: DeadLetterPolicy = option(DeadLetterPolicy)
    workers: Annotated[
        int | Literal["auto"],
        Meta(
            ge=1,
            description="Processes that share the work, a source always with one of them; `auto` is one for each core "
            "that this process may use.",
        ),
    ] = 1


class Route(Group):
    """An output of a pipeline, for some of its events."""

    output: Annotated[str, Meta(description="Name of the output.")]
    when: Annotated[Condition | None, Meta(description="Only these events.")] = None


class PipelineOptions(Group):
    """Which inputs go through which filters to which outputs."""

    inputs: Annotated[list[str], Meta(min_length=1, description="Names of inputs.")]
    filters: Annotated[list[str], Meta(description="Names of filters, in order.")] = option(list)
    outputs: Annotated[list[str | Route], Meta(min_length=1, description="Names of outputs, or routes.")]


class TestOptions(Group):
    """A test of the configuration itself: what goes into a pipeline and what comes out."""

    __test__ = False  # pytest, this is not yours

    name: Annotated[str, Meta(description="What must be true, in a few words.")]
    pipeline: Annotated[str | None, Meta(description="The pipeline; may be left out when there is one.")] = None
    input: Annotated[list[Any], Meta(description="Events; text stands for an event with that `message`.")]
    expect: Annotated[list[dict[str, Any]], Meta(description="All events that come out, in order.")]
    exact: Annotated[bool, Meta(description="Compare whole events, not only the fields that are named.")] = False


@dataclass(eq=False)
class Spec:
    """One component of the configuration; `make` gives a fresh instance."""

    kind: str
    name: str
    type_name: str
    cls: type[Component]
    arguments: dict[str, Any]
    raw: Any = field(repr=False)
    """As written, interpolated, secrets too: two specs with equal `raw` and place are the same component."""
    where: str
    """`file:line`, for messages."""
    delivery: Delivery = field(default_factory=lambda: Delivery())
    version: str = ""
    """Of what its options name, such as a user's file: changed, the component is a new one."""
    ids: bool = False
    """An output wants ids for its events; an input is to give its events ids."""

    def make(self) -> Any:
        return self.cls(**self.arguments)

    def same(self, other: Spec | None) -> bool:
        mine = (self.cls, self.raw, self.version, self.ids)
        return other is not None and mine == (other.cls, other.raw, other.version, other.ids)


@dataclass
class Pipe:
    """One pipeline: names of inputs and filters, outputs with their conditions."""

    name: str
    inputs: list[str]
    filters: list[str]
    outputs: list[Route]


@dataclass
class Config:
    """A whole configuration without a problem."""

    settings: Settings
    data_dir: Path
    inputs: dict[str, Spec]
    filters: dict[str, Spec]
    outputs: dict[str, Spec]
    pipelines: dict[str, Pipe]
    tests: list[TestOptions]
    warnings: list[Problem]
    files: list[Path]

    def __post_init__(self) -> None:
        for pipe in self.pipelines.values():
            if any(self.outputs[route.output].ids for route in pipe.outputs):
                for name in pipe.inputs:
                    self.inputs[name].ids = True

    @property
    def workers(self) -> int:
        """How many processes share the work."""
        asked = self.settings.workers
        if asked != "auto":
            return asked
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
