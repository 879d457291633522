"""The bare floor's readers: chunks of whole lines, about 64 KiB each, without the last newline."""

from __future__ import annotations

import re
import selectors
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 64 * 1024
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def chunks(read: Callable[[int], bytes], ends: Callable[[bytes], int]) -> Iterator[bytes]:
    """`ends` says behind which byte whole records end, 0 where none does."""
    rest = b""
    while data := read(CHUNK):
        data = rest + data
        cut = ends(data)
        rest = data[cut:]
        if cut:
            yield data[: cut - 1]
    if rest:
        yield rest.removesuffix(b"\n")


def from_file(path: Path, ends: Callable[[bytes], int]) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        yield from chunks(file.read, ends)


def lines(data: bytes) -> int:
    return data.rfind(b"\n") + 1


def records(data: bytes) -> int:
    """Records of several lines: up to the last line that begins one, which may not be complete."""
    cut = len(data)
    while (cut := data.rfind(b"\n", 0, cut) + 1) and not data[cut : cut + 4].isdigit():
        cut -= 1
    return cut


def whole(data: bytes) -> int:
    """CRI lines: up to the last that is no part of a longer one."""
    cut = len(data)
    while cut := data.rfind(b"\n", 0, cut) + 1:
        begin = data.rfind(b"\n", 0, cut - 1) + 1
        if data[begin:cut].split(b" ", 3)[2] == b"F":
            return cut
        cut -= 1
    return 0


def datagrams(port: int) -> Iterator[bytes]:
    """What has arrived whenever something has; an empty datagram is the end."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * 1024**2)
    server.bind(("127.0.0.1", port))
    receive = server.recv
    server.setblocking(False)
    waiting = selectors.DefaultSelector()
    waiting.register(server, selectors.EVENT_READ)
    while waiting.select():
        found: list[bytes] = []
        try:
            while len(found) < 512 and (each := receive(CHUNK)):
                found.append(each)
            ended = len(found) < 512
        except BlockingIOError:
            ended = False
        if found:
            yield b"\n".join(found)
        if ended:
            return


def posts(port: int) -> Iterator[bytes]:
    """The bodies of requests, each answered when the next one is asked for; ends when all connections have been closed."""
    server = socket.create_server(("127.0.0.1", port), backlog=64)
    waiting = selectors.DefaultSelector()
    waiting.register(server, selectors.EVENT_READ)
    open_ = 0
    while open_ >= 0:
        for key, _ in waiting.select():
            if key.fileobj is server:
                waiting.register(server.accept()[0], selectors.EVENT_READ)
                open_ += 1
                continue
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            body = request(connection)
            if body is None:
                waiting.unregister(connection)
                connection.close()
                open_ -= 1
                if not open_:
                    return
                continue
            yield body.removesuffix(b"\n")
            connection.sendall(OK)


def request(connection: socket.socket) -> bytes | None:
    """One whole request's body; None at the end of the connection."""
    data = connection.recv(CHUNK)
    if not data:
        return None
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += connection.recv(CHUNK)
    found = LENGTH.search(data, 0, end)
    assert found is not None
    body = bytearray(int(found[1]))
    came = len(data) - end - 4
    body[:came] = data[end + 4 :]
    with memoryview(body) as view:
        while came < len(body):
            came += connection.recv_into(view[came:])
    return bytes(body)


def reader(feed: str, parse: str, source: str) -> Iterator[bytes]:
    """`source` is a path, or the port to listen on."""
    if feed == "udp":
        return datagrams(int(source))
    if feed == "http":
        return posts(int(source))
    ends = {"trace": records, "cri": whole}.get(parse, lines)
    if feed == "tcp":
        connection, _ = socket.create_server(("127.0.0.1", int(source))).accept()
        return chunks(connection.recv, ends)
    return from_file(Path(source), ends)
