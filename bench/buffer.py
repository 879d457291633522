"""What the disk buffer costs: `python -m bench.buffer [--lines N] [--runs N]`.

The same lines to the same HTTP server three ways, in turn: without a buffer, with one that is never needed, and with the
server away until everything is on disk. Processor seconds of the agent, start-up included in all three.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

LINE = '{{"id":{n},"level":"info","service":"checkout","path":"/api/v1/items/{m}","msg":"request finished in some milliseconds","status":200,"ms":{k}}}\n'
SERVER = """
import asyncio, sys
from bench.sink import Sink, Tally
async def main():
    tally = Tally()
    server = await asyncio.get_running_loop().create_server(lambda: Sink(tally), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""
CONFIG = """
data_dir: ./data
api: {{listen: 127.0.0.1:0}}
inputs: {{app: {{type: file, include: [./in.log], follow: false, codec: json}}}}
outputs: {{out: {{type: http, url: "http://127.0.0.1:{port}/", delivery: {{retry: {{max: 1s}}, buffer: {{disk: {disk}}}}}}}}}
"""
ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def served(port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], cwd=ROOT)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def spooled(folder: Path, lines: int) -> bool:
    """Whether everything is safe while the server is away."""
    try:
        address = (folder / "data" / "api").read_text().strip()
        with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:
            page = answer.read().decode()
    except (OSError, ValueError):
        return False
    values = {
        series: float(value)
        for series, _, value in (row.rpartition(" ") for row in page.splitlines() if row[:1] != "#")
    }
    there = values.get('shipper_buffer_events{output="out"}', 0) + values.get(
        'shipper_in_flight_events{output="out"}', 0
    )
    return there >= lines and not values.get('shipper_in_flight_events{pipeline="main"}', 1)


def seconds(folder: Path, lines: int, disk: str, away: bool) -> float:
    """Processor seconds of one run."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    (folder / "shipper.yaml").write_text(CONFIG.format(port=port, disk=disk))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    argv = [sys.executable, "-m", "shipper", "run"]
    with contextlib.ExitStack() as stack:
        if not away:
            stack.enter_context(served(port))
        agent = subprocess.Popen(argv, cwd=folder, env=env, stderr=subprocess.DEVNULL)
        if away:
            while not spooled(folder, lines):
                if agent.poll() is not None:
                    raise SystemExit(f"the agent ended with {agent.returncode}")
                time.sleep(0.5)
            stack.enter_context(served(port))
        _, status, usage = os.wait4(agent.pid, 0)
        agent.returncode = os.waitstatus_to_exitcode(status)
    if agent.returncode:
        raise SystemExit(f"the agent ended with {agent.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.buffer", description="What the disk buffer costs.")
    parser.add_argument("--lines", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "shipper-bench" / "buffer")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with (asked.folder / "in.log").open("w") as file:
        file.writelines(LINE.format(n=n, m=n % 1000, k=n % 97) for n in range(asked.lines))
    kept, behind = [], []
    for run in range(asked.runs):
        ways = {"none": ("0", False), "unused": ("4GiB", False), "behind": ("4GiB", True)}
        names = list(ways) if run % 2 == 0 else list(ways)[::-1]
        found = {name: seconds(asked.folder, asked.lines, *ways[name]) for name in names}
        kept.append(found["unused"] / found["none"])
        behind.append((found["behind"] - found["none"]) / asked.lines * 1e6)
        print(
            *(f"{name} {value:.2f} s" for name, value in sorted(found.items())),
            f"ratio {kept[-1]:.3f}",
            f"behind {behind[-1]:+.2f} us/event",
        )
    print(
        f"median: while it keeps up {statistics.median(kept) - 1:+.1%}; when it does not {statistics.median(behind):+.2f} us an event"
    )
    shutil.rmtree(asked.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
