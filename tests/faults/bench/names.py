"""A name server of our own, and an agent that asks no other."""

from __future__ import annotations

import contextlib
import random
import shlex
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_A = 1


class Names:
    """`with Names(tmp_path) as names: Agent(..., under=names.words())`. Needs `@requires("root", "mount")`.

    `say` is what it answers to every question, at run time: addresses (IPv4, none: there are no such), `None`: it is
    dead and says nothing, `NXDOMAIN`. The words put a resolv.conf in the place of the machine's, for the agent only.
    """

    NXDOMAIN = "NXDOMAIN"

    def __init__(self, folder: Path, say: Sequence[str] | None = ()) -> None:
        self.say: Sequence[str] | None = say
        self.asked = 0
        self.host = f"127.53.{random.randrange(256)}.{random.randrange(1, 255)}"
        self._conf = folder / "resolv.conf"
        self._conf.write_text(f"nameserver {self.host}\n")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def words(self) -> list[str]:
        mount = f'mount --bind {shlex.quote(str(self._conf))} /etc/resolv.conf && exec "$@"'
        return ["unshare", "-m", "sh", "-c", mount, "sh"]

    def __enter__(self) -> Self:
        self._socket.bind((self.host, 53))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                data, peer = self._socket.recvfrom(512)
                self.asked += 1
                say = self.say
                if say is not None and data:
                    self._socket.sendto(_reply(data, say), peer)


def _reply(data: bytes, say: Sequence[str]) -> bytes:
    """RFC 1035: the question again, and an A record for each address; they may be kept for no time."""
    end = data.index(b"\0", 12) + 5
    (kind,) = struct.unpack("!H", data[end - 4 : end - 2])
    missing = say == Names.NXDOMAIN
    found = say if kind == _A and not missing else ()
    head = data[:2] + struct.pack("!HHHHH", 0x8183 if missing else 0x8180, 1, len(found), 0, 0)
    records = [b"\xc0\x0c" + struct.pack("!HHIH", _A, 1, 0, 4) + socket.inet_aton(each) for each in found]
    return head + data[12:end] + b"".join(records)
