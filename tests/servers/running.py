"""Running a server for as long as a block lasts."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.servers.catalogue import SERVERS
from tests.servers.installing import install, program
from tests.servers.model import Problem, Server, Url

PATIENCE = 120.0  # seconds for a start, on a machine that does other things too


def named(name: str) -> Server:
    """The server of this name; a Problem that lists them all when there is none."""
    if name not in SERVERS:
        raise Problem(f"no server {name!r}; there are {', '.join(SERVERS)}")
    return SERVERS[name]


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports, free for TCP and UDP, below the range the kernel hands out."""
    for first in range(10000 + os.getpid() * 8 % 20000, 32000, 8):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            return first
    raise Problem("no free ports")


def _is_ready(ready: str, url: Url) -> bool:
    with contextlib.suppress(OSError):
        if ready.startswith("log:"):
            return ready[4:].encode() in (url.data / "server.log").read_bytes()
        if ready:
            urllib.request.urlopen(ready, timeout=5).close()
        else:
            socket.create_connection(("127.0.0.1", url.ports[0]), 5).close()
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    process.kill()
    process.wait()


@contextlib.contextmanager
def running(name: str, port: int | None = None, data: str | Path | None = None) -> Iterator[Url]:
    """Run a server until the block ends, installing it first if need be.

    Give the same `port` and `data` again to restart it with what it had.
    """
    server = named(name)
    home = install(server)
    first = port or free_ports(server.ports)
    ports = list(range(first, first + server.ports))
    with contextlib.ExitStack() as stack:
        folder = Path(data or stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-"))).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        fill = partial(str.format, home=home, data=folder, p=ports)  # fill(text) is text.format(...)
        url = Url(fill(server.url))
        url.ports, url.address, url.data, url.processes = ports, f"127.0.0.1:{first}", folder, []
        for file, text in server.files.items():
            (folder / file).write_text(fill(text))
        log = stack.enter_context((folder / "server.log").open("wb"))
        for command in server.run:
            words = [fill(word) for word in command.split()]
            words[0] = program(words[0]) or words[0]
            process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            stack.callback(_stop, process)
            url.processes.append(process)
        end = time.monotonic() + PATIENCE
        while not _is_ready(fill(server.ready), url):
            if any(process.poll() is not None for process in url.processes) or time.monotonic() > end:
                tail = (folder / "server.log").read_text(errors="replace")[-2000:]
                raise Problem(f"{name} did not become ready; its log ends:\n{tail}")
            time.sleep(0.05)
        yield url
