"""Datagrams, drained in batches: one batch for each turn of the loop, and what the kernel dropped is counted."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from shipper.net.accepting import host_of
from shipper.net.framing import Cut

__all__ = ["Datagrams"]

AT_ONCE = 512  # datagrams in a batch
BYTES = 64 * 1024  # in a batch
LAST_TURNS = 256  # batches at a stop: 16 MiB, more than a receive buffer holds
SO_MEMINFO = 55  # Linux 4.12
DROPS = 8  # SK_MEMINFO_DROPS, its place among nine unsigned integers

Hand = Callable[[list[bytes], list[str | None]], None]


class Datagrams:
    """Reads a bound datagram socket; `hand` gets the datagrams of a turn, each longer than `limit` cut, and their peers.

    `dropped` is called with how many datagrams the kernel has thrown away since the last call.
    """

    def __init__(self, bound: socket.socket, limit: int, hand: Hand, dropped: Callable[[int], None]) -> None:
        self.socket = bound
        self.limit = limit
        self.hand = hand
        self.dropped = dropped
        self._view = memoryview(bytearray(limit))
        self._drops: int | None = 0 if bound.family != socket.AF_UNIX else None
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._loop.add_reader(self.socket, self.read)

    def stop(self) -> None:
        """Read what has arrived until now, and no more."""
        self._loop.remove_reader(self.socket)
        for _ in range(LAST_TURNS):
            if not self.read():
                break

    def read(self) -> int:
        """Hand over what has arrived, at most a batch; how many datagrams that was."""
        receive, view, limit = self.socket.recvfrom_into, self._view, self.limit
        found: list[bytes] = []
        peers: list[str | None] = []
        total = 0
        with suppress(BlockingIOError, InterruptedError):
            while total < BYTES and len(found) < AT_ONCE:
                # with MSG_TRUNC the length is that of the datagram, though no more than the buffer holds is written
                length, address = receive(view, 0, socket.MSG_TRUNC)
                found.append(bytes(view[:length]) if length <= limit else Cut(view[:limit]))
                peers.append(host_of(address))
                total += length
        if found:
            self.hand(found, peers)
        self._count_drops()
        return len(found)

    def _count_drops(self) -> None:
        if self._drops is None:
            return
        try:
            seen = struct.unpack("9I", self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[DROPS]
        except (OSError, struct.error):  # a kernel that does not say
            self._drops = None
            return
        if seen != self._drops:
            self.dropped((seen - self._drops) & 0xFFFFFFFF)
            self._drops = seen
