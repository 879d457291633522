"""What of a configuration one worker runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shipper.component import Input
from shipper.config.model import Config, Spec
from shipper.delivery.buffers import left as buffered
from shipper.options import Size
from shipper.pipeline.part import Part
from shipper.share import Share
from shipper.workers import folders

# bytes below which a limit is not divided further: one request, one segment, one file of letters must fit
LEAST_MEMORY = 8 * 2**20
LEAST_DISK = 16 * 2**20
LEAST_LETTERS = 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """Which worker a process is. One whose index is not below `count` is of a run with more of them: it has no inputs and
    empties its buffers."""

    index: int
    count: int
    order: int
    """Its number among all processes that write."""
    processes: int
    data_dir: Path

    @property
    def drains(self) -> bool:
        return self.index >= self.count

    @property
    def folder(self) -> Path:
        return folders.folder(self.data_dir, self.index)

    @property
    def part(self) -> Part:
        reads, writes = Share(self.index, self.count), Share(self.order, self.processes)
        return Part(reads, writes, folders.common(self.data_dir))

    def config(self, config: Config) -> Config:
        """Its own data folder, its inputs, and its part of the limits that are for all together."""
        settings = config.settings
        letters = settings.dead_letters
        mine = replace(
            settings,
            memory_limit=share(settings.memory_limit, self.processes, LEAST_MEMORY),
            dead_letters=replace(letters, max_bytes=share(letters.max_bytes, self.processes, LEAST_LETTERS)),
        )
        inputs = {name: spec for name, spec in config.inputs.items() if self.takes(spec)}
        pipelines = {
            name: replace(pipe, inputs=[each for each in pipe.inputs if each in inputs])
            for name, pipe in config.pipelines.items()
        }
        outputs = {name: self._output(spec) for name, spec in config.outputs.items()}
        where = folders.folder(Path(config.data_dir), self.index)  # of a reload it may be another, which is refused
        return replace(config, settings=mine, data_dir=where, inputs=inputs, outputs=outputs, pipelines=pipelines)

    def takes(self, spec: Spec) -> bool:
        """Whether it runs this input, wholly or in part."""
        divides = issubclass(spec.cls, Input) and spec.cls.divides
        return not self.drains and (divides or self.index == 0)

    def has_work(self, config: Config) -> bool:
        """Whether it has something to read, or buffers of an earlier run to empty."""
        return self.index == 0 or any(self.takes(spec) for spec in config.inputs.values()) or waiting(self.folder)

    def _output(self, spec: Spec) -> Spec:
        delivery = spec.delivery
        buffer = replace(delivery.buffer, disk=share(delivery.buffer.disk, self.processes, LEAST_DISK))
        return replace(spec, delivery=replace(delivery, buffer=buffer))


def places(config: Config, drainers: Sequence[int]) -> list[Place]:
    """Of all workers, and of those that only empty their buffers."""
    count = config.workers
    numbers = [*range(count), *drainers]
    data_dir = Path(config.data_dir)
    return [Place(index, count, order, len(numbers), data_dir) for order, index in enumerate(numbers)]


def share(limit: Size, processes: int, least: int) -> Size:
    """A limit divided, but not below what one process needs to work; a smaller one stays as it is."""
    return Size(max(limit // processes, min(limit, least)))


def waiting(folder: Path) -> bool:
    """Whether records lie in the buffers of a data folder."""
    return bool(buffered(folder / "buffers", set()))
