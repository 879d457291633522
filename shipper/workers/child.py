"""What all forked processes have in common: whom they listen to, and how they end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn

from shipper.workers.post import Post

OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GONE = ""
"""What is heard when the supervisor is gone."""


def become(work: Callable[[], int]) -> NoReturn:
    """Right after the fork, with `OURS` blocked: do the work, and end with its status.

    A terminal and systemd send their signals to every process of a service, and the supervisor passes on what it got:
    heard twice, a stop would be one without draining. So only the supervisor is listened to.
    """
    status = 1
    try:
        for number in OURS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            os.environ.pop(name, None)
        gc.enable()
        status = work()
    except BaseException:  # whatever it is, the child must not go on as if it were the supervisor
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def listen(post: Post, commands: Mapping[str, Callable[[], None]], say: Callable[[str], None] | None = None) -> None:
    """Do what the supervisor says, on the running loop; `commands[GONE]` when it is no longer there.

    `say` gets every other line.
    """
    loop = asyncio.get_running_loop()

    def heard() -> None:
        lines, is_open = post.hear()
        if not is_open:
            loop.remove_reader(post.fileno())
            lines.append(GONE)
        for line in lines:
            if line in commands:
                commands[line]()
            elif say is not None:
                say(line)

    loop.add_reader(post.fileno(), heard)
