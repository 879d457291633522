"""What a check found, and how a check is kept from hanging."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeVar

__all__ = ["PATIENCE", "Finding", "ok", "problem", "thread", "warning", "within"]

PATIENCE = 5.0
"""Seconds for each check."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Literal["ok", "warning", "problem"]
    what: str
    """What was looked at: `data_dir`, `outputs.es: https://es:9200: TLS`."""
    found: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.level:<8} {self.what}: {self.found}" + (f"; fix: {self.fix}" if self.fix else "")


def ok(what: str, found: str) -> Finding:
    return Finding("ok", what, found)


def warning(what: str, found: str, fix: str) -> Finding:
    return Finding("warning", what, found, fix)


def problem(what: str, found: str, fix: str) -> Finding:
    return Finding("problem", what, found, fix)


async def thread(work: Callable[[], T]) -> T:
    """Run what blocks in a thread that nobody waits for at the end: a dead file system or resolver keeps no one."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever waits gets it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)


async def within(what: str, check: Awaitable[list[Finding]], patience: float = PATIENCE) -> list[Finding]:
    """The findings of a check; one that does not end in time, or has a bug, is a finding itself."""
    try:
        async with asyncio.timeout(patience):
            return await check
    except TimeoutError:
        return [
            problem(what, f"no answer within {patience:g}s", "look at what it hangs on: a mount, a name server, a host")
        ]
    except Exception as error:
        return [problem(what, f"could not be checked: {type(error).__name__}: {error}", "report it if it stays")]
