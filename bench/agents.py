"""What is timed: an `Agent` says how it does the work of a `Job`. The bare floor is one; this agent is in `shipper.py`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from bench.scenarios import Route, Scenario


class Cannot(Exception):
    """An agent cannot do this work, or not the same; the sentence says why, and stands in the table instead of figures."""


@dataclass(frozen=True)
class Job:
    """One run of an agent."""

    scenario: Scenario
    folder: Path
    """Its own, empty: for its configuration, its state and what it writes; also its working directory."""
    source: Path
    """The file to be read, or a path with `*` for several; for the other feeds nothing that an agent needs."""
    server: int
    """The port of the HTTP server on loopback."""
    port: int = 0
    """Where to listen on loopback, when the scenario's feed is not a file."""
    follow: bool = False
    """Go on at the end of the file, until SIGTERM; else an agent may end by itself there."""
    wait: float | None = None
    """Longest time in seconds that an event waits for others to fill a request; None: the agent's default."""
    path: str = "/"
    """Where on the server `http` posts."""

    def out(self, route: Route) -> Path:
        """The file that a route to a file writes."""
        number = self.scenario.routes.index(route)
        return self.folder / f"out{number}.ndjson"


class Agent(Protocol):
    """A program under test. It is started by `command`, and stopped by SIGTERM unless it ends by itself."""

    @property
    def name(self) -> str:
        """One word, for the table."""

    def command(self, job: Job) -> Sequence[str]:
        """Write what configuration it needs into `job.folder`; what to run. Raises Cannot."""

    def ends(self, job: Job) -> bool:
        """Whether it ends by itself, with 0, once everything that was there is out."""

    def ready(self, job: Job) -> bool:
        """Whether it has begun: what is sent to it now is not lost. Asked every few milliseconds after its start."""

    def delivered(self, job: Job) -> int | None:
        """How many events it says it has delivered; None where it does not say. Only asked where nothing comes out."""

    def says(self, job: Job) -> dict[str, float]:
        """What it counted about itself, asked before it is stopped; {} where it does not say. `stall`: seconds of the
        longest time its loop stood still; `kernel_drops` and `own_drops`: datagrams."""


@dataclass(frozen=True)
class Floor:
    """The bare floor (`floor.py`): it always ends by itself."""

    name: str = "floor"

    def command(self, job: Job) -> Sequence[str]:
        scenario, file = job.scenario, job.folder / "floor.json"
        routes = [
            {
                "write": route.write,
                "target": str(job.server) if route.to_server else str(job.out(route)),
                "where": asdict(route.where) if route.where else None,
            }
            for route in scenario.routes
        ]
        source = str(job.source) if scenario.feed == "file" else str(job.port)
        work = {"parse": scenario.parse, "feed": scenario.feed, "source": source, "routes": routes}
        file.write_text(json.dumps(work))
        return [sys.executable, "-m", "bench.floor", str(file)]

    def ends(self, job: Job) -> bool:
        return True

    def ready(self, job: Job) -> bool:
        return True

    def delivered(self, job: Job) -> int | None:
        return None

    def says(self, job: Job) -> dict[str, float]:
        return {}
