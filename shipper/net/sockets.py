"""Sockets that listen: bound, with their buffers and their files, and what they are really called."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from shipper.net.listen import HostPort, Listen

__all__ = ["Bound", "bind"]

BACKLOG = 1024
SO_RCVBUFFORCE = 33  # Linux; beyond net.core.rmem_max, for those who may


class Bound:
    """The sockets of one address (a name may stand for several). `address` has the real port; `close` removes the file."""

    def __init__(self, listen: HostPort, sockets: Sequence[socket.socket]) -> None:
        self.listen = listen
        self.sockets = list(sockets)
        path = listen.path if isinstance(listen, Listen) else ""
        self.address = listen.at(0 if path else sockets[0].getsockname()[1])
        self._path = path
        self._file = _inode(path) if path else None

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        self.sockets.clear()
        if self._file is not None and _inode(self._path) == self._file:  # not if another has replaced it meanwhile
            Path(self._path).unlink(missing_ok=True)
        self._file = None


async def bind(listen: HostPort, *, receive_buffer: int = 0, mode: int = 0o600, shared: bool = False) -> Bound:
    """Bind, and listen where peers connect. Raises OSError that names the address.

    `receive_buffer` (bytes) is for datagrams only: streams are tuned by the kernel. `mode` is that of a Unix socket's
    file; one that nobody listens on any more is replaced. `shared`: other processes of ours bind the same address, and
    the kernel divides peers among them (SO_REUSEPORT, socket(7)); not for Unix sockets.
    """
    try:
        if isinstance(listen, Listen) and listen.path:
            return Bound(listen, [_bind_path(listen, mode, receive_buffer)])
        return Bound(listen, await _bind_host(listen, receive_buffer, shared))
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {listen}: {error.strerror or error}") from error


async def _bind_host(listen: HostPort, receive_buffer: int, shared: bool) -> list[socket.socket]:
    datagrams = isinstance(listen, Listen) and not listen.stream
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    found = await asyncio.get_running_loop().getaddrinfo(listen.host, listen.port, type=kind, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    port = listen.port
    try:
        for family, _, _, _, where in dict.fromkeys(found):
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
            sockets.append(made)
            if family == socket.AF_INET6 and len(found) > 1:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if shared:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if datagrams:  # no SO_REUSEADDR: on Linux another process could then take the datagrams away
                _buffer(made, receive_buffer)
            else:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((where[0], port, *where[2:]))
            port = made.getsockname()[1]
            if not datagrams:
                made.listen(BACKLOG)
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


def _bind_path(listen: Listen, mode: int, receive_buffer: int) -> socket.socket:
    kind = socket.SOCK_STREAM if listen.stream else socket.SOCK_DGRAM
    _remove_stale(listen.path, kind)
    made = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(
            made.fileno(), mode & 0o600
        )  # Linux gives the file this mode: it is never open to more than it shall be
        made.bind(listen.path)
        Path(listen.path).chmod(mode)
        if listen.stream:
            made.listen(BACKLOG)
        else:
            _buffer(made, receive_buffer)
    except BaseException:
        made.close()
        raise
    return made


def _remove_stale(path: str, kind: int) -> None:
    """Remove the file of a socket that nobody listens on; OSError when somebody does, or when it is another file."""
    try:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise OSError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise
    raise OSError(errno.EADDRINUSE, "another process listens on it")


def _buffer(made: socket.socket, size: int) -> None:
    if not size:
        return
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except OSError:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
