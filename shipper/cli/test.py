"""`shipper test`: the configuration's own tests."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shipper.batch import Batch, Event, merged
from shipper.cli.common import config_option, configuration, printable, set_up_logging
from shipper.cli.main import example
from shipper.component import Filter, Scope
from shipper.config.model import Config, TestOptions
from shipper.pipeline.observe import PipelineFlow
from shipper.pipeline.step import Step
from shipper.pipeline.topology import OpenError, opened


@click.command("test", epilog=example("shipper test -c shipper.yaml"))
@config_option
@click.option("--json", "as_json", is_flag=True, help="Results as a JSON list on stdout.")
def command(paths: Sequence[Path], as_json: bool) -> None:
    """Run the tests in the configuration: what goes into a pipeline, and what must come out of its filters."""
    config = configuration(paths)
    set_up_logging("error", "text")
    results = asyncio.run(run_all(config))
    failed = [result for result in results if result["problems"]]
    if as_json:
        click.echo(json.dumps(results, indent=2))
    else:
        for result in results:
            word = click.style("failed", fg="red") if result["problems"] else click.style("passed", fg="green")
            click.echo(f"{word}  {printable(result['name'])}")
            for problem in result["problems"]:
                click.echo(f"        {printable(problem)}")
        click.echo(f"{len(results) - len(failed)} passed, {len(failed)} failed", err=True)
    sys.exit(1 if failed else 0)


async def run_all(config: Config) -> list[dict[str, Any]]:
    results = []
    for test in config.tests:
        try:
            problems = compare(test, await outcome(config, test))
        except OpenError as error:
            problems = [str(error)]
        results.append({"name": test.name, "problems": problems})
    return results


async def outcome(config: Config, test: TestOptions) -> list[Event]:
    """What comes out of a pipeline's filters for a test's input; each test gets fresh filters."""
    pipe = config.pipelines[str(test.pipeline)]
    events = [dict(each) if isinstance(each, dict) else {"message": str(each)} for each in test.input]
    batch = Batch(events)
    for name in pipe.filters:
        component: Filter = config.filters[name].make()
        component.scope = Scope(name)
        await opened(component, config.filters[name])
        try:
            batch = Step(name, component, PipelineFlow(pipe.name))(batch, [])
        finally:
            await component.close()
        if not batch:
            return []
    return [merged(event, batch.attrs) for event in batch.events]


def compare(test: TestOptions, events: list[Event]) -> list[str]:
    """What differs from what was expected, in words."""
    problems = []
    if len(events) != len(test.expect):
        problems.append(f"expected {len(test.expect)} events, {len(events)} came out: {shown(events)}")
    for index, (wanted, event) in enumerate(zip(test.expect, events, strict=False), 1):
        for key, value in wanted.items():
            if key not in event:
                problems.append(
                    f"event {index}: expected {key}: {shown(value)}, the event has no {key}: {shown(event)}"
                )
            elif event[key] != value:
                problems.append(f"event {index}: expected {key}: {shown(value)}, found {shown(event[key])}")
        if test.exact and (more := sorted(set(event) - set(wanted))):
            problems.append(f"event {index}: expected nothing more, found {', '.join(more)}")
    return problems


def shown(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
