"""`sd_notify(3)`: tell systemd that we are ready, alive, stopping. Nothing happens outside systemd."""

from __future__ import annotations

import asyncio
import os
import socket

PATIENCE = 2.0


def notify(state: str, patience: float = PATIENCE) -> bool:
    """Whether there was somebody to tell, who took it within so many seconds."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.settimeout(patience)
        try:
            out.connect(address)
            out.sendall(state.encode())
        except OSError:
            return False
    return True


async def watchdog() -> None:
    """While the event loop turns, say so twice in every period systemd allows."""
    period = os.environ.get("WATCHDOG_USEC", "")
    if not period.isdigit() or not int(period) or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        notify("WATCHDOG=1", patience=0)  # where nobody listens now the next one is in time
        await asyncio.sleep(int(period) / 2_000_000)
