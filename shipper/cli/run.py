"""`shipper run`: the pipelines, until stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from shipper.cli.common import complain, config_option, configuration, printable, set_up_logging
from shipper.cli.main import example
from shipper.cli.tuning import allow_files, freeze, keep_heap
from shipper.component import Input
from shipper.config.load import load
from shipper.config.model import Config
from shipper.errors import Problem
from shipper.pipeline.observe import log
from shipper.pipeline.runner import Locked, Runner
from shipper.pipeline.topology import OpenError


@click.command("run", epilog=example("shipper run -c shipper.yaml"))
@config_option
@click.option("--once", is_flag=True, help="Read what is there now, open no listeners, and end.")
@click.option("--debug", is_flag=True, help="Log more, and show tracebacks.")
def command(paths: Sequence[Path], once: bool, debug: bool) -> None:
    """Run the pipelines until stopped.

    Ends by itself when every input has ended and everything is delivered. SIGTERM and Ctrl-C drain and end,
    said twice they end at once; SIGHUP reads the configuration again.
    """
    # what is made, folders on the way too, is not the world's, nor the group's to change
    os.umask(os.umask(0o077) | 0o027)
    config = configuration(paths)
    log_as(config, debug)
    if once:
        leave_out_listeners(config)
    keep_heap()
    allow_files()
    try:
        there_were = os.path.isdir(Path(config.data_dir) / "workers")  # noqa: PTH112 (raises nothing)
        several = config.workers > 1 or there_were
        status = run_several(config, paths, once, debug) if several else None
        if status is None:
            status = loop_runner(lambda: serve(config, paths, once, debug))
    except (OpenError, Locked) as error:
        if debug:
            raise
        click.echo(f"{click.style('error', fg='red')}: {printable(str(error))}", err=True)
        status = 1
    except KeyboardInterrupt:
        status = 1
    sys.exit(status)


def run_several(config: Config, paths: Sequence[Path], once: bool, debug: bool) -> int | None:
    """Several processes; None when one is enough, as it always is where there were never more."""
    from shipper.workers.starting import start

    return start(config, lambda: load(paths), once, debug)


def log_as(config: Config, debug: bool, worker: int | None = None) -> None:
    options = config.settings.log
    set_up_logging("debug" if debug else options.level, options.format, worker)


def loop_runner(work: Any) -> int:
    """Run a coroutine on uvloop where there is one."""
    try:
        import uvloop

        factory: Any = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        status: int = runner.run(work())
        return status


def leave_out_listeners(config: Config) -> None:
    """`--once` reads what is there now: inputs that wait for others to connect are left out."""
    listening = [name for name, spec in config.inputs.items() if issubclass(spec.cls, Input) and spec.cls.listens]
    for name in listening:
        del config.inputs[name]
    for pipe in config.pipelines.values():
        pipe.inputs = [name for name in pipe.inputs if name not in listening]
    if not config.inputs:
        complain([Problem("--once reads what is there now, and all inputs only listen", str(config.files[0]))])


async def serve(config: Config, paths: Sequence[Path], once: bool, debug: bool) -> int:
    """Everything that runs; the exit status."""
    from shipper.cli.notify import notify, watchdog

    def stop() -> None:
        notify("STOPPING=1")
        runner.stop()

    runner = Runner(config, once=once, reload=None if once else lambda: load(paths))
    runner.on_reload.append(lambda config: log_as(config, debug))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, runner.hangup)
    api = None
    options = config.settings.api
    if options is not None and options.listen is not None and not once:
        from shipper.api.app import Api

        api = Api(options, runner, Path(config.data_dir))
        runner.on_reload.append(api.changed)
        try:
            runner.lock()
            await api.start()
        except OSError as error:
            raise OpenError(f"api.listen {options.listen}: cannot be opened: {error.strerror or error}") from error

    ready = loop.create_task(announce(runner, once))
    beat = loop.create_task(watchdog())
    try:
        return await runner.run()
    finally:
        notify("STOPPING=1")
        for task in (ready, beat):
            task.cancel()
        await asyncio.gather(ready, beat, return_exceptions=True)
        if api is not None:
            await api.stop()


def describe(runner: Runner, pipelines: bool = True) -> None:
    """A few lines on what it is doing and where to look."""
    for name, source in runner.topology.sources.items():
        address = source.input.scope.address
        log.info("input %s (%s)%s", name, source.spec.type_name, f" on {address}" if address else "")
    for pipe in runner.config.pipelines.values() if pipelines else ():
        outputs = ", ".join(
            f"{route.output} when {route.when}" if route.when else route.output for route in pipe.outputs
        )
        log.info(
            "pipeline %s: %s -> %s -> %s",
            pipe.name,
            ", ".join(pipe.inputs),
            ", ".join(pipe.filters) or "as it is",
            outputs,
        )
    log.info("positions and dead letters in %s", runner.config.data_dir)


async def announce(runner: Runner, once: bool) -> None:
    """What it is doing; then, with --once on a terminal, how far it is."""
    from shipper.cli.notify import notify

    await runner.opened.wait()
    describe(runner)
    freeze()
    notify("READY=1")
    if once and sys.stderr.isatty():
        await progress(runner)


async def progress(runner: Runner) -> None:
    while True:
        await asyncio.sleep(0.25)
        came = sum(source.feed.flow.events for source in runner.topology.sources.values())
        left = runner.topology.in_flight
        click.echo(f"\r{came:,} events read, {left:,} on their way ", err=True, nl=False)
