"""Addresses that inputs and the API listen on: free, or taken by the agent that runs."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from shipper.cli.checks.finding import Finding, ok, problem, warning
from shipper.component import Component
from shipper.config.walk import walk
from shipper.files.access import unwritable
from shipper.net.listen import HostPort, Listen
from shipper.net.tls import Tls

__all__ = ["addresses", "listening", "open_to_all"]


def addresses(component: Component) -> Iterator[HostPort]:
    """Every option that is an address to listen on."""
    return (value for _, value in walk(component) if isinstance(value, HostPort))


def listening(what: str, listen: HostPort, running: int | None) -> list[Finding]:
    """Listens on it for a moment, if it can. `running` is the process that holds the data folder."""
    if isinstance(listen, Listen) and listen.path:
        return [_file(what, listen, running)]
    if not listen.port:
        return [ok(what, f"{listen}: any port that is free")]
    datagrams = isinstance(listen, Listen) and not listen.stream
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=kind, flags=socket.AI_PASSIVE)
    except OSError as error:
        return [
            problem(what, f"{listen}: no address for this name: {error.strerror}", "write an address of this machine")
        ]
    for family, _, _, _, where in dict.fromkeys(found):
        with socket.socket(family, kind) as made:
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if not datagrams:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                made.bind(where)
                if not datagrams:
                    made.listen(0)  # two may be bound to one address, only one may listen
            except OSError as error:
                return [_taken(what, listen, error, running)]
    return [ok(what, f"{listen}: free")]


def _taken(what: str, listen: HostPort, error: OSError, running: int | None) -> Finding:
    if error.errno == errno.EADDRINUSE:
        if running:
            return ok(what, f"{listen}: in use, and the agent runs (process {running})")
        return problem(
            what,
            f"{listen}: in use by another process",
            f"see `ss -lptun 'sport = :{listen.port}'`, or take another port",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        fix = "AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a port of 1024 and above"
        return problem(what, f"{listen}: uid {os.geteuid()} may not listen there", fix)
    return problem(what, f"{listen}: {error.strerror}", "write an address of this machine")


def _file(what: str, listen: Listen, running: int | None) -> Finding:
    path = Path(listen.path)
    if why := unwritable(path.parent):
        return problem(what, f"{listen}: {why}", f"let uid {os.geteuid()} write to {path.parent}")
    if not os.path.lexists(path):
        return ok(what, f"{listen}: free")
    if not stat.S_ISSOCK(path.lstat().st_mode):
        return problem(what, f"{listen}: there is a file that is no socket", "remove it, or take another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if listen.stream else socket.SOCK_DGRAM) as peer:
        peer.settimeout(1)
        try:
            peer.connect(listen.path)
        except ConnectionRefusedError:
            return ok(what, f"{listen}: left over by a process that is gone, will be replaced")
        except OSError as error:
            return problem(what, f"{listen}: {error.strerror}", "see who uses it: `ss -lpx`")
    if running:
        return ok(what, f"{listen}: in use, and the agent runs (process {running})")
    return problem(what, f"{listen}: another process listens on it", "see who: `ss -lpx`")


def open_to_all(what: str, component: Component) -> list[Finding]:
    """Listeners beyond loopback whose senders nobody asks who they are, or that talk in the clear."""
    wide = [each for each in addresses(component) if not each.loopback]
    if not wide:
        return []
    shown = ", ".join(map(str, wide))
    tls = next((value for _, value in walk(component) if isinstance(value, Tls)), None)
    auth = getattr(component, "auth", None)
    if auth is not None and tls is None:
        return [warning(what, f"{shown}: passwords cross the network in the clear", "give it `tls`")]
    if auth is None and (tls is None or tls.ca is None):
        fix = "give it `tls` with `ca`, or `auth` where there is one; or let a firewall decide who reaches it"
        return [warning(what, f"{shown}: whoever reaches it may send", fix)]
    return []
