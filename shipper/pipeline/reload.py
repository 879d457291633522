"""A new configuration put in the place of a running one: what did not change is not touched."""

from __future__ import annotations

import asyncio

from shipper.component import Output
from shipper.config.model import Config, Spec
from shipper.errors import ConfigError, Problem
from shipper.pipeline.observe import InputFlow, log
from shipper.pipeline.topology import Outlet, Topology, opened

DRAIN = 30.0  # seconds that an input which leaves gets for what it has in flight


def refuse(old: Config, new: Config) -> None:
    """Raise ConfigError for what cannot change while the process runs."""
    before, after = old.settings, new.settings
    listen = before.api and before.api.listen, after.api and after.api.listen
    changes = [
        ("data_dir", old.data_dir, new.data_dir),
        ("api.listen", *listen),
        ("workers", before.workers, after.workers),
    ]
    problems = [
        Problem(f"found {new_value}, it was {old_value}: this needs a restart", str(new.files[0]), path=what)
        for what, old_value, new_value in changes
        if old_value != new_value
    ]
    if problems:
        raise ConfigError(problems)


async def apply(topology: Topology, config: Config) -> None:
    """Raise OpenError, with everything as it was, when an output or a filter cannot be opened."""
    old = topology.config
    topology.config = config  # for the folders and intervals of what is made now
    made: list[Outlet] = []
    swaps: list[tuple[Outlet, Spec, Output]] = []
    try:
        outlets = await _outlets(topology, config, made, swaps)
        pipelines, steps = await topology.make_pipelines(config, outlets)
    except BaseException:
        topology.config = old
        for outlet in made:
            await outlet.stack.stop()
            await outlet.output.close()
        for _, _, output in swaps:
            await output.close()
        raise
    # from here on it happens, and between two batches
    for outlet in made:
        outlet.stack.start()
    kept = set(map(id, outlets.values()))
    leaving = [outlet for outlet in topology.outlets.values() if id(outlet) not in kept]
    gone = [step.filter for _, step in topology.steps.values() if step not in [s for _, s in steps.values()]]
    topology.outlets, topology.pipelines, topology.steps = outlets, pipelines, steps
    topology.connect()
    for outlet, spec, output in swaps:
        topology.background(_swap(outlet, spec, output))
    topology.leaving += leaving
    await _inputs(topology, config)  # those that leave may still hand on what they hold, to what leaves with them
    for outlet in leaving:
        topology.background(_leave(topology, outlet))
    for component in gone:
        await component.close()


async def _outlets(
    topology: Topology, config: Config, made: list[Outlet], swaps: list[tuple[Outlet, Spec, Output]]
) -> dict[str, Outlet]:
    """Outputs that stay, that go on with other options, and that are new."""
    routed = {route.output for pipe in config.pipelines.values() for route in pipe.outputs}
    outlets: dict[str, Outlet] = {}
    for name, spec in config.outputs.items():
        if name not in routed:
            continue
        current = topology.outlets.get(name)
        if current is not None and spec.same(current.spec):
            outlets[name] = current
        elif current is not None and _goes_on(spec, current):
            # what waits goes on with the new options, at its next try
            output: Output = spec.make()
            output.scope = topology.scope("output", name)
            await opened(output, spec)
            swaps.append((current, spec, output))
            outlets[name] = current
        else:
            outlets[name] = await topology.open_output(spec, current.flow if current else None)
            made.append(outlets[name])
    return outlets


def _goes_on(new: Spec, old: Outlet) -> bool:
    """Whether what the old output has encoded can be written by the new one."""
    if new.cls is not old.spec.cls or bool(new.delivery.buffer.disk) != bool(old.spec.delivery.buffer.disk):
        return False
    output: Output = new.make()
    return output.shape() == old.output.shape()


async def _swap(outlet: Outlet, spec: Spec, output: Output) -> None:
    old = outlet.output
    outlet.spec, outlet.output = spec, output
    outlet.stack.configure(spec.delivery)
    await outlet.stack.exchange(output)
    await old.close()


async def _leave(topology: Topology, outlet: Outlet) -> None:
    """An output that is configured no more delivers what it holds, then closes."""
    while not outlet.stack.idle:
        outlet.stack.flush()
        await asyncio.sleep(0.1)
    await outlet.stack.stop()
    await outlet.output.close()
    topology.leaving.remove(outlet)
    log.info("output %s: closed after a reload", outlet.spec.name)


async def _inputs(topology: Topology, config: Config) -> None:
    """Inputs that changed or went are stopped and drained; then those that changed or came are opened."""
    used = {name for pipe in config.pipelines.values() for name in pipe.inputs}
    wanted = {name: spec for name, spec in config.inputs.items() if name in used}
    leaving = [s for name, s in topology.sources.items() if not (name in wanted and wanted[name].same(s.spec))]
    for source in leaving:
        await source.stop()
    for source in leaving:
        await _drained(topology, source.feed.flow)
        await source.close()
        del topology.sources[source.spec.name]
        if source.feed.flow.in_flight:  # still counted: nobody may end as if it were delivered
            topology.left.append(source)
    flows = {source.spec.name: source.feed.flow for source in leaving if source not in topology.left}
    for name, spec in wanted.items():
        if name not in topology.sources:
            source = topology.make_source(spec, flows.get(name))
            topology.sources[name] = source
            topology.connect()
            source.start(is_open=False)  # what cannot be opened now is tried again, and seen in its state
    topology.connect()


async def _drained(topology: Topology, flow: InputFlow) -> None:
    deadline = topology.clock.monotonic() + DRAIN
    while flow.in_flight and topology.clock.monotonic() < deadline:
        topology.flush()
        await asyncio.sleep(0.02)
