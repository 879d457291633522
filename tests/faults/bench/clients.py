"""Those who push events to the agent, and remember what it acknowledged."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections import Counter

from tests.faults.bench.oracle import Chunk, Oracle
from tests.faults.bench.pacing import Paced


class HttpClient(Paced):
    """Posts `batch` events at a time to port `port` of loopback; a 200 makes them K.

    Whatever else happens (503, a lost connection, nobody there) it sends the same ids again, as a sane client
    does, no later than `Retry-After` or `pause`. `statuses` counts the answers (0: none), `latencies` are the
    seconds each acknowledged chunk took, tries and pauses included. What is not acknowledged at `stop` stays unknown.
    """

    def __init__(
        self,
        oracle: Oracle,
        port: int,
        name: str = "client",
        *,
        rate: float = 500,
        batch: int = 50,
        total: int | None = None,
        pause: float = 0.1,
        timeout: float = 30,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(rate, total)
        self.source = oracle.source(name)
        self.port, self.batch, self.pause, self.timeout = port, batch, pause, timeout
        self.headers = {"Content-Type": "application/x-ndjson", **(headers or {})}
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self._link: http.client.HTTPConnection | None = None

    def step(self, count: int) -> int:
        if count < self.batch and (self.total is None or self.done + count < self.total):
            return 0
        chunk = self.source.mint(min(count, self.batch))
        began = time.monotonic()
        while not self._post(chunk):
            if self.stopping.wait(self.pause):
                return 0
        self.latencies.append(time.monotonic() - began)
        chunk.acked()
        return chunk.count

    def _post(self, chunk: Chunk) -> bool:
        body = "".join(json.dumps(event) + "\n" for event in chunk.events).encode()
        link = self._link or http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        self._link = link
        try:
            link.request("POST", "/", body, self.headers)
            answer = link.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.statuses[0] += 1
            self._hang_up()
            return False
        self.statuses[answer.status] += 1
        if answer.status == 503:
            self.stopping.wait(min(float(answer.headers.get("Retry-After") or 0), 1.0))
        return answer.status == 200

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def last(self) -> None:
        self._hang_up()


class TcpClient(Paced):
    """Writes syslog lines (RFC 3164, newline framed) to a port; what a socket took whole counts as written.

    TCP syslog has no acknowledgement: only as long as the agent is not killed is it fair to ask for all of them.
    """

    def __init__(
        self, oracle: Oracle, port: int, name: str = "syslog", *, rate: float = 500, total: int | None = None
    ) -> None:
        super().__init__(rate, total)
        self.source = oracle.source(name)
        self.port = port
        self.lost = 0  # connections
        self._link: socket.socket | None = None

    def step(self, count: int) -> int:
        try:
            if self._link is None:
                self._link = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            chunk = self.source.mint(count)
            self._link.sendall("".join(f"<13>Nov 22 12:00:00 host app: {each}\n" for each in chunk.lines).encode())
        except OSError:
            self.lost += 1
            self.last()
            return 0
        chunk.written()
        return count

    def last(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


class UdpClient(Paced):
    """Sends syslog datagrams; `done` is how many the kernel took from us, and not one of them is owed."""

    def __init__(
        self, oracle: Oracle, port: int, name: str = "udp", *, rate: float = 1000, total: int | None = None
    ) -> None:
        super().__init__(rate, total)
        self.source = oracle.source(name)
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._to = ("127.0.0.1", port)

    def step(self, count: int) -> int:
        for each in self.source.mint(count).lines:
            self._link.sendto(f"<13>Nov 22 12:00:00 host app: {each}".encode(), self._to)
        return count

    def last(self) -> None:
        self._link.close()
