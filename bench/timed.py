"""Run one command and say what the kernel counted for it; kept so small that it does not show in the figures.

    python -I -S bench/timed.py RESULT COMMAND...

A child's peak memory is never less than that of the process which spawned it, so the runner, which is larger, may not
do this itself. SIGTERM is passed on. RESULT becomes JSON: cpu (user + system, seconds), rss (peak, bytes), wall
(seconds) and status (exit status, negative for a signal), of the command and the children it waited for.
"""

import os
import signal
import sys
import time

result, command = sys.argv[1], sys.argv[2:]
began = time.monotonic()
child = os.posix_spawnp(command[0], command, os.environ)
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
_, status, usage = os.wait4(child, 0)
wall = time.monotonic() - began
cpu = usage.ru_utime + usage.ru_stime
rss = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
with open(result, "w") as file:
    file.write(f'{{"cpu": {cpu}, "rss": {rss}, "wall": {wall}, "status": {os.waitstatus_to_exitcode(status)}}}')
