"""Host names looked up by the system's resolver, each in a thread of its own.

Threads are shared by everything else that must not hold the loop (disk buffers, packing), and a resolver whose server is
dead keeps one for 5 to 30 seconds, whoever still waits: a few names would hold up all of it. And the process could not
end before the last answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["Names"]

Found = list[tuple[Any, ...]]


class Names(AbstractResolver):
    """One lookup of a name at a time; whoever asks meanwhile waits for the same answer. Raises OSError."""

    def __init__(self, look: Callable[..., Found] = socket.getaddrinfo) -> None:
        self._look = look
        self._asked: dict[tuple[str, int, int], Future[Found]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        key = (host, port, int(family))
        answer = self._asked.get(key)
        if answer is None:
            loop = asyncio.get_running_loop()
            answer = self._asked[key] = loop.create_future()
            # a daemon: nobody has to wait for it at the end
            thread = threading.Thread(target=self._ask, args=(loop, key), name=f"look up {host}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has none left: the next try asks again
                del self._asked[key]
                raise OSError(errno.EAGAIN, str(error)) from error
        await asyncio.wait([answer])  # who gives up leaves it to others, and to the next try
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=_numeric(address), port=port, family=kind, proto=proto, flags=flags)
            for kind, _, proto, _, address in answer.result()
        ]

    def _ask(self, loop: AbstractEventLoop, key: tuple[str, int, int]) -> None:
        host, port, family = key
        found: Found | Exception
        try:
            found = self._look(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
        except UnicodeError as error:  # no name that could be asked for
            found = socket.gaierror(socket.EAI_NONAME, str(error))
        except Exception as error:  # whoever waits gets it
            found = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(self._tell, key, found)

    def _tell(self, key: tuple[str, int, int], found: Found | Exception) -> None:
        answer = self._asked.pop(key)
        if isinstance(found, Exception):
            answer.set_exception(found)
            answer.exception()  # perhaps nobody waits any more
        else:
            answer.set_result(found)

    async def close(self) -> None:
        """Nothing is held."""

    def __repr__(self) -> str:
        return f"Names(asking={[host for host, _, _ in self._asked]})"


def _numeric(address: Any) -> str:
    """With its zone where it has one (link-local IPv6)."""
    if len(address) > 2 and address[3]:
        return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return str(address[0])
