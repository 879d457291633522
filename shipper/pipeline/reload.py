"""A new configuration put in the place of a running one: what did not change is not touched."""

from __future__ import annotations

from shipper.component import Output
from shipper.config.model import Config, Spec
from shipper.errors import ConfigError, Problem
from shipper.pipeline.inputs import Inputs
from shipper.pipeline.plan import in_use
from shipper.pipeline.step import Step
from shipper.pipeline.topology import Outlet, Topology, opened


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
    """Plan, apply, roll back: raise OpenError, with everything as it was, when any component cannot be opened.

    Outputs and filters are opened beside those that run. Inputs that change or go are stopped, have what they hold
    delivered and are closed, for the new ones may want their ports; then the new ones are opened. What did not
    change never pauses.
    """
    old = topology.config
    topology.config = config  # for the folders and intervals of what is made now
    made: list[Outlet] = []
    swaps: list[tuple[Outlet, Spec, Output]] = []
    steps: dict[tuple[str, str], tuple[Spec, Step]] = {}
    inputs = Inputs(topology, config)
    try:
        outlets = await _outlets(topology, config, made, swaps)
        pipelines, steps = await topology.make_pipelines(config, outlets)
        await inputs.exchange()
    except BaseException:
        topology.config = old
        await inputs.roll_back()
        for outlet in made:
            await outlet.stack.stop()
            await outlet.output.close()
        for _, _, output in swaps:
            await output.close()
        await topology.close_filters(steps)
        raise
    # from here on it happens, and between two batches
    for outlet in made:
        outlet.stack.start()
    kept = set(map(id, outlets.values()))
    leaving = [outlet for outlet in topology.outlets.values() if id(outlet) not in kept]
    gone, topology.steps = topology.steps, steps
    topology.outlets, topology.pipelines = outlets, pipelines
    topology.leaving += leaving
    inputs.commit()
    for outlet, spec, output in swaps:
        topology.background(_swap(outlet, spec, output))
    for outlet in leaving:
        topology.background(topology.leave(outlet))
    await topology.close_filters(gone)


async def _outlets(
    topology: Topology, config: Config, made: list[Outlet], swaps: list[tuple[Outlet, Spec, Output]]
) -> dict[str, Outlet]:
    """Outputs that stay, that go on with other options, and that are new."""
    routed = in_use(config)["output"]
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
            before = current or next((each for each in topology.leaving if each.spec.name == name), None)
            outlets[name] = await topology.open_output(spec, before.flow if before else None)
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
