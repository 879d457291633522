"""Asking an HTTP destination a harmless question, for `shipper doctor`: one request, nothing written, nothing kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from shipper.component import Scope
from shipper.net.auth import Auth
from shipper.net.session import Answer, Session
from shipper.net.status import said_at
from shipper.net.tls import Tls
from shipper.options import Secret, Url

__all__ = ["SKEW", "Asking", "asking"]

SKEW = "clock_skew_seconds"
"""The gauge of the scope that holds how far the destination's clock is ahead of ours."""
MOST = 64 << 10  # bytes of an answer


class Asking:
    """Questions over one session; each answer's `Date` is compared with our clock."""

    def __init__(self, session: Session, scope: Scope) -> None:
        self.session = session
        self.scope = scope

    async def __call__(
        self, method: str, url: Url, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer, whatever its status; for what that means there is `session.judge`. Raises Unavailable."""
        answer = await self.session.send(method, url, body, headers or {}, most=MOST)
        if (said := said_at(answer.headers)) is not None:
            self.scope.gauges[SKEW] = said - self.scope.clock.time()
        return answer


@asynccontextmanager
async def asking(
    scope: Scope,
    *,
    tls: Tls,
    auth: Auth | None,
    proxy: Url | None,
    headers: Mapping[str, Secret],
    urls: Iterable[Url],
) -> AsyncIterator[Asking]:
    """A session as the output itself would have it."""
    session = Session(scope, tls=tls, auth=auth, proxy=proxy, headers=headers, urls=urls)
    await session.open()
    try:
        yield Asking(session, scope)
    finally:
        await session.close()
