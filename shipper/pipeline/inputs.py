"""Inputs exchanged by a reload: those that change or go make room for those that come, or get it back."""

from __future__ import annotations

import asyncio

from shipper.config.model import Config
from shipper.pipeline.observe import log
from shipper.pipeline.plan import in_use
from shipper.pipeline.source import Source
from shipper.pipeline.topology import Topology, opened

DRAIN = 30.0
"""Seconds that an input which leaves gets for what it has in flight."""


class Inputs:
    """One reload's change of inputs. `exchange` may fail half way, then `roll_back` makes it undone."""

    def __init__(self, topology: Topology, config: Config) -> None:
        self.topology = topology
        used = in_use(config)["input"]
        self.wanted = {name: spec for name, spec in config.inputs.items() if name in used}
        self.leaving = [source for name, source in topology.sources.items() if not self._stays(name, source)]
        self.closed: list[Source] = []
        self.coming: list[Source] = []

    def _stays(self, name: str, source: Source) -> bool:
        return name in self.wanted and self.wanted[name].same(source.spec)

    async def exchange(self) -> None:
        """Stop, drain and close what leaves, then open what comes. Raises OpenError."""
        for source in self.leaving:
            await source.stop()
        for source in self.leaving:
            await self._drained(source)
            await source.close()
            self.closed.append(source)
        flows = {source.spec.name: source.feed.flow for source in self.leaving if not source.feed.flow.in_flight}
        for name, spec in self.wanted.items():
            if name not in self.topology.sources or self.topology.sources[name] in self.leaving:
                source = self.topology.make_source(spec, flows.get(name))
                self.coming.append(source)
                await opened(source.input, spec)

    async def roll_back(self) -> None:
        """As it was: what was opened is closed, what was closed goes on where it was.

        What is not closed yet was cut short by the end of the process, which stops it itself.
        """
        for source in self.coming:
            await source.close()
        for source in self.closed:
            await source.resume()
            log.info("input %s: goes on as before", source.spec.name)

    def commit(self) -> None:
        """Put the new ones in their place, behind pipelines that are exchanged by now, and start them."""
        topology = self.topology
        for source in self.leaving:
            del topology.sources[source.spec.name]
            if source.feed.flow.in_flight:  # still counted: nobody may end as if it were delivered
                topology.left.append(source)
        topology.left = [source for source in topology.left if source.feed.flow.in_flight]
        for source in self.coming:
            topology.sources[source.spec.name] = source
        topology.connect()
        for source in self.coming:
            source.start()

    async def _drained(self, source: Source) -> None:
        clock = self.topology.clock
        deadline = clock.monotonic() + DRAIN
        while source.feed.flow.in_flight and clock.monotonic() < deadline:
            self.topology.flush()
            await asyncio.sleep(0.02)
