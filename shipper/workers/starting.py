"""`shipper run` with several workers: what is done before the first fork."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from shipper.cli.common import mishap
from shipper.cli.notify import notify
from shipper.cli.run import log_as, loop_runner
from shipper.config.model import Config
from shipper.errors import ShipperError
from shipper.pipeline.locking import lock
from shipper.pipeline.observe import log
from shipper.pipeline.runner import FAILED
from shipper.pipeline.topology import OpenError
from shipper.workers import folders
from shipper.workers.moving import redistribute
from shipper.workers.place import Place, places, waiting
from shipper.workers.post import Post
from shipper.workers.supervisor import Supervisor


def start(config: Config, load: Callable[[], Config], once: bool, debug: bool) -> int | None:
    """Run until stopped; the exit status, or None when one process is enough. Raises Locked or OpenError."""
    data_dir = Path(config.data_dir)
    held = lock(data_dir)
    try:
        drainers = settle(config)
        if config.workers == 1 and not drainers:
            return None
        return supervise(config, load, held, drainers, once, debug)
    finally:
        os.close(held)


def settle(config: Config) -> list[int]:
    """Positions go to the workers that there are now. Those that there are no more and whose buffers are not empty."""
    data_dir = Path(config.data_dir)
    count, before = config.workers, folders.last_count(data_dir)
    every = folders.left(data_dir)
    if before != count:
        before = max(before, every[-1] + 1)  # a crash in the middle of the last change may have left some anywhere
    try:
        redistribute(config, before, count)
        folders.remember_count(data_dir, count)
    except OSError as error:
        raise OpenError(f"workers: positions cannot be divided: {error}") from error
    return [index for index in every if index >= count and waiting(folders.folder(data_dir, index))]


def supervise(
    config: Config, load: Callable[[], Config], held: int, drainers: list[int], once: bool, debug: bool
) -> int:
    """The whole life of the supervisor, and in each fork that of a worker or the front."""
    from shipper.workers.front import answer_for_all
    from shipper.workers.worker import Terms, work

    period = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watched = int(period) / 1e6 if period.isdigit() and mine else 0.0
    terms = Terms(load, held, once, debug, watched / 4)

    def life(config: Config, place: Place | None, post: Post) -> int:
        log_as(config, debug, None if place is None else place.index)
        whole = answer_for_all(config, load, post) if place is None else work(config, place, terms, post)
        try:
            return loop_runner(lambda: whole)
        except ShipperError as error:
            if debug:
                raise
            mishap(str(error))
            return FAILED

    def again() -> Config:
        new = load()
        log_as(new, debug)
        gc.collect()  # it does not run by itself here
        return new

    api = config.settings.api
    front = api is not None and api.listen is not None and not once
    if drainers:
        log.info("workers %s only empty their buffers", ", ".join(map(str, drainers)))
    warm_up()
    supervisor = Supervisor(
        config,
        places(config, drainers),
        life,
        front=front,
        load=None if once else again,
        notify=notify,
        watched=watched,
    )
    return supervisor.run()


def warm_up() -> None:
    """What every worker needs is imported once, and never looked at again by the collector, which would unshare it."""
    with suppress(ImportError):  # where there is none the loop is asyncio's own
        import uvloop  # noqa: F401
    gc.collect()
    gc.disable()
    gc.freeze()
