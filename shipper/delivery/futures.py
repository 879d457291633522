"""Futures that stand for deliveries."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import Sequence


def settled(error: BaseException | None = None) -> Future[None]:
    """A future that is done already."""
    future: Future[None] = asyncio.get_running_loop().create_future()
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    return future


def settle(future: Future[None], error: BaseException | None = None) -> None:
    """Finish a future that a caller may have cancelled meanwhile."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def all_of(futures: Sequence[Future[None]]) -> Future[None]:
    """Done when all are; then fails with the first error in their order.

    Unlike `asyncio.gather` it never cancels a member when somebody upstream goes away: a delivery that has
    begun is finished for its own sake.
    """
    if len(futures) == 1:
        return futures[0]
    if not futures:
        return settled()
    whole: Future[None] = asyncio.get_running_loop().create_future()
    left = len(futures)

    def one_done(_: Future[None]) -> None:
        nonlocal left
        left -= 1
        if not left:
            errors = [failure(future) for future in futures]  # all are looked at, so that none is reported as forgotten
            settle(whole, next((error for error in errors if error), None))

    for future in futures:
        future.add_done_callback(one_done)
    return whole


def failure(future: Future[None]) -> BaseException | None:
    """What a future that is done failed with; a cancelled one failed too."""
    if future.cancelled():
        return asyncio.CancelledError()
    return future.exception()
