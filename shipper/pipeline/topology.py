"""A configuration as running parts: sources, pipelines, stacks, and what connects them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipper.clock import Clock
from shipper.component import Filter, Input, Output, Scope
from shipper.config.model import Config, Pipe, Spec
from shipper.delivery.buffers import fits, left, open_store
from shipper.delivery.dead_letters import DeadLetters
from shipper.delivery.stack import Stack
from shipper.delivery.store import Store
from shipper.errors import ShipperError
from shipper.pipeline.budget import Budget
from shipper.pipeline.chain import Pipeline
from shipper.pipeline.feed import Feed
from shipper.pipeline.fork import Branch, Fork
from shipper.pipeline.labelling import fitting, mark
from shipper.pipeline.ledger import Ledger
from shipper.pipeline.observe import InputFlow, OutputFlow, PipelineFlow, log
from shipper.pipeline.part import ALONE, Part
from shipper.pipeline.plan import in_use
from shipper.pipeline.source import Source
from shipper.pipeline.step import Step
from shipper.text.ids import Counted

LEAST = 256 * 1024
"""Bytes that may be under way from an input, however little memory there is."""


class OpenError(ShipperError):
    """A component cannot be opened; the text says which, where it is configured, and why."""


@dataclass
class Outlet:
    """An output and its stack."""

    spec: Spec
    output: Output
    stack: Stack

    @property
    def flow(self) -> OutputFlow:
        return self.stack.flow


class Topology:
    """All running parts by name. `pipelines` and `steps` are exchanged at a reload, the rest where it changed."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        budget: Budget,
        dead_letters: DeadLetters,
        once: bool,
        part: Part = ALONE,
    ) -> None:
        self.config = config
        self.part = part
        self.clock = clock
        self.budget = budget
        self.dead_letters = dead_letters
        self.once = once
        self.outlets: dict[str, Outlet] = {}
        self.leaving: list[Outlet] = []
        """Outputs that a reload took out, of this run or of one before, until they have delivered what they hold."""
        self.sources: dict[str, Source] = {}
        self.left: list[Source] = []
        self.pipelines: dict[str, Pipeline] = {}
        self.steps: dict[tuple[str, str], tuple[Spec, Step]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.ledger = Ledger(Path(config.data_dir), clock)

    # making
    def scope(self, kind: str, name: str) -> Scope:
        folder = Path(self.config.data_dir) / "state" / f"{kind}-{name}"
        interval = float(self.config.settings.checkpoint_interval)
        quarantine = Path(self.config.data_dir) / "quarantine"
        return Scope(name, folder, self.clock, interval, quarantine, self.part.share(kind), self.part.common)

    async def open_output(self, spec: Spec, flow: OutputFlow | None = None) -> Outlet:
        output: Output = spec.make()
        output.scope = self.scope("output", spec.name)
        await opened(output, spec)
        flow = flow or OutputFlow(spec.name)
        store = await self._store(spec, output) if spec.delivery.buffer.disk else None
        stack = Stack(output, spec.delivery, self.dead_letters, self.budget, self.clock, flow, store)
        return Outlet(spec, output, stack)

    async def _store(self, spec: Spec, output: Output) -> Store:
        """The output's buffer, recovered."""
        root = self.buffers / spec.name
        limit, set_aside = int(spec.delivery.buffer.disk), output.scope.set_aside
        try:
            return await asyncio.to_thread(open_store, root, spec.type_name, output, limit, self._taken, set_aside)
        except OSError as error:
            await output.close()
            where = f"{spec.where}: outputs.{spec.name}"
            raise OpenError(f"{where}: its buffer {root} cannot be opened: {error.strerror or error}") from error

    @property
    def buffers(self) -> Path:
        return Path(self.config.data_dir) / "buffers"

    @property
    def _taken(self) -> set[Path]:
        """Folders of buffers that are in use."""
        return {store.folder for outlet in self.all_outlets if (store := outlet.stack.store)}

    async def _open_left(self, routed: set[str]) -> None:
        """What lies in other folders: an output that can take it delivers it beside its own, of the rest there is a word.

        A reload there and back leaves two folders of one output.
        """
        for each in await asyncio.to_thread(left, self.buffers, self._taken):
            name = each.output
            outlet = self.outlets.get(name)
            if outlet and outlet.stack.store and each.said and fits(each.said, outlet.stack.store.said):
                self.leaving.append(await self.open_output(outlet.spec, outlet.flow))
            elif name in routed or name not in self.config.outputs:  # else it is only not in use, such as at a replay
                other = outlet and outlet.stack.store
                why = "were encoded for another output" if other else "were left by an output with a buffer"
                log.warning(
                    "output %s: %d bytes in %s %s (%s) and stay there: see `shipper buffer`",
                    name, each.bytes, each.folder, why, each.said.get("type"),
                )  # fmt: skip

    def _bound(self, name: str) -> int:
        """Bytes of log that may be under way from an input: what keeps its outputs busy twice over, and no more.

        More would only lie in memory: JSON to a file took 82 MB with a third of the memory, and takes 44, at the same CPU.
        """
        # a third of the memory for all windows together leaves room for what pieces weigh more than lines
        share = self.budget.limit // (3 * max(len(self.config.inputs), 1))
        routed = {
            route.output for pipe in self.config.pipelines.values() if name in pipe.inputs for route in pipe.outputs
        }
        policies = [self.config.outputs[output].delivery for output in routed]
        busy = max([(policy.concurrency + 2) * policy.batch.bytes for policy in policies], default=0)
        return max(min(share, 2 * busy), LEAST)

    def make_source(self, spec: Spec, flow: InputFlow | None = None) -> Source:
        component: Input = spec.make()
        component.scope = self.scope("input", spec.name)
        component._once = self.once
        feed = Feed(flow or InputFlow(spec.name), self.budget, self._bound(spec.name))
        if spec.ids and component.names:
            component._ids = True
        elif spec.ids:
            feed.ids = Counted()
        return Source(spec, component, feed, self.clock)

    async def make_pipelines(
        self, config: Config, outlets: dict[str, Outlet]
    ) -> tuple[dict[str, Pipeline], dict[tuple[str, str], tuple[Spec, Step]]]:
        """Pipelines for a configuration; filters that did not change keep their state.
        Raises OpenError, with those it opened closed again.
        """
        steps: dict[tuple[str, str], tuple[Spec, Step]] = {}
        pipelines: dict[str, Pipeline] = {}
        try:
            for pipe in config.pipelines.values():
                known = self.pipelines.get(pipe.name)
                flow = known.flow if known else PipelineFlow(pipe.name)
                chain = [await self._step(config, pipe, index, flow, steps) for index in range(len(pipe.filters))]
                branches = [
                    Branch(outlets[route.output].stack, route.when, fitting(config, pipe, route.output))
                    for route in pipe.outputs
                ]
                pipelines[pipe.name] = Pipeline(
                    chain, Fork(branches, flow), self.dead_letters, flow, mark(config, pipe)
                )
        except BaseException:
            await self.close_filters(steps)
            raise
        return pipelines, steps

    async def close_filters(self, steps: dict[tuple[str, str], tuple[Spec, Step]]) -> None:
        """Close those of `steps` that are not in use."""
        used = {id(step) for _, step in self.steps.values()}
        for _, step in steps.values():
            if id(step) not in used:
                await step.filter.close()

    async def _step(
        self,
        config: Config,
        pipe: Pipe,
        index: int,
        flow: PipelineFlow,
        steps: dict[tuple[str, str], tuple[Spec, Step]],
    ) -> Step:
        name = pipe.filters[index]
        spec = config.filters[name]
        again = pipe.filters[:index].count(name)  # a filter may stand in a pipeline twice, each with its own state
        key = (pipe.name, f"{name}#{again}" if again else name)
        old = self.steps.get(key)
        if old and spec.same(old[0]):
            steps[key] = old
            return old[1]
        component: Filter = spec.make()
        component.scope = self.scope("filter", name)
        await opened(component, spec)
        step = Step(name, component, flow)
        steps[key] = (spec, step)
        return step

    def connect(self) -> None:
        """Behind each input's handle, the pipelines that take it; exchanged between two batches.

        An input that none takes is about to leave: what it still says goes where it went before.
        """
        for outlet in self.outlets.values():
            self.ledger.follow("output", outlet.flow)
        for pipeline in self.pipelines.values():
            self.ledger.follow("pipeline", pipeline.flow)
        for name, source in self.sources.items():
            taking = [pipe.name for pipe in self.config.pipelines.values() if name in pipe.inputs]
            if taking:
                source.feed.pipelines = [self.pipelines[pipe] for pipe in taking]

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that a reload leaves behind; ended with the process at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self.tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                log.error("after a reload: %s: %s", type(error).__name__, error, exc_info=error)

        task.add_done_callback(done)

    async def leave(self, outlet: Outlet) -> None:
        """An output that is configured no more, or not so, delivers what it holds, then closes."""
        while not outlet.stack.idle:
            outlet.stack.flush()
            await asyncio.sleep(0.1)
        await outlet.stack.stop()
        await outlet.output.close()
        self.leaving.remove(outlet)
        log.info("output %s: closed after a reload", outlet.spec.name)

    # whole
    async def open(self) -> None:
        """Outputs first, then filters, then inputs; raise OpenError with the first that fails."""
        await asyncio.to_thread(self.ledger.load)
        used = in_use(self.config)
        for spec in self.config.outputs.values():
            if spec.name in used["output"]:
                self.outlets[spec.name] = await self.open_output(spec)
        await self._open_left(used["output"])
        self.pipelines, self.steps = await self.make_pipelines(self.config, self.outlets)
        for spec in self.config.inputs.values():
            if spec.name in used["input"]:
                source = self.make_source(spec)
                await opened(source.input, spec)
                source.feed.flow.state = "open"
                self.sources[spec.name] = source
        self.connect()
        for outlet in [*self.leaving, *self.outlets.values()]:  # the last one says how large the buffer is
            outlet.stack.start()
        for outlet in self.leaving:
            self.background(self.leave(outlet))

    @property
    def in_flight(self) -> int:
        """Events that came in and are not safe yet."""
        return sum(source.feed.flow.in_flight for source in self.all_sources)

    @property
    def all_sources(self) -> list[Source]:
        """Those that are configured, and those that a reload took out while something of theirs was on its way."""
        return [*self.sources.values(), *self.left]

    @property
    def all_outlets(self) -> list[Outlet]:
        """Those that are configured, and those that a reload took out, until they have delivered what they hold."""
        return [*self.outlets.values(), *self.leaving]

    @property
    def buffered(self) -> int:
        """Events that are safe on disk, and on their way from there."""
        return sum(each.flow.buffered + each.flow.in_flight for each in self.all_outlets if each.stack.store)

    def hurry(self) -> None:
        for outlet in self.all_outlets:
            outlet.stack.hurry()

    def flush(self) -> None:
        for outlet in self.all_outlets:
            outlet.stack.flush()

    def scopes(self) -> list[tuple[str, Scope]]:
        """Every component's scope, for its own counters."""
        found = [(f"input {name}", source.input.scope) for name, source in self.sources.items()]
        found += [(f"filter {name}", step.filter.scope) for (_, name), (_, step) in self.steps.items()]
        return found + [(f"output {name}", outlet.output.scope) for name, outlet in self.outlets.items()]


async def opened(component: Input | Filter | Output, spec: Spec) -> None:
    """Open a component, or say which one cannot be opened and why."""
    try:
        await component.open()
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if not isinstance(error, OSError | ShipperError | ValueError):
            reason = f"{type(error).__name__}: {reason}"
        name = getattr(error, "filename", None)
        detail = f"{reason}: {name}" if name and str(name) not in reason else reason
        where = f"{spec.where}: {spec.kind}s.{spec.name}"
        raise OpenError(f"{where}: cannot be opened: {detail or type(error).__name__}") from error
