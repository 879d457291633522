"""`shipper dlq`: what was set aside, and what becomes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import click

from shipper.cli.common import Tidy, config_option, configuration, fail, mishap, printable, readable
from shipper.cli.main import example
from shipper.config.model import Config
from shipper.delivery.shelf import Shelf
from shipper.delivery.survey import Accepts, Summary, components, discard, letters, survey
from shipper.errors import ShipperError
from shipper.text.conditions import Condition
from shipper.workers.folders import data_dirs

F = TypeVar("F", bound=Callable[..., Any])
REASONS = 10


def condition(ctx: click.Context, param: click.Parameter, text: str | None) -> Accepts | None:
    """A condition over a letter; names that are none of its own mean fields of its event."""
    if text is None:
        return None
    try:
        where = Condition(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return lambda letter: where(letter, letter["event"])


def where_option(function: F) -> F:
    return click.option(
        "--where", metavar="CONDITION", callback=condition,
        help="Only letters that meet it: time, component, reason, status, attempts, pipeline, event.FIELD, or FIELD.",
    )(function)  # fmt: skip


@click.group("dlq", cls=Tidy, epilog=example("shipper dlq ls"))
def command() -> None:
    """Dead letters: events that no destination takes or that a filter set aside."""


@command.command("ls", epilog=example("shipper dlq ls --json"))
@config_option
@click.argument("component", required=False)
@where_option
@click.option("--json", "as_json", is_flag=True, help="As a JSON list on stdout.")
def ls(paths: Sequence[Path], component: str | None, where: Accepts | None, as_json: bool) -> None:
    """Say how many there are of each component, since when, and why."""
    config = configuration(paths)
    shelves = shelves_of(config)
    found = [together(survey(shelf, each, where) for shelf in shelves) for each in chosen(config, shelves, component)]
    if as_json:
        click.echo(json.dumps([vars(summary) for summary in found], indent=2))
        return
    for summary in found:
        describe(summary)


def describe(summary: Summary) -> None:
    since = f", from {summary.oldest} to {summary.newest}" if summary.count else ""
    click.echo(printable(f"{summary.component}: {count(summary.count)}, {readable(summary.bytes)}{since}"))
    for reason, events in summary.reasons.most_common(REASONS):
        click.echo(printable(f"  {events:>9}  {reason}"))
    if len(summary.reasons) > REASONS:
        click.echo(f"             and {len(summary.reasons) - REASONS} other reasons")
    if summary.damaged:
        click.echo(f"  {summary.damaged:>9}  damaged, such as half a line that a crash left: they are skipped")


@command.command("show", epilog=example("shipper dlq show search --where 'status == 400' --limit 5"))
@config_option
@click.argument("component", required=False)
@where_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many, the oldest first.")
def show(paths: Sequence[Path], component: str | None, where: Accepts | None, limit: int | None) -> None:
    """Write the letters to stdout as they are, one JSON object a line."""
    config = configuration(paths)
    shelves = shelves_of(config)
    left = limit if limit is not None else sys.maxsize
    damaged = 0
    names = chosen(config, shelves, component)
    for _, found in chain.from_iterable(letters(shelf, each) for each in names for shelf in shelves):
        if found.letter is None:
            damaged += 1
        elif where is None or where(found.letter):
            click.echo(found.line)
            left -= 1
        if not left:
            break
    if damaged:
        click.echo(f"{damaged} damaged lines were skipped", err=True)


@command.command("drop", epilog=example("shipper dlq drop search --where 'status == 400' --yes"))
@config_option
@click.argument("component", required=False)
@where_option
@click.option("--yes", is_flag=True, help="Really do it.")
def drop(paths: Sequence[Path], component: str | None, where: Accepts | None, yes: bool) -> None:
    """Throw letters away for good. Without --yes it only says how many that would be, and exits with 1.

    An agent may be running meanwhile.
    """
    config = configuration(paths)
    shelves = shelves_of(config)
    names = chosen(config, shelves, component)
    if names and not yes:
        for each in names:
            found = sum(survey(shelf, each, where).count for shelf in shelves)
            click.echo(f"{each}: this would drop {count(found)} for good", err=True)
        fail("nothing was dropped: add --yes to do it")
    with alone(shelves if names else []):
        for each in names:
            click.echo(f"{each}: {count(sum(discard(shelf, each, where) for shelf in shelves))} dropped", err=True)


@command.command("replay", epilog=example("shipper dlq replay search --where 'status == 400'"))
@config_option
@click.argument("component", required=False)
@where_option
@click.option("--through", metavar="PIPELINE", help="Send them through the whole of this pipeline.")
def replay(paths: Sequence[Path], component: str | None, where: Accepts | None, through: str | None) -> None:
    """Send letters again; each leaves its file once it is delivered, or safe in the buffer of its output.

    What an output refused goes straight to that output; what a filter could not treat goes on at that filter. What is
    refused again is kept again. Runs while no agent uses the data folder, and can be interrupted at any time.
    """
    from shipper.cli.replaying import send_again
    from shipper.cli.run import log_as
    from shipper.pipeline.runner import Locked

    config = configuration(paths)
    shelves = shelves_of(config)
    log_as(config, debug=False)
    names = chosen(config, shelves, component)
    complete = True
    with alone(shelves if names else []):
        for each, shelf in [(each, shelf) for each in names for shelf in shelves if each in components(shelf)]:
            try:
                done = send_again(config, shelf, each, where, through)
            except Locked as error:
                fail(f"{error}: stop the agent, replay, and start it again; it goes on where it was")
            except ShipperError as error:
                mishap(str(error))
                complete = False
                continue
            again = f", {done.again} events of them set aside again" if done.again else ""
            left = f", {done.left} left" if done.left else ""
            click.echo(f"{each}: {count(done.sent)} sent again{again}{left}", err=True)
            complete &= not done.left
            if done.stopped:
                break
    sys.exit(0 if complete else 1)


def shelves_of(config: Config) -> list[Shelf]:
    """Of every worker that has letters, the first one's in any case."""
    first, *others = [Shelf(folder / "dead_letters") for folder in data_dirs(Path(config.data_dir))]
    return [first, *(shelf for shelf in others if components(shelf))]


@contextmanager
def alone(shelves: Sequence[Shelf]) -> Iterator[None]:
    """Nobody else rewrites any of them."""
    with ExitStack() as stack:
        for shelf in shelves:
            stack.enter_context(shelf.alone())
        yield


def together(found: Iterable[Summary]) -> Summary:
    """What several workers have set aside of one component."""
    whole, *others = found
    for each in others:
        whole.files += each.files
        whole.bytes += each.bytes
        whole.count += each.count
        whole.damaged += each.damaged
        whole.reasons.update(each.reasons)
        whole.oldest = min(filter(None, (whole.oldest, each.oldest)), default=None)
        whole.newest = max(filter(None, (whole.newest, each.newest)), default=None)
    return whole


def chosen(config: Config, shelves: Sequence[Shelf], component: str | None) -> list[str]:
    """Those of the components that are meant which have letters; a name that nobody has is an error."""
    known = sorted({each for shelf in shelves for each in components(shelf)})
    if not known:
        click.echo(f"no dead letters in {shelves[0].folder}", err=True)
    if component is None or component in known:
        return [component] if component else known
    if component not in {*config.outputs, *config.filters}:
        fail(f"nothing is called {component!r}" + (f"; there are dead letters of {', '.join(known)}" if known else ""))
    if known:
        click.echo(f"{component} has no dead letters", err=True)
    return []


def count(events: int) -> str:
    return f"{events} dead letter{'s' * (events != 1)}"
