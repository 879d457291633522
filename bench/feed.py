"""What brings the lines to agents that listen: one connection, datagrams at a bounded rate, posts. Its CPU is not counted."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

RATE = 40_000
"""Datagrams a second: below what any agent here takes, so that what is lost says how well it keeps up with bursts."""
BURST = 0.002  # seconds between bursts
POSTERS = 12
BODY = 128 * 1024


def connected(port: int) -> socket.socket | None:
    """A connection, once somebody listens."""
    try:
        return socket.create_connection(("127.0.0.1", port), 5)
    except OSError:
        return None


def send_stream(connection: socket.socket, source: Path) -> None:
    with connection, source.open("rb") as file:
        connection.sendfile(file)


def udp_row(port: int) -> list[str] | None:
    """The kernel's row on the UDP socket that is bound to this port; its last column is what it dropped there."""
    for table in ("udp", "udp6"):
        path = Path("/proc/net") / table
        rows = path.read_text().splitlines()[1:] if path.exists() else []
        for row in map(str.split, rows):
            if int(row[1].rpartition(":")[2], 16) == port:
                return row
    return None


def kernel_drops(port: int) -> int | None:
    """Datagrams that the kernel threw away at this port; None where it does not say."""
    row = udp_row(port)
    return int(row[-1]) if row else None


def send_datagrams(port: int, source: Path, rate: int = RATE) -> None:
    """One a line, without its newline, in bursts of two milliseconds' worth."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, source.open("rb") as file:
        sender.connect(("127.0.0.1", port))
        send, size, due = sender.send, max(int(rate * BURST), 1), time.monotonic()
        while burst := list(islice(file, size)):
            for line in burst:
                send(line[:-1])
            due = max(due + BURST, time.monotonic() - 0.05)
            time.sleep(max(due - time.monotonic(), 0))


def send_end(port: int) -> None:
    """The empty datagram by which the bare floor knows that there will be no more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", ("127.0.0.1", port))


def bodies(source: Path, size: int = BODY) -> Iterator[bytes]:
    """Whole lines, about `size` bytes each time."""
    with source.open("rb") as file:
        while lines := file.readlines(size):
            yield b"".join(lines)


def post_all(port: int, source: Path, posters: int = POSTERS) -> None:
    """Post the lines over several connections at a time, each body until it is answered 200. Raises OSError."""
    left, lock, failures = bodies(source), threading.Lock(), list[BaseException]()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.connect()
            gate.wait()
            while True:
                with lock:
                    body = next(left, None)
                if body is None or failures:
                    return
                post(connection, body)
        except BaseException as error:
            failures.append(error)
            gate.abort()
        finally:
            connection.close()

    gate = threading.Barrier(posters)  # nobody has ended before all are connected: the floor ends when all have
    threads = [threading.Thread(target=work) for _ in range(posters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise OSError(f"posting failed: {failures[0]!r}") from failures[0]


def post(connection: http.client.HTTPConnection, body: bytes) -> None:
    while True:
        connection.request("POST", "/", body, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        answer.read()
        if answer.status // 100 == 2:
            return
        if answer.status != 503:
            raise OSError(f"answered {answer.status}")
        time.sleep(0.05)  # no room now
