"""Connections accepted while there is room: those that find none wait in the kernel's queue and lose nothing."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from weakref import WeakSet

from shipper.net.sockets import Bound

__all__ = ["HANDSHAKE", "Acceptor", "peer_of"]

AT_ONCE = 64  # connections accepted in one turn of the loop
RECHECK = 0.1  # seconds until it is looked again whether there is room
HANDSHAKE = 30.0  # seconds for a TLS handshake
SAY = 60.0  # seconds between two words on connections that wait for file handles
OWN = 16
"""File handles that the process itself needs, more or less."""
_open: WeakSet[socket.socket] = WeakSet()
"""Connections of all inputs, those that still shake hands too, because the limit of file handles is one for the process."""


def most_connections(limit: int | None = None) -> int:
    """How many leave enough file handles for others: a quarter of the limit is for files that are read, and another
    (at most 64) for outputs, buffers, positions and the API."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(limit - min(limit // 4, 4096) - min(limit // 4, 64) - OWN, 4)


class Acceptor:
    """Accepts on the sockets of one address and gives each connection a protocol of its own.

    `full` says whether there is no room for one more, given how many are still shaking hands. Greetings that fail are
    reported to `failed`.
    """

    def __init__(
        self,
        bound: Bound,
        protocol: Callable[[], asyncio.BaseProtocol],
        *,
        full: Callable[[int], bool],
        failed: Callable[[Exception], None],
        tls: ssl.SSLContext | None = None,
        handshake: float = HANDSHAKE,
        log: logging.Logger,
    ) -> None:
        self.bound = bound
        self.protocol = protocol
        self.full = full
        self.failed = failed
        self.tls = tls
        self.handshake = handshake
        self.log = log
        self._greeting: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._most = most_connections()
        self._said = float("-inf")
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._later = None
        for each in self.bound.sockets:
            self._loop.add_reader(each, self._ready, each)

    def stop(self) -> None:
        """Accept nothing more; who is still shaking hands is turned away. The sockets are closed by whom they belong to."""
        self._pause()
        for task in self._greeting:
            task.cancel()

    def _pause(self, seconds: float = 0) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        for each in self.bound.sockets:
            self._loop.remove_reader(each)
        if seconds:
            self._later = self._loop.call_later(seconds, self.start)

    def _ready(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if self.full(len(self._greeting)):
                self._pause(RECHECK)
                return
            if self._scarce():
                self._wait("too many files and connections are open", RECHECK)
                return
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:  # gone again before it was accepted
                continue
            except OSError as error:  # no file handles or no memory left: others may free some
                self._wait(error.strerror or str(error), 1.0)
                return
            connection.setblocking(False)
            _open.add(connection)
            task = self._loop.create_task(self._greet(connection))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _scarce(self) -> bool:
        """Whether one more would take a file handle that others need."""
        if len(_open) < self._most:
            return False
        for each in [each for each in _open if each.fileno() < 0]:
            _open.discard(each)
        return len(_open) >= self._most

    def _wait(self, why: str, seconds: float) -> None:
        self._pause(seconds)
        if self._loop.time() - self._said >= SAY:
            self._said = self._loop.time()
            self.log.warning("connections to %s wait: %s", self.bound.address, why)

    async def _greet(self, connection: socket.socket) -> None:
        try:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._loop.connect_accepted_socket(
                self.protocol, connection, ssl=self.tls, ssl_handshake_timeout=self.handshake if self.tls else None
            )
        except (TimeoutError, OSError) as error:  # ssl.SSLError is an OSError
            connection.close()
            self.failed(error)
        except BaseException:
            with suppress(OSError):
                connection.close()
            raise


def peer_of(transport: asyncio.BaseTransport) -> str | None:
    """The IP address at the other end; None for a Unix socket."""
    return host_of(transport.get_extra_info("peername"))


def host_of(address: object) -> str | None:
    """The IP address of a socket's address; one of IPv4 that came by an IPv6 socket is written as IPv4."""
    return str(address[0]).removeprefix("::ffff:") if isinstance(address, tuple) else None
