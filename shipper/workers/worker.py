"""One worker: a whole runner, told by the supervisor when to stop and to reload."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from shipper.api.app import Pages
from shipper.api.server import Answer, Request, Server
from shipper.cli.run import describe, log_as
from shipper.cli.tuning import freeze
from shipper.config.model import Config
from shipper.pipeline.observe import log
from shipper.pipeline.runner import Runner
from shipper.pipeline.topology import OpenError
from shipper.workers import folders
from shipper.workers.child import GONE, listen
from shipper.workers.local import bound
from shipper.workers.place import Place
from shipper.workers.post import Post


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all workers of a run."""

    load: Callable[[], Config]
    """Reads the whole configuration again."""
    lock: int
    """Holds `data_dir`, in every process that was forked: it is free when the last of them has ended."""
    once: bool
    debug: bool
    beat: float
    """Seconds between two signs of life; 0 for none."""


async def work(config: Config, place: Place, terms: Terms, post: Post) -> int:
    """A worker's whole life; its exit status. Raises OpenError or Locked when it cannot start."""
    loop = asyncio.get_running_loop()
    reload = None if terms.once else lambda: place.config(terms.load())
    lock = None if place.index else os.dup(terms.lock)
    runner = Runner(place.config(config), once=terms.once, reload=reload, part=place.part, lock=lock)
    runner.on_reload.append(lambda new: log_as(new, terms.debug, place.index))

    def reloaded(taken: bool) -> None:
        post.say("reloaded ok" if taken else "reloaded failed")

    runner.after_reload.append(reloaded)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # whoever says it: a second time it would mean at once
            stopping = True
            runner.stop()

    def now() -> None:
        stop()
        runner.stop()

    def gone() -> None:
        if not stopping:
            log.error("the supervisor is gone: stopping")
        stop()

    loop.add_signal_handler(signal.SIGTERM, stop)
    listen(post, {"stop": stop, "now": now, "reload": runner.hangup, GONE: gone})
    server = await _answering(config, place, runner) if not terms.once else None
    tasks = [loop.create_task(_announce(runner, place, post))]
    if terms.beat:
        tasks.append(loop.create_task(_beat(post, terms.beat)))
    try:
        status = await runner.run()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if server is not None:
            await server.stop()
            folders.socket(place.data_dir, place.index).unlink(missing_ok=True)
    if not stopping:
        post.say("ended")
    return status


async def _answering(config: Config, place: Place, runner: Runner) -> Server | None:
    """Answers for itself, when there is a front that asks."""
    options = config.settings.api
    if options is None or options.listen is None:
        return None
    pages = Pages(runner)

    def handle(request: Request) -> Answer:
        return pages(request.path)

    server = Server("localhost", 0, handle)
    path = folders.socket(place.data_dir, place.index)
    try:
        await server.start_on(bound(path))
    except OSError as error:
        raise OpenError(f"{path}: cannot be opened: {error.strerror or error}") from error
    return server


async def _announce(runner: Runner, place: Place, post: Post) -> None:
    await runner.opened.wait()
    describe(runner, pipelines=not place.index)
    freeze()
    post.say("ready")


async def _beat(post: Post, period: float) -> None:
    """For a supervisor that is watched itself: it kills a worker whose loop no longer turns."""
    while True:
        post.say("alive")
        await asyncio.sleep(period)
