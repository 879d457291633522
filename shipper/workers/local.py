"""HTTP on a socket in the data folder: each worker answers for itself there, and the front asks."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 107  # bytes of a path, unix(7)
MOST = 64 * 2**20


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name of the socket that is short enough, however deep the data folder lies."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def bound(path: Path) -> socket.socket:
    """A socket there, for this user only; what an earlier process left is replaced. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # the folder is locked: whoever made it is gone
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)  # Linux gives the file this mode
        with reachable(path) as name:
            made.bind(name)
            Path(name).chmod(0o600)
    except BaseException:
        made.close()
        raise
    return made


async def ask(path: Path, page: str, patience: float) -> tuple[int, str]:
    """Status and body of a page. Raises OSError (a TimeoutError is one) when there is no answer."""
    async with asyncio.timeout(patience):
        with reachable(path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        try:
            writer.write(f"GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read(MOST)
            while more := await reader.read(MOST):
                body += more
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionResetError(f"half an answer: {error}") from error
        finally:
            writer.close()
    return int(head.split(b" ", 2)[1]), body.decode()
