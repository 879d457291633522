"""Runs a configuration from start to stop."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shipper.clock import Clock
from shipper.config.model import Config
from shipper.delivery.dead_letters import DeadLetters
from shipper.errors import ConfigError
from shipper.pipeline.budget import Budget
from shipper.pipeline.locking import Locked, lock
from shipper.pipeline.observe import log
from shipper.pipeline.part import ALONE, Part
from shipper.pipeline.plan import fingerprints, plan, remember
from shipper.pipeline.reload import apply, refuse
from shipper.pipeline.stall import Stalls
from shipper.pipeline.topology import OpenError, Topology

__all__ = ["CLEAN", "FAILED", "HELD", "Locked", "Runner"]

CLEAN, FAILED, HELD = 0, 1, 3


class Runner:
    """One process's pipelines; `run` returns the exit status."""

    def __init__(
        self,
        config: Config,
        *,
        once: bool = False,
        clock: Clock | None = None,
        reload: Callable[[], Config] | None = None,
        part: Part = ALONE,
        lock: int | None = None,
    ) -> None:
        """`lock` is a handle that holds the data folder already."""
        self.config = config
        self.once = once
        self.clock = clock or Clock()
        self.load = reload
        self.budget = Budget(config.settings.memory_limit)
        self.dead_letters = DeadLetters(
            Path(config.data_dir) / "dead_letters", self.clock, config.settings.dead_letters, self.budget
        )
        self.topology = Topology(config, self.clock, self.budget, self.dead_letters, once, part)
        self.state = "starting"
        self.started = time.time()
        self.reloads: Counter[str] = Counter()
        self.last_reload: dict[str, Any] = {}
        self.on_reload: list[Callable[[Config], None]] = []
        """Called with the new configuration, for what is not part of the flow: the log, the API."""
        self.after_reload: list[Callable[[bool], None]] = []
        """Called with whether it was taken over."""
        self.stalls = Stalls()
        self.opened = asyncio.Event()
        self._stop = asyncio.Event()
        self._hangup = asyncio.Event()
        self._steady = asyncio.Event()
        self._steady.set()
        """Not set while a reload is under way: it may have stopped every input and be about to start others."""
        self._lock = lock

    # signals
    def stop(self) -> None:
        """Drain and end. Said twice: end at once, with 3 when that loses what no source says again, else 1."""
        if self._stop.is_set():
            status = HELD if self.held() else FAILED
            log.error("told to stop again: ending at once with status %d", status)
            os._exit(status)
        log.info("stopping: draining for at most %s", self.config.settings.shutdown_grace)
        self._stop.set()

    def hangup(self) -> None:
        """Reload as soon as the current one is done."""
        self._hangup.set()

    # life
    async def run(self) -> int:
        """Raise OpenError or Locked when it cannot start."""
        self.lock()
        try:
            await self._start()
            reloads = asyncio.create_task(self._reloads(), name="reload")
            tasks = [
                reloads,
                asyncio.create_task(self.stalls.watch(), name="stalls"),
                asyncio.create_task(self._keep_ledger(), name="ledger"),
                asyncio.create_task(self._idle(), name="idle"),
            ]
            try:
                await self._until_the_end()
                reloads.cancel()
                await asyncio.wait([reloads])  # what it was about to start would not be drained
                return await self._drain()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._close()
            self.unlock()

    async def _start(self) -> None:
        opening = asyncio.create_task(self.topology.open())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([opening, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not opening.done():  # told to stop before it has begun
                opening.cancel()
                await asyncio.wait([opening])
        if opening.cancelled():
            return
        opening.result()
        for source in self.topology.sources.values():
            source.start()
        self.state = "running"
        await self.topology.ledger.save()  # from here on a crash can be told from a stop
        self._remember()
        self.opened.set()

    async def _until_the_end(self) -> None:
        """Until told to stop, or until every input has ended by itself."""
        stop = asyncio.create_task(self._stop.wait())
        steady: asyncio.Task[Any] | None = None
        try:
            while not self._stop.is_set():
                running = [s.task for s in self.topology.sources.values() if s.task and not s.task.done()]
                if not running:
                    if self._steady.is_set():
                        return
                    steady = asyncio.create_task(self._steady.wait())
                    await asyncio.wait([stop, steady], return_when=asyncio.FIRST_COMPLETED)
                    continue
                await asyncio.wait([stop, *running], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if steady is not None:
                steady.cancel()

    async def _drain(self) -> int:
        """What is in memory goes out: for at most the grace when told to stop, else however long that takes."""
        self.state = "draining"
        for source in self.topology.sources.values():
            await source.stop()
        deadline: float | None = None
        topology = self.topology
        while topology.in_flight or (deadline is None and topology.buffered):
            if deadline is None and self._stop.is_set():
                deadline = self.clock.monotonic() + self.config.settings.shutdown_grace
            if deadline is not None and self.clock.monotonic() >= deadline:
                break
            if deadline is not None:
                topology.hurry()  # to the disk with what no destination takes soon
            topology.flush()
            await asyncio.sleep(0.02)
        rest = 0.0 if deadline is None else max(deadline - self.clock.monotonic(), 0.0)
        await asyncio.gather(*(outlet.stack.quiet(rest) for outlet in topology.all_outlets))
        left = self.topology.in_flight
        status = HELD if self.held() else CLEAN
        flows = [source.feed.flow for source in self.topology.sources.values()]
        delivered = ", ".join(f"{name} {each.flow.total_delivered}" for name, each in self.topology.outlets.items())
        dead = sum(pipeline.flow.dead.total() for pipeline in self.topology.pipelines.values())
        dead += sum(outlet.flow.dead.total() for outlet in self.topology.outlets.values())
        letters = f", {dead} dead letters in {self.dead_letters.folder}" if dead else ""
        log.info("%d events read; delivered: %s%s", sum(flow.events for flow in flows), delivered, letters)
        if left or status == HELD:
            again = "their sources will send them again" if status == CLEAN else "some of them cannot be sent again"
            log.warning("stopped while %d events were not delivered; %s", left + self._unsent(), again)
        return status

    def held(self) -> int:
        """Events in memory that no source will say again."""
        once_only = [source for source in self.topology.all_sources if not source.input.repeatable]
        return self._unsent() + sum(source.feed.flow.in_flight for source in once_only)

    def _unsent(self) -> int:
        """Events that inputs which cannot repeat them have read and could not hand on before the stop."""
        once_only = [source.input for source in self.topology.sources.values() if not source.input.repeatable]
        stopped = "dropped_events", (("reason", "stopped"),)
        return sum(each.held + each.scope.counters[stopped] for each in once_only)

    async def _close(self) -> None:
        self.state = "closing"
        topology = self.topology
        for task in list(topology.tasks):
            task.cancel()
        await self.dead_letters.close()
        for outlet in topology.all_outlets:
            await outlet.stack.stop()
        await asyncio.sleep(0)  # what was waiting hears of it before its source closes
        for source in topology.sources.values():
            await source.close()
        for component in [
            *(step.filter for _, step in topology.steps.values()),
            *(outlet.output for outlet in topology.all_outlets),
        ]:
            try:
                await component.close()
            except Exception as error:
                log.error("%s: close failed: %s", component.scope.name, error, exc_info=error)
        if self.opened.is_set():
            await topology.ledger.save(stopped=True)
        self.state = "closed"

    async def _keep_ledger(self) -> None:
        while True:
            await self.clock.sleep(float(self.config.settings.checkpoint_interval))
            await self.topology.ledger.save()

    async def _idle(self) -> None:
        """Now and then outputs may close what they have not used for long."""
        while True:
            await self.clock.sleep(5)
            for outlet in self.topology.outlets.values():
                try:
                    await outlet.output.idle()
                except Exception as error:
                    outlet.flow.bug(error)

    # reload
    async def _reloads(self) -> None:
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            taken = await self.reload()
            for after in self.after_reload:
                after(taken)

    async def reload(self) -> bool:
        """Read the configuration again; a bad one changes nothing and is reported."""
        if self.load is None:
            return False
        self._steady.clear()
        try:
            config = await asyncio.to_thread(self.load)
            refuse(self.config, config)
            before = fingerprints(self.config, "00")
            await apply(self.topology, config)
        except (ConfigError, OpenError) as error:
            self.reloads["failed"] += 1
            self.last_reload = {"outcome": "failed", "time": self.clock.now(), "reason": str(error)}
            log.error("reload refused, everything goes on as it was:\n%s", error)
            return False
        except Exception as error:
            self.reloads["failed"] += 1
            self.last_reload = {
                "outcome": "failed",
                "time": self.clock.now(),
                "reason": f"{type(error).__name__}: {error}",
            }
            log.error("reload failed unexpectedly: %s", error, exc_info=error)
            return False
        finally:
            self._steady.set()
        self.config = config
        self.budget.limit = config.settings.memory_limit
        self.dead_letters.policy = config.settings.dead_letters
        for source in self.topology.sources.values():
            source.input.scope.checkpoint_interval = float(config.settings.checkpoint_interval)
        for settings_changed in self.on_reload:
            settings_changed(config)
        self._remember()
        self.reloads["ok"] += 1
        changes = [change for change in plan(before, config) if change.action != "keeps"]
        self.last_reload = {
            "outcome": "ok",
            "time": self.clock.now(),
            "reason": "",
            "changes": [str(c) for c in changes],
        }
        log.info("reloaded%s", "".join(f"\n{change}" for change in changes) or ": no component changed")
        return True

    def _remember(self) -> None:
        """For `shipper plan`."""
        try:
            remember(self.config, Path(self.config.data_dir))
        except OSError as error:
            log.warning("`shipper plan` will not know what runs: %s", error)

    # the data folder
    def lock(self) -> None:
        """The data folder belongs to one process; said twice by the same one it is still its."""
        if self._lock is None:
            self._lock = lock(Path(self.config.data_dir))

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
