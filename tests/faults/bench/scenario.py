"""One scenario's bench: its agents, its oracle, its random numbers, its figures, and what must be true in every one."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent import Agent
from tests.faults.bench.figures import Figure, record
from tests.faults.bench.oracle import Oracle


class Bench:
    """The fixture `bench`: a folder, an oracle and a seeded generator of its own for each scenario.

    At its end every agent is killed, and none may ever have said a traceback.
    """

    def __init__(self, item: pytest.Item, folder: Path, seed: int) -> None:
        self.item = item
        self.folder = folder
        self.seed = seed
        self.rng = random.Random(seed)
        self.oracle = Oracle()
        self.cleanup = contextlib.ExitStack()
        """For whatever else must be undone at the end."""
        self._agents: list[Agent] = []
        found = re.match(r"test_(t\d\d)", item.name)
        self.number = found.group(1).upper() if found else item.name

    def agent(self, config: Mapping[str, Any] | str | Path, folder: str = "", **options: Any) -> Agent:
        """An agent, not yet started (`with bench.agent(config) as agent:`), in its own folder if one is named."""
        there = self.folder / folder
        there.mkdir(exist_ok=True)
        agent = Agent(config, there, **options)
        self._agents.append(agent)
        self.cleanup.callback(agent.end)
        return agent

    def figure(self, what: str, goal: str, measured: object) -> None:
        """A row for the table of measured numbers."""
        shown = f"{measured:.3g}" if isinstance(measured, float) else str(measured)
        variant = self.item.name.partition("[")[2].rstrip("]")
        record(self.item, Figure(self.number, f"{what} ({variant})" if variant else what, goal, shown))

    def sound(self, agent: Agent) -> None:
        """The sums of the ledger are exact now, and nothing was a bug so far."""
        assert not agent.unaccounted(), f"{agent.unaccounted()}; {agent.tail()}"
        assert not agent.tracebacks(), agent.tracebacks()[0]

    def close(self) -> None:
        self.cleanup.close()
        said = [trace for agent in self._agents for trace in agent.tracebacks()]
        assert not said, f"{len(said)} tracebacks, the first: {said[0]}"
