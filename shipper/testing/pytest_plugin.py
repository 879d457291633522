"""For tests of plugins: `async def` tests run by themselves, a plugin beside its test can be imported, a clock stands still."""

from __future__ import annotations

import asyncio
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def fake_clock() -> Any:
    """A clock that stands still until `await fake_clock.advance(seconds)`."""
    from shipper.testing.clock import FakeClock

    return FakeClock()


def pytest_collect_file(file_path: Path, parent: Any) -> None:
    """`plugins/test_geo.py` may say `from geo import Geo`, whatever the import mode."""
    beside = file_path.with_name(file_path.name.removeprefix("test_"))
    if file_path.name.startswith("test_") and file_path.suffix == ".py" and beside.exists():
        folder = str(file_path.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test for which no other plugin was asked."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    if any(pyfuncitem.get_closest_marker(name) for name in ("asyncio", "anyio", "trio")):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
