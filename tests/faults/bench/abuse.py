"""Those who talk to the agent by hand: bytes as they are, slow and silent connections; and what that costs it."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.agent import Agent

MIB = 1 << 20
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")


def exchange(port: int, data: bytes, patience: float = 10, *, half: bool = False) -> tuple[list[int], bool]:
    """Send these bytes; the status of each answer, and whether the other side has closed within `patience` seconds.

    With `half` our side says that no more will come.
    """
    found, closed = b"", True
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as link:
        try:
            link.sendall(data)
            if half:
                link.shutdown(socket.SHUT_WR)
        except TimeoutError:
            return [], False
        except OSError:
            pass  # it has heard enough, and may have answered all the same
        try:
            while piece := link.recv(1 << 16):
                found += piece
        except TimeoutError:
            closed = False
        except OSError:
            pass  # a reset is a close as well
    return [int(status) for status in STATUS.findall(found)], closed


def post(port: int, body: bytes, headers: Mapping[str, str] | None = None, patience: float = 60) -> int:
    """The status of a POST."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        link.request("POST", "/", body, dict(headers or {}))
        return link.getresponse().status
    except (ConnectionResetError, BrokenPipeError):
        return 0
    finally:
        link.close()


class Cost:
    """What the block cost the agent: `cpu` seconds, `rss` bytes above what it had at the beginning, at most."""

    cpu = 0.0
    rss = 0


@contextlib.contextmanager
def cost(agent: Agent) -> Iterator[Cost]:
    found = Cost()
    Path(f"/proc/{agent.pid}/clear_refs").write_text("5")  # the peak is now what it has now
    cpu, rss = agent.cpu_seconds(), agent.rss()
    yield found
    found.cpu, found.rss = agent.cpu_seconds() - cpu, agent.rss(peak=True) - rss


def stalls(agent: Agent, above: float = 0.25) -> int:
    """How often the event loop came later than this to a timer; one of the histogram's bounds."""
    series = agent.metrics()
    return int(
        series["shipper_loop_stall_seconds_count"] - series[f'shipper_loop_stall_seconds_bucket{{le="{above}"}}']
    )


def spare() -> int:
    """Stalls that are the machine's: none, but two while it has more to do (the load of a minute) than it has cores."""
    return 0 if os.getloadavg()[0] <= (os.cpu_count() or 1) else 2


class Crowd(threading.Thread):
    """`with Crowd(port, 200, first=b"POST / ...", then=b"a") as crowd`: connections that are opened at once and stay.

    Each says `first`, and every second one byte of `then` (nothing when it is empty). `cuts` are the seconds after which
    the other side has closed, `answers` those after which it said something; in the end all are closed by us.
    """

    def __init__(self, port: int, count: int, *, first: bytes = b"", then: bytes = b"") -> None:
        super().__init__(daemon=True)
        self.port, self.count, self.first, self.then = port, count, first, then
        self.cuts: list[float] = []
        self.answers: list[float] = []
        self._over = threading.Event()
        self._open: dict[socket.socket, float] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        for _ in range(self.count):
            link = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            link.sendall(self.first)
            link.setblocking(False)
            self._open[link] = time.monotonic()
            self._selector.register(link, selectors.EVENT_READ)
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        self.join(10)
        for link in self._open:
            link.close()
        self._selector.close()

    @property
    def left(self) -> int:
        """How many are open still."""
        return self.count - len(self.cuts)

    def run(self) -> None:
        due = time.monotonic() + 1
        while not self._over.is_set():
            for key, _ in self._selector.select(0.02):
                self._hear(key.fileobj)  # type: ignore[arg-type]
            if self.then and time.monotonic() >= due:
                due += 1
                for link in list(self._open):
                    with contextlib.suppress(OSError):  # its end is read in a moment
                        link.send(self.then)

    def _hear(self, link: socket.socket) -> None:
        after = time.monotonic() - self._open[link]
        try:
            data = link.recv(1 << 16)
        except OSError:
            data = b""
        if data:
            self.answers.append(after)
            return
        self.cuts.append(after)
        self._selector.unregister(link)
        del self._open[link]
        link.close()


def percentile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
