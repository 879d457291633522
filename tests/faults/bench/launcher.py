"""The small process that `commands.py` talks to: JSON requests on stdin, JSON answers on stdout.

A process begins its life with the peak of memory of the one that forked it; this one is small, so what a command used
is what the kernel says of it. With `--warm` it has imported the product, and forks a command in milliseconds.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from typing import Any

TURN = 0.002  # seconds


def warm_up() -> None:
    """All modules of the product."""
    import shipper

    for each in pkgutil.walk_packages(shipper.__path__, "shipper."):
        if "testing" not in each.name and not each.name.endswith("__main__"):
            importlib.import_module(each.name)


def run(asked: dict[str, Any], warm: bool) -> dict[str, Any]:
    """One command until it ends, until the file `started` is there, or until its time is over."""
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        _child(asked, warm)
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        started = bool(asked["started"]) and os.path.exists(asked["started"])
        late = time.monotonic() - began > asked["limit"]
        if not ended and (started or late):
            os.kill(pid, signal.SIGKILL)
            ended, status, usage = os.wait4(pid, 0)
        if ended:
            break
        time.sleep(TURN)
    code = os.waitstatus_to_exitcode(status)
    return {
        "status": code, "started": started and code == -signal.SIGKILL, "late": late and code == -signal.SIGKILL,
        "seconds": time.monotonic() - began, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024,
    }  # fmt: skip


def _child(asked: dict[str, Any], warm: bool) -> None:
    code = 1
    try:
        os.chdir(asked["folder"])
        os.environ.update(asked["env"])
        for number, name in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
            opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        if not warm:
            os.execv(sys.executable, [sys.executable, "-m", "shipper", *asked["args"]])
        from shipper.cli.main import main

        sys.argv = ["shipper", *asked["args"]]
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    given = "--warm" in sys.argv
    if given:
        warm_up()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), given)), flush=True)
