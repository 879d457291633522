"""A TCP proxy between the agent and anything, whose line can be made bad at run time."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Literal, Self

from tests.faults.bench.ports import free_port

Mode = Literal["pass", "reset", "cut", "drip", "blackhole", "delay"]


class Proxy:
    """`with Proxy(server.port) as line: ... line.url`, and then `line.mode = "blackhole"` whenever it suits.

    `pass`; `reset`: RST after `after` bytes from the client; `cut`: FIN after them; `drip`: `speed` bytes a second to
    the client; `blackhole`: takes bytes and passes none, either way; `delay`: `seconds` before each piece.
    The mode counts for open connections too. `refuse()` closes the port, `listen()` opens it again.
    """

    def __init__(
        self, target: int, mode: Mode = "pass", *, after: int = 0, speed: float = 1, seconds: float = 1
    ) -> None:
        self.target = target
        self.mode: Mode = mode
        self.after, self.speed, self.seconds = after, speed, seconds
        self.port = free_port()
        self.connections = 0
        self._links: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        self.refuse()

    def listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Close the port and every connection."""
        listener, self._listener = self._listener, None
        for link in [*([listener] if listener else []), *self._links]:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        if listener is not None:
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                _reset(near)
                near.close()
                continue
            far.settimeout(None)
            self._links |= {near, far}
            ended: list[bool] = []
            for a, b, to_client in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(a, b, to_client, ended), daemon=True).start()

    def _pump(self, come: socket.socket, go: socket.socket, to_client: bool, ended: list[bool]) -> None:
        passed = 0
        try:
            while data := come.recv(1 << 16):
                if self.mode == "blackhole":
                    continue
                if self.mode == "delay":
                    self._over.wait(self.seconds)
                if self.mode in ("reset", "cut") and not to_client and passed + len(data) > self.after:
                    go.sendall(data[: max(0, self.after - passed)])
                    if self.mode == "reset":
                        _reset(come)
                        come.close()  # at once: a shutdown would say FIN first
                    break
                if self.mode == "drip" and to_client:
                    self._drip(go, data)
                else:
                    go.sendall(data)
                passed += len(data)
        except OSError:
            pass  # either end went away: the line is gone for both
        finally:
            for link in (go, come):
                with contextlib.suppress(OSError):
                    link.shutdown(socket.SHUT_RDWR)
            ended.append(to_client)
            if len(ended) == 2:  # both directions: nobody uses them any more
                self._links -= {come, go}
                come.close()
                go.close()

    def _drip(self, go: socket.socket, data: bytes) -> None:
        for at in range(len(data)):
            go.sendall(data[at : at + 1])
            if self._over.wait(1 / self.speed):
                return


def _reset(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
