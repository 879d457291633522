"""Which pipelines and branches do what with the ids of events (`id: auto`)."""

from __future__ import annotations

from collections.abc import Callable

from shipper.batch import Batch
from shipper.config.model import Config, Pipe
from shipper.text.ids import unlabelled

__all__ = ["fitting", "mark"]


def fitting(config: Config, pipe: Pipe, output: str) -> Callable[[Batch], Batch] | None:
    """What takes the ids out of a pipeline's events for an output that must not write them; None where there are none."""
    named = any(config.inputs[name].ids for name in pipe.inputs)
    return unlabelled if named and not config.outputs[output].ids else None


def mark(config: Config, pipe: Pipe) -> str:
    """What a pipeline puts behind ids.

    Events that reach outputs by several pipelines are several documents: by all but the first, ids say the pipeline.
    """
    if not _wanting(config, pipe):
        return ""
    before = list(config.pipelines.values())
    before = before[: next(at for at, other in enumerate(before) if other.name == pipe.name)]
    again = any(_wanting(config, other) and set(other.inputs) & set(pipe.inputs) for other in before)
    return f"@{pipe.name}" if again else ""


def _wanting(config: Config, pipe: Pipe) -> bool:
    return any(config.outputs[route.output].ids for route in pipe.outputs)
