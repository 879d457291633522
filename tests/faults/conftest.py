"""Tiers, seeds, figures, and the fixture `bench` of the fault battery."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench import figures, needs, tiers
from tests.faults.bench.scenario import Bench

TIMEOUT = 300  # seconds for a scenario that names none of its own


def pytest_configure(config: pytest.Config) -> None:
    """The tier follows the `-m` of the command; figures are written by the process that is no worker."""
    config.addinivalue_line("markers", "requires(*names): what the machine must offer, see bench/needs.py")
    tiers.choose(config.option.markexpr)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(figures.Table(), "shipper-figures")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Scenarios last from a second to minutes: whoever is idle takes one, whatever file it stands in."""
    if not tiers.chosen():
        return None
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped, unused-ignore]

    return WorkStealingScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every scenario says its tier, and has a limit of time."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        tier = [name for name in ("faults", "nightly") if item.get_closest_marker(name)]
        if not tier:
            raise pytest.UsageError(f"{item.nodeid} has neither the marker `faults` nor `nightly`")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    names = [name for mark in item.iter_markers("requires") for name in mark.args]
    needs.check(tuple(dict.fromkeys(names)))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The number all chance of this scenario comes from; a failing test shows it."""
    kind = getattr(request, "param", "fixed")
    number = tiers.resolve(kind)
    print(f"seed {number} ({kind})" + (f": SHIPPER_SEED={number} repeats it" if kind == "fresh" else ""))
    return number


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, seed: int) -> Iterator[Bench]:
    """The scenario's bench; see `bench/scenario.py`."""
    made = Bench(request.node, tmp_path, seed)
    yield made
    made.close()
