"""Dead letters sent again, by a process that does nothing else."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass

from shipper.cli.run import loop_runner
from shipper.clock import Clock
from shipper.config.model import Config
from shipper.delivery.replay import Stock
from shipper.delivery.shelf import Shelf
from shipper.delivery.survey import Accepts, survey
from shipper.pipeline.replay import Way, configured, ways
from shipper.pipeline.runner import CLEAN, Runner


@dataclass
class Replayed:
    """What became of the letters of one component."""

    sent: int = 0
    again: int = 0
    """Events that were set aside again; a filter may have made several of one letter."""
    left: int = 0
    stopped: bool = False


def send_again(config: Config, shelf: Shelf, component: str, where: Accepts | None, through: str | None) -> Replayed:
    """Send one component's letters, by all their ways; raise NoWay, Locked or OpenError, with the letters as they were."""
    routes = ways(config, component, through)
    outcome = Replayed()
    chosen = survey(shelf, component, where).count
    for way in routes:
        loop_runner(lambda way=way: _run(config, shelf, way, where, outcome))
        if outcome.stopped:
            break
    outcome.left = max(chosen - outcome.sent, 0)
    return outcome


async def _run(config: Config, shelf: Shelf, way: Way, where: Accepts | None, outcome: Replayed) -> int:
    """Until all letters of this way are safe elsewhere, or until told to stop."""
    stock = Stock(shelf, way.component, Clock(), float(config.settings.checkpoint_interval))
    runner = Runner(configured(config, way, stock, where), once=True)
    runner.dead_letters.unbounded.add(way.component)

    def stop() -> None:
        outcome.stopped = True
        runner.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    status = await runner.run()
    outcome.stopped |= status != CLEAN
    outcome.sent += stock.sent
    outcome.again += sum(pipeline.flow.dead.total() for pipeline in runner.topology.pipelines.values())
    outcome.again += sum(outlet.flow.dead.total() for outlet in runner.topology.outlets.values())
    return status
