"""Lines between the supervisor and the processes it started, both ways.

The end of the other side is heard as the end of the lines: that is how workers know that their supervisor is gone, on
every system and whatever killed it.
"""

from __future__ import annotations

import socket

ROOM = 2**20  # bytes; a line is far shorter


class Post:
    """One end. Nobody ever waits: a line that finds no room, because the other side does not read, is not sent."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)

    def fileno(self) -> int:
        return self._end.fileno()

    def say(self, line: str) -> bool:
        """Whether it was taken; wholly or not at all."""
        try:
            self._end.send(line.encode())
        except OSError:  # nobody there, or it is full: the other side does not run
            return False
        return True

    def hear(self) -> tuple[list[str], bool]:
        """The lines that have come, and whether more can."""
        lines: list[str] = []
        while True:
            try:
                data = self._end.recv(ROOM)
            except BlockingIOError:
                return lines, True
            except OSError:
                return lines, False
            if not data:
                return lines, False
            lines.append(data.decode())

    def close(self) -> None:
        self._end.close()


def pair() -> tuple[Post, Post]:
    """Two ends; what one says is one line at the other."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Post(one), Post(other)
