"""The ledger's file: what is saved, and when."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from shipper.clock import Clock
from shipper.pipeline import ledger as module
from shipper.pipeline.ledger import Ledger


async def test_a_save_waits_for_one_whose_caller_was_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread is still at work, and both would write the same file: the stop is saved after it."""
    begun, go, write = threading.Event(), threading.Event(), module._write
    inside = most = 0

    def slow(*arguments: Any) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        begun.set()
        go.wait(10)
        write(*arguments)
        inside -= 1

    monkeypatch.setattr(module, "_write", slow)
    subject = Ledger(tmp_path, Clock())
    first = asyncio.create_task(subject.save())
    await asyncio.to_thread(begun.wait, 10)
    first.cancel()
    await asyncio.wait([first])
    last = asyncio.create_task(subject.save(stopped=True))
    await asyncio.sleep(0.05)  # time enough to begin another one, which must not be
    go.set()
    await last
    assert most == 1
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) in (["0"], ["1"])
