"""One address that answers for all workers: it asks each of them, and puts together what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipper import __version__
from shipper.api.app import PROMETHEUS, Admin, other
from shipper.api.metrics import Page as Written
from shipper.api.server import Answer
from shipper.config.model import ApiOptions, Config
from shipper.errors import ConfigError
from shipper.pipeline.observe import log
from shipper.pipeline.topology import OpenError
from shipper.workers import folders
from shipper.workers.child import GONE, listen
from shipper.workers.local import ask
from shipper.workers.merging import Memory, Page, merged, parse
from shipper.workers.post import Post

ENDED = -1
"""Stands for the status of a process that has ended."""
PATIENCE = 2.0
"""Seconds that a worker has for an answer."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the supervisor says of one process."""

    name: str
    index: int
    pid: int | None
    """None while it does not run."""
    ready: bool
    drains: bool
    """It has no inputs: nobody waits for it to be ready."""
    restarts: int
    why: str
    """Why it is not ready."""


class Front(Admin):
    """The endpoint of several workers."""

    def __init__(self, options: ApiOptions, data_dir: Path) -> None:
        super().__init__(options, data_dir)
        self.data_dir = data_dir
        self.known: list[Known] = []
        self.state = "starting"
        self.memory = Memory()

    def told(self, line: str) -> None:
        """A line of the supervisor's: `state {...}`."""
        word, _, text = line.partition(" ")
        if word == "state":
            said = json.loads(text)
            self.state = said["state"]
            self.known = [Known(**each) for each in said["workers"]]

    async def page(self, path: str) -> Answer:
        if path == "/livez":
            return await self._alive()
        if path == "/readyz":
            reasons = await self._reasons()
            return Answer(503, "\n".join(reasons) + "\n") if reasons else Answer(200, "ok\n")
        if path == "/metrics":
            return Answer(200, await self._metrics(), PROMETHEUS)
        if path == "/status":
            return Answer(200, json.dumps(await self._status(), indent=2) + "\n", "application/json")
        return other(path)

    async def _ask(self, path: str) -> dict[str, tuple[int, str]]:
        """What those answer that run, by name; where there is no answer, 0 and why, or ENDED."""

        async def one(each: Known) -> tuple[int, str]:
            try:
                return await ask(folders.socket(self.data_dir, each.index), path, PATIENCE)
            except TimeoutError:
                return 0, f"no answer within {PATIENCE:.0f}s"
            except OSError as error:
                gone = isinstance(error, ConnectionError | FileNotFoundError)
                return ENDED if gone else 0, f"no answer: {error.strerror or error}"

        up = [each for each in self.known if each.pid is not None]
        answers = await asyncio.gather(*map(one, up))
        return {each.name: answer for each, answer in zip(up, answers, strict=True)}

    async def _alive(self) -> Answer:
        started = {each.name for each in self.known if each.ready}
        # who is gone is started again by the first process, which may not have told us yet
        answers = (await self._ask("/livez")).items()
        stuck = [name for name, (status, _) in answers if status not in (200, ENDED) and name in started]
        return Answer(503, "".join(f"{name} does not answer\n" for name in stuck)) if stuck else Answer(200, "ok\n")

    async def _reasons(self) -> list[str]:
        """Why not all are ready, or nothing."""
        if self.state != "running":
            return [self.state]
        reasons = [f"{each.name}: {each.why}" for each in self.known if not each.drains and each.why]
        waited = {each.name for each in self.known if each.ready and not each.drains and not each.why}
        for name, (status, text) in (await self._ask("/readyz")).items():
            if status != 200 and name in waited:
                reasons += [f"{name}: {line}" for line in text.splitlines()]
        return reasons

    async def _metrics(self) -> str:
        pages: list[Page] = []
        answers = await self._ask("/metrics")
        for each in self.known:
            status, text = answers.get(each.name, (0, ""))
            if status == 200:
                page = parse(text)
                self.memory.saw(each.name, page)
                pages.append(page)
            elif (last := self.memory.missing(each.name)) is not None:
                pages.append(last)
        own = Written()
        labels = [({"worker": str(each.index)}, each) for each in self.known]
        own.add(
            "shipper_worker_restarts_total", "counter", "Workers that died and were started again.",
            ((label, each.restarts) for label, each in labels),
        )  # fmt: skip
        own.add(
            "shipper_worker_up", "gauge", "1 while a worker runs; those that have nothing left to do are left out.",
            ((label, each.pid is not None) for label, each in labels if each.pid is not None or each.why),
        )  # fmt: skip
        return merged([*pages, parse(own.text())], self.memory.ended)

    async def _status(self) -> dict[str, Any]:
        answers = await self._ask("/status")
        workers = []
        for each in self.known:
            status, text = answers.get(each.name, (0, each.why or "ended"))
            said = json.loads(text) if status == 200 else {"state": each.why or "ended", "reason": text}
            workers.append({"worker": each.index, "pid": each.pid, **said})
        restarts = {str(each.index): each.restarts for each in self.known}
        return {"version": __version__, "state": self.state, "workers": workers, "restarts": restarts}


async def answer_for_all(config: Config, load: Callable[[], Config], post: Post) -> int:
    """The front's whole life. Raises OpenError when it cannot listen."""
    options = config.settings.api
    assert options is not None, "there is no front without an API"
    front = Front(options, Path(config.data_dir))
    done = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            front.changed(await asyncio.to_thread(load))
        except (ConfigError, OSError) as error:
            log.error("the API goes on with the old api.token: %s", error)

    def again() -> None:
        task = asyncio.get_running_loop().create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    listen(post, {"stop": done.set, "now": done.set, "reload": again, GONE: done.set}, front.told)
    try:
        await front.start()
    except OSError as error:
        raise OpenError(f"api.listen {options.listen}: cannot be opened: {error.strerror or error}") from error
    post.say("ready")
    try:
        await done.wait()
    finally:
        await front.stop()
    return 0
