"""Which way the dead letters of a component go when they are sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shipper.config.model import Config, Pipe, Route, Spec
from shipper.delivery.replay import Replay, Stock
from shipper.errors import ShipperError

REPLAY = "dlq-replay"
"""Name of the input, and of the pipeline when an output's letters go straight back to it."""

Accepts = Callable[[dict[str, Any]], bool]


class NoWay(ShipperError):
    """The configuration does not say where these letters could go."""


@dataclass(frozen=True)
class Way:
    """Where some letters of a component go: through the filters that they have not passed, to the outputs they had."""

    component: str
    pipe: Pipe
    pipelines: frozenset[str | None] | None = None
    """Only letters that a filter of these set aside; None in it stands for those of no pipeline."""

    def accepts(self, letter: dict[str, Any]) -> bool:
        return self.pipelines is None or letter.get("pipeline") in self.pipelines


def ways(config: Config, component: str, through: str | None = None) -> list[Way]:
    """What an output refused goes straight to it; what a filter could not treat goes on at that filter.

    `through` names a pipeline that they all pass from its beginning. Raise NoWay when nothing fits.
    """
    if through is not None:
        if through not in config.pipelines:
            raise NoWay(f"there is no pipeline {through!r}; there are {', '.join(config.pipelines)}")
        return [Way(component, replace(config.pipelines[through], inputs=[REPLAY]))]
    holders = [pipe for pipe in config.pipelines.values() if component in pipe.filters]
    is_output = component in config.outputs
    alone = len(holders) + is_output == 1
    found: list[Way] = []
    if is_output:
        straight = Pipe(REPLAY, [REPLAY], [], [Route(output=component)])
        found.append(Way(component, straight, None if alone else frozenset({None})))
    for pipe in holders:
        onwards = replace(pipe, inputs=[REPLAY], filters=pipe.filters[pipe.filters.index(component) :])
        found.append(Way(component, onwards, None if alone else frozenset({pipe.name})))
    if not found:
        raise NoWay(f"the configuration has no output or filter {component!r}: say where to with --through PIPELINE")
    return found


def configured(config: Config, way: Way, stock: Stock, where: Accepts | None = None) -> Config:
    """The configuration with the letters as its only input and the way as its only pipeline."""

    def accepts(letter: dict[str, Any]) -> bool:
        return way.accepts(letter) and (where is None or where(letter))

    arguments = {"stock": stock, "accepts": accepts}
    source = Spec("input", REPLAY, REPLAY, Replay, arguments, {}, f"dead letters of {way.component}")
    return replace(config, inputs={REPLAY: source}, pipelines={way.pipe.name: way.pipe})
