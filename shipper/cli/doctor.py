"""`shipper doctor`: what of the machine and of the destinations stands in the way of a configuration, and the fix."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from shipper.cli.checks import folder, machine
from shipper.cli.checks.certificates import own
from shipper.cli.checks.finding import PATIENCE, Finding, thread, within
from shipper.cli.checks.listening import addresses, listening, open_to_all
from shipper.cli.checks.reaching import destinations, reach
from shipper.cli.checks.reading import Matched, inotify, matched
from shipper.cli.common import config_option, configuration, printable
from shipper.cli.main import example
from shipper.clock import Clock
from shipper.component import Component, Input, Output
from shipper.config.model import Config
from shipper.config.walk import walk
from shipper.files.survey import holder
from shipper.net.listen import HostPort
from shipper.net.tls import Tls

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
ALL = 4 * PATIENCE  # seconds for an output: name, connection, TLS and login come one after another
Check = Coroutine[Any, Any, list[Finding]]


@click.command("doctor", epilog=example("shipper doctor -c shipper.yaml"))
@config_option
@click.option("--json", "as_json", is_flag=True, help="Findings as a JSON list on stdout.")
def command(paths: Sequence[Path], as_json: bool) -> None:
    """Look for what stands in the way, and say the fix.

    Permissions, limits, disk, clock, ports, and of each output its name, reachability, certificate and login.
    Run it as the user that runs shipper. It writes nothing anywhere, and asks only the hosts that the
    configuration names. Exits with 0 when there is no problem (warnings are none), with 1 when there is one,
    with 2 when the configuration is wrong.
    """
    config = configuration(paths)
    findings = asyncio.run(examine(config))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        for each in findings:
            text = printable(str(each)).replace("\n", "\\n")
            click.echo(click.style(text[:8], fg=COLOURS[each.level]) + text[8:])
    sys.exit(any(each.level == "problem" for each in findings))


async def examine(config: Config, clock: Clock | None = None) -> list[Finding]:
    """All findings, in the order of the world: machine, folders, inputs, listeners, outputs."""
    clock = clock or Clock()
    data_dir = Path(config.data_dir)
    inputs: dict[str, Input] = {name: spec.make() for name, spec in config.inputs.items()}
    outputs: dict[str, Output] = {name: spec.make() for name, spec in config.outputs.items()}
    pid = holder(data_dir / "lock")
    seen: list[Matched] = []

    async def reading(name: str, component: Input) -> list[Finding]:
        found = await thread(partial(matched, name, component, data_dir, clock))
        if found is None:
            return []
        seen.append(found)
        return found.findings

    findings = machine.clock(clock)
    findings += await _all(
        [
            within("configuration", thread(partial(folder.sources, config))),
            within("data_dir", thread(partial(folder.data_dir, data_dir))),
            within("disk", thread(partial(machine.disk, config))),
            within("workers", thread(partial(machine.cores, config))),
            *(within(f"inputs.{name}", reading(name, each)) for name, each in inputs.items()),
        ]
    )
    if seen:
        findings += await within("inotify", thread(partial(inotify, [each.bases for each in seen])))
    peers = sum(getattr(each, "max_connections", 0) for each in inputs.values())
    requests = sum(spec.delivery.concurrency for name, spec in config.outputs.items() if destinations(outputs[name]))
    findings += machine.open_files(sum(each.files for each in seen), peers + requests)
    named: list[tuple[str, Component]] = [(f"inputs.{name}", each) for name, each in inputs.items()]
    named += [(f"outputs.{name}", each) for name, each in outputs.items()]
    return findings + await _all(
        [
            *_listeners(config, inputs, pid),
            *(_own(name, each, clock) for name, each in named),
            *(within(f"outputs.{name}", reach(name, each, clock), ALL) for name, each in outputs.items()),
        ]
    )


async def _all(checks: Sequence[Check]) -> list[Finding]:
    return [line for lines in await asyncio.gather(*checks) for line in lines]


def _listeners(config: Config, inputs: dict[str, Input], pid: int | None) -> list[Check]:
    found: list[tuple[str, HostPort]] = [
        (f"inputs.{name}", address) for name, component in inputs.items() for address in addresses(component)
    ]
    if config.settings.api is not None and config.settings.api.listen is not None:
        found.append(("api.listen", HostPort(config.settings.api.listen)))
    ports = [within(what, thread(partial(listening, what, address, pid))) for what, address in found]
    peers = [(f"inputs.{name}", component) for name, component in inputs.items()]
    return ports + [within(what, thread(partial(open_to_all, what, component))) for what, component in peers]


async def _own(name: str, component: Component, clock: Clock) -> list[Finding]:
    """The certificates that a component shows to others."""
    what = f"{name}: certificate"
    shown = [value for _, value in walk(component) if isinstance(value, Tls) and value.cert is not None]
    return await _all([within(what, thread(partial(own, what, tls, clock.time()))) for tls in shown])
