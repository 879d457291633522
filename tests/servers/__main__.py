"""The command line: list, install and start the servers that the integration tests use."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.servers.catalogue import SERVERS
from tests.servers.installing import install, installed
from tests.servers.model import Problem
from tests.servers.running import named, running


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is, and what is installed")
    installing = commands.add_parser("install", help="install servers; what is there already is left alone")
    installing.add_argument("names", nargs="+", metavar="NAME")
    starting = commands.add_parser("start", help="run a server until SIGTERM or Ctrl-C; prints its address")
    starting.add_argument("name", metavar="NAME")
    starting.add_argument("--port", type=int, help="its first port; the others follow")
    starting.add_argument("--data", help="its data folder, kept; a temporary one otherwise")
    args = parser.parse_args()
    if args.command == "list":
        for server in SERVERS.values():
            print(f"{server.name:12} {server.version:8} {'installed' * installed(server):10} {server.proves}")
    elif args.command == "install":
        for server in [named(name) for name in args.names]:
            print(install(server), flush=True)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with running(args.name, args.port, args.data) as url:
            print(url, flush=True)
            url.processes[-1].wait()
            raise Problem(f"{args.name} ended by itself; see {url.data}/server.log")


if __name__ == "__main__":
    try:
        main()
    except (Problem, KeyboardInterrupt) as problem:
        sys.exit(f"servers: {problem}")
