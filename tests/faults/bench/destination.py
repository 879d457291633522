"""A programmable destination on loopback: Elasticsearch `_bulk`, Loki push and plain JSON lines, well or badly."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.faults.bench.answers import OK, Answer, AtHead, Rule, always, key, rendered, verdicts
from tests.faults.bench.ports import free_port
from tests.faults.bench.wire import Asked, Event, Gone, Reader

_MEBIBYTE = b"a" * (1 << 20)


@dataclass(frozen=True)
class Noted:
    """One request: when its head was there (monotonic seconds), what it got, how many events, how many bytes unpacked."""

    at: float
    path: str
    status: int
    events: int
    size: int


class Destination:
    """`with Destination(rule) as server: ... server.url`; the rule may be exchanged at any time (`server.answer = ...`).

    `taken` are the events accepted, in order; `documents` those that came with an `_id`, by index and id; `requests`
    all requests. `at_head` may answer before the body is read. `close()` refuses connections and cuts those that are
    there, `open()` listens on the same port again. `keep` makes what is kept of an event (for long runs).
    """

    def __init__(
        self,
        answer: Rule | Answer = OK,
        *,
        at_head: AtHead = lambda _: None,
        tls: ssl.SSLContext | None = None,
        keep: Callable[[Event], Any] = lambda event: event,
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.answer: Rule = always(answer) if isinstance(answer, Answer) else answer
        self.at_head = at_head
        self.tls = tls
        self.keep = keep
        self.port = port or free_port()
        self.host = host
        self.taken: list[Any] = []
        self.documents: dict[str, Any] = {}
        self.requests: list[Noted] = []
        self.received = 0
        """Bytes of requests that arrived, after TLS."""
        self.connections = 0
        self.errors: list[str] = []
        """What the bench itself could not understand; a scenario's `with` block fails on it at its end."""
        self._count = 0
        self._lock = threading.Lock()
        self._links: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._over = threading.Event()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._over.set()
        self.close()
        assert kind is not None or not self.errors, self.errors[:3]

    def open(self) -> None:
        """Listen (again)."""
        listener = socket.create_server((self.host, self.port), backlog=1024)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse whoever comes, and cut whoever is there."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            links = list(self._links)
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    link.close()
                    return
                self._links.add(link)
                self.connections += 1
            threading.Thread(target=self._connection, args=(link,), daemon=True).start()

    def _connection(self, raw: socket.socket) -> None:
        link = raw
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls is not None:
                raw.settimeout(30)
                link = self.tls.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._links.discard(raw)
                    self._links.add(link)
                link.settimeout(None)
            reader = Reader(link, self._heard)
            while self._request(link, reader):
                pass
        except (OSError, Gone):
            pass  # the client went away, as killed ones and those do that do not trust us
        except Exception as error:  # whatever it is, the scenario must hear of it
            self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._links -= {raw, link}
            link.close()

    def _request(self, link: socket.socket, reader: Reader) -> bool:
        """One request; whether the connection goes on."""
        with self._lock:
            number = self._count
        head = reader.head(number)
        if head is None:
            return False
        with self._lock:
            self._count += 1
        early = self.at_head(head)
        if early is not None:
            reader.take(min(early.read, head.length))
            self._note(Noted(head.at, head.path, early.status, 0, 0))
            return self._say(link, None, early, [])
        if head.headers.get("expect", "").lower() == "100-continue":
            link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        asked = Asked(head, reader.body(head))
        answer = self.answer(asked)
        if answer.delay:
            self._over.wait(answer.delay)
        return self._say(link, asked, answer, self._take(asked, answer))

    def _take(self, asked: Asked, answer: Answer) -> list[int]:
        """Accept what the answer accepts; the status of each event."""
        with self._lock:
            states = verdicts(asked, answer, self.documents)
            good = [event for event, state in zip(asked.events, states, strict=True) if state < 300] if states else []
            self.taken.extend(map(self.keep, good))
            if asked.kind == "bulk":
                for (_, about), event, state in zip(asked.actions, asked.events, states, strict=False):
                    if state < 300 and about.get("_id") is not None:
                        self.documents[key(about)] = self.keep(event)
            count = len(states) or (len(asked.events) if asked.body else 0)
            self.requests.append(Noted(asked.head.at, asked.path, answer.status, count, len(asked.body)))
        return states

    def _heard(self, count: int) -> None:
        with self._lock:
            self.received += count

    def _note(self, noted: Noted) -> None:
        with self._lock:
            self.requests.append(noted)

    def _say(self, link: socket.socket, asked: Asked | None, answer: Answer, states: list[int]) -> bool:
        head, body = rendered(asked, answer, states)
        whole = head + body
        if answer.hang:
            whole = whole[: len(head) if answer.cut is None else answer.cut]
        elif answer.reset:
            whole = whole[: answer.cut or 0]
        elif answer.cut is not None:
            whole = whole[: answer.cut]
        self._send(link, whole, answer.drip)
        for _ in range(answer.flood):
            link.sendall(_MEBIBYTE)
        if answer.hang:
            self._until_gone(link)
            return False
        if answer.linger:
            link.shutdown(socket.SHUT_WR)
            self._until_gone(link)
            return False
        if answer.reset:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        keep = asked is not None and answer.cut is None and answer.raw is None and not answer.flood
        return keep and (asked is None or asked.head.headers.get("connection", "").lower() != "close")

    def _send(self, link: socket.socket, data: bytes, drip: float) -> None:
        if not drip:
            link.sendall(data)
            return
        for at in range(len(data)):
            link.sendall(data[at : at + 1])
            if self._over.wait(1 / drip):
                return

    def _until_gone(self, link: socket.socket) -> None:
        while not self._over.is_set():
            if select.select([link], [], [], 0.1)[0] and not link.recv(1 << 16):
                return


@contextlib.contextmanager
def flapping(
    server: Destination,
    rng: random.Random,
    up: tuple[float, float] = (0.2, 1.0),
    down: tuple[float, float] = (0.1, 0.6),
    bad: tuple[Answer, ...] = (Answer(503), Answer(429), Answer(status=503, reset=True)),
) -> Iterator[None]:
    """In the block the server is up and down at random: refused, or one of the bad answers. Then it is up."""
    over, good = threading.Event(), server.answer

    def turn() -> None:
        while not over.wait(rng.uniform(*up)):
            if rng.random() < 0.5:
                server.close()
                over.wait(rng.uniform(*down))
                server.open()
            else:
                server.answer = always(rng.choice(bad))
                over.wait(rng.uniform(*down))
                server.answer = good

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)
