"""Destinations: found, reached, trusted, and willing. Each step only when the one before it worked.

What is a destination an output's options say: each `Url` is one, with the output's `tls`; behind a `proxy` only that is
looked for from here. Nothing is sent but what `Output.probe` asks.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from shipper.cli.checks.certificates import SOON, days_left, distrust
from shipper.cli.checks.finding import PATIENCE, Finding, ok, problem, thread, warning, within
from shipper.cli.checks.logins import answered, refused
from shipper.clock import Clock
from shipper.component import Output, Scope
from shipper.config.walk import insecure, walk
from shipper.net.listen import HostPort
from shipper.net.probing import SKEW
from shipper.net.tls import Tls
from shipper.options import Url

__all__ = ["Destination", "destinations", "reach"]

DEFAULT = {"http": 80, "https": 443}
SKEWED, WRONG = 10.0, 600.0  # seconds: worth a word; so much that destinations refuse events
Address = tuple[str, int]
Lookup = Callable[[str, int], list[Address]]


@dataclass(frozen=True, slots=True)
class Destination:
    """A host and port as an option names it."""

    url: Url
    host: str
    port: int
    encrypted: bool


def destinations(output: Output) -> list[Destination]:
    """Those that are spoken to directly: of an output with a proxy, the proxy."""
    urls = {path: value for path, value in walk(output) if isinstance(value, Url)}
    proxy = urls.get("proxy")
    found = []
    for url in [proxy] if proxy else urls.values():
        parts = urlsplit(url.reveal())
        port = parts.port or DEFAULT.get(parts.scheme, 0)
        found.append(Destination(url, parts.hostname or "", port, parts.scheme == "https"))
    return found


def lookup(host: str, port: int) -> list[Address]:
    """Addresses of a name, as outputs ask for them: none of a family that this machine has no address of. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys((str(where[0]), int(where[1])) for *_, where in found))


async def reach(
    name: str, output: Output, clock: Clock, resolve: Lookup = lookup, patience: float = PATIENCE
) -> list[Finding]:
    """All that can be said of one output; none of its steps takes longer than `patience` seconds."""
    what = f"outputs.{name}"
    output.scope = Scope(name, clock=clock)
    output.scope.log = _silent()
    found: list[Finding] = [
        warning(
            what,
            f"{option} is on: anybody may be at the other end",
            f"give `tls.ca` the authority, and leave {option} out",
        )
        for option in insecure(output)
    ]
    fine = True
    direct = destinations(output)
    for each in direct:
        steps = await _steps(what, each, output, resolve, patience)
        fine = fine and all(step.level != "problem" for step in steps)
        found += steps
        if not each.encrypted and _has_secrets(each, output):
            found.append(warning(what, f"{each.url}: credentials cross the network in the clear", "use https://"))
    if fine and type(output).probe is not Output.probe:
        asked = f"{what}: login" if direct else what
        found += await within(asked, _login(asked, output), patience)
        if (skew := output.scope.gauges.get(SKEW)) is not None:
            found.append(_skew(what, skew, clock))
    return found


async def _steps(what: str, to: Destination, output: Output, resolve: Lookup, patience: float) -> list[Finding]:
    addresses: list[Address] = []

    async def dns() -> list[Finding]:
        try:
            addresses.extend(await thread(lambda: resolve(to.host, to.port)))
        except OSError as error:
            fix = f"correct the name, or see `getent hosts {to.host}` and /etc/resolv.conf"
            return [problem(f"{what}: DNS", f"no address for {to.host}: {(error.strerror or str(error)).lower()}", fix)]
        return [ok(f"{what}: DNS", f"{to.host} is {', '.join(dict.fromkeys(ip for ip, _ in addresses))}")]

    found = await within(f"{what}: DNS", dns(), patience)
    tries = (within(f"{what}: TCP", _connect(what, address), patience) for address in addresses)
    tried = [line for lines in await asyncio.gather(*tries) for line in lines]
    reached = [address for address, line in zip(addresses, tried, strict=True) if line.level == "ok"]
    if reached:  # an output goes on to the next address
        tried = [replace(line, level="warning") if line.level == "problem" else line for line in tried]
    found += tried
    if to.encrypted and reached:
        tls = next((value for _, value in walk(output) if isinstance(value, Tls)), None) or Tls()
        found += await within(f"{what}: TLS", _greet(what, to, reached[0], tls, output.scope.clock), patience)
    return found


async def _connect(what: str, address: Address) -> list[Finding]:
    ip, port = address
    where = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    try:
        _, writer = await asyncio.open_connection(ip, port)
    except ConnectionRefusedError:
        fix = "start what should listen there, or correct host and port"
        return [problem(f"{what}: TCP", f"{where} refuses connections", fix)]
    except OSError as error:
        return [
            problem(
                f"{what}: TCP", f"{where}: {(error.strerror or str(error)).lower()}", "look at routes and firewalls"
            )
        ]
    await _close(writer)
    return [ok(f"{what}: TCP", f"{where} can be reached")]


async def _greet(what: str, to: Destination, address: Address, tls: Tls, clock: Clock) -> list[Finding]:
    what = f"{what}: TLS"
    name = tls.server_name or to.host
    try:
        context = tls.client()
        _, writer = await asyncio.open_connection(
            *address, ssl=context, server_hostname=name, ssl_handshake_timeout=PATIENCE
        )
    except ssl.SSLCertVerificationError as error:
        found, fix = distrust(error, name, clock.time())
        return [problem(what, f"{to.url}: {found}", fix)]
    except ssl.SSLError as error:
        fix = "use http:// if it speaks no TLS; else look whether it speaks 1.2 or newer, and asks for a certificate"
        return [problem(what, f"{to.url}: no TLS: {error.reason or 'the connection broke'}", fix)]
    except (ConnectionError, EOFError) as error:
        return [
            problem(what, f"{to.url}: broke off: {type(error).__name__}", "look at its log; perhaps it speaks no TLS")
        ]
    inside: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate, version = inside.getpeercert(), inside.version()
    await _close(writer)
    if not certificate:  # not verified, so not even read
        return [ok(what, f"{to.url}: {version}, whoever it is")]
    until, left = days_left(certificate, clock.time())
    if left < SOON:
        return [warning(what, f"{to.url}: the certificate ends in {left} days, on {until}", "renew it")]
    return [ok(what, f"{to.url}: {version}, trusted as {name}, until {until}")]


async def _login(what: str, output: Output) -> list[Finding]:
    try:
        said = await output.probe()
    except Exception as error:  # a bug of the output too: `refused` says which it is
        return [refused(what, error)]
    return [answered(what, said)]


def _skew(what: str, seconds: float, clock: Clock) -> Finding:
    side = "ahead of" if seconds > 0 else "behind"
    found = f"its clock is {abs(seconds):.0f}s {side} ours"
    if abs(seconds) <= SKEWED:
        return ok(f"{what}: clock", found)
    fix = f"set both by NTP; ours says {datetime.fromtimestamp(clock.time(), UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (problem if abs(seconds) > WRONG else warning)(f"{what}: clock", found, fix)


def _has_secrets(to: Destination, output: Output) -> bool:
    """Whether it is told something that only it should hear, where others may listen."""
    try:
        near = HostPort(f"[{to.host}]:1" if ":" in to.host else f"{to.host}:1").loopback
    except ValueError:
        near = False
    told = getattr(output, "auth", None) is not None or "@" in urlsplit(to.url.reveal()).netloc
    return told and not near


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # ssl.SSLError too: how it ends is of no interest
        await writer.wait_closed()


def _silent() -> logging.Logger:
    """What outputs log while they are asked is said by the report."""
    log = logging.getLogger("shipper.doctor")
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return log
