"""Ports that stay ours: below the kernel's ephemeral range, so that nobody takes one while its owner is down."""

from __future__ import annotations

import itertools
import os
import random
import socket
from pathlib import Path

_LOW, _HIGH = 12_000, 30_000
_order = random.Random(os.getpid()).sample(range(_LOW, _HIGH), _HIGH - _LOW)
_next = itertools.cycle(_order)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody listens on, and that no outgoing connection will get."""
    for port in itertools.islice(_next, 1000):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port in 1,000 tries")


def udp_queue(port: int) -> tuple[int, int]:
    """Of a UDP port of this machine, as the kernel counts: bytes that wait to be read, and datagrams thrown away so far."""
    for row in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = row.split()
        if int(fields[1].partition(":")[2], 16) == port:
            return int(fields[4].partition(":")[2], 16), int(fields[12])
    raise AssertionError(f"nobody listens on UDP port {port}")
