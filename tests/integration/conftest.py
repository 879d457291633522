"""Real servers as fixtures, one of each a session; without one its tests are skipped, or fail where it is required."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers import SERVERS, Url, installed, program, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a server carries the marker `servers`."""
    needs = {*SERVERS, "promtool"}
    for item in items:
        if not needs.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


def require(name: str) -> None:
    """Go on only when it is installed."""
    if not installed(SERVERS[name]):
        reason = f"{name} is not installed: python -m tests.servers install {name}"
        if os.environ.get("CI") or os.environ.get("SHIPPER_REQUIRE_SERVERS"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def serve(name: str) -> Iterator[Url]:
    require(name)
    with running(name) as url:
        yield url


@pytest.fixture(scope="session")
def opensearch() -> Iterator[Url]:
    yield from serve("opensearch")


@pytest.fixture(scope="session")
def loki() -> Iterator[Url]:
    yield from serve("loki")


@pytest.fixture(scope="session")
def otelcol() -> Iterator[Url]:
    yield from serve("otelcol")


@pytest.fixture(scope="session")
def rsyslog() -> Iterator[Url]:
    yield from serve("rsyslog")


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of Prometheus's linter; it comes with the server."""
    require("prometheus")
    return program("promtool") or "promtool"
