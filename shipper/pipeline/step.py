"""One filter in a chain: for whom it works, and what becomes of events it cannot treat."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, groupby
from time import monotonic
from typing import cast

from shipper.batch import Attrs, Batch, Event, merged
from shipper.component import Filter
from shipper.pipeline.observe import PipelineFlow, log, once_in
from shipper.pipeline.stall import LONG
from shipper.text.patterns import TooSlow

ERROR = "shipper_error"


class Step:
    """A filter as the chain runs it. `dead` collects what goes to the dead letters."""

    def __init__(self, name: str, component: Filter, flow: PipelineFlow) -> None:
        self.name = name
        self.filter = component
        self.flow = flow
        # keep and drop decide by their own condition; all others see only the events that meet it
        self.when = None if getattr(component, "decides", False) else component.when
        self._may_trace = once_in(30)

    def __call__(self, batch: Batch, dead: list[tuple[str, Event, str]]) -> Batch:
        if self.when is None:
            return self._counted(batch, dead)
        try:
            verdict: bool | Sequence[bool | str] = self.when.select(batch)
        except TooSlow:
            verdict = self.when.one_by_one(batch)
        if verdict is True:
            return self._counted(batch, dead)
        if verdict is False:
            return batch
        if self.filter.one_each and not any(isinstance(each, str) for each in verdict):
            return self._together(batch, cast(Sequence[bool], verdict), dead)
        return self._by_runs(batch, verdict, dead)

    def _together(self, batch: Batch, verdicts: Sequence[bool], dead: list[tuple[str, Event, str]]) -> Batch:
        """What `_by_runs` makes of them, by a filter that gives one event for each: a batch, not a batch for each run."""
        events = batch.events
        places = list(compress(range(len(events)), verdicts))
        others = [place for place, verdict in enumerate(verdicts) if not verdict]
        part = self._run(batch.with_events([events[place] for place in places]))
        if faults := self.filter.faults():
            if self.filter.on_error != "pass":
                gone = {id(event) for event, _ in faults}
                places = [place for place, event in zip(places, part.events, strict=True) if id(event) not in gone]
            part = self._settle(part, faults, dead)
        whole = joined(batch, [part, batch.with_events([events[place] for place in others])])
        made: dict[int, Event] = dict(zip(places + others, whole.events, strict=True))
        whole.events = [made[place] for place in sorted(made)]
        return whole

    def _by_runs(self, batch: Batch, verdicts: Sequence[bool | str], dead: list[tuple[str, Event, str]]) -> Batch:
        """Runs of equal verdict, so that order is kept. Text says why an event could not be judged: `on_error` decides."""
        parts: list[Batch] = []
        events, begin = batch.events, 0
        for verdict, run in groupby(verdicts):
            end = begin + sum(1 for _ in run)
            part = batch.with_events(events[begin:end])
            if isinstance(verdict, str):
                self.filter.scope.count("regex_timeouts", len(part))
                part = self._settle(part, [(event, f"when: {verdict}") for event in part.events], dead)
            elif verdict:
                part = self._counted(part, dead)
            parts.append(part)
            begin = end
        return joined(batch, parts)

    def _counted(self, batch: Batch, dead: list[tuple[str, Event, str]]) -> Batch:
        result = self._run(batch)
        if faults := self.filter.faults():
            result = self._settle(result, faults, dead)
        return result

    def _run(self, batch: Batch) -> Batch:
        before = len(batch)
        flow = self.flow
        flow.filtered[self.name] += before
        began = monotonic()
        result = self._apply(batch)
        if (took := monotonic() - began) > LONG:
            flow.held(f"filter {self.name}").add(took, before)
        after = len(result)
        if after < before:
            flow.drops[self.name, "filtered"] += before - after
        elif after > before:
            flow.made += after - before
        return result

    def _apply(self, batch: Batch) -> Batch:
        try:
            return self.filter.apply(batch)
        except TooSlow:  # its condition, on one of the events
            from shipper.text.patience import Ticking

            with Ticking():
                return self._one_by_one(batch)
        except Exception as error:
            self._trace(error)
        return self._one_by_one(batch)

    def _one_by_one(self, batch: Batch) -> Batch:
        """The filter on each event by itself; those that it cannot treat are faults, and stay as they came."""
        self.filter.faults()  # said about events that are now looked at again, one by one
        faults: list[tuple[Event, str]] = []
        parts: list[Batch] = []
        for event in batch.events:
            part = batch.with_events([event])
            try:
                parts.append(self.filter.apply(part))
                faults += self.filter.faults() or ()
            except TooSlow as error:
                self.filter.scope.count("regex_timeouts")
                faults.append((event, f"when: {error}"))
                parts.append(batch.with_events([event]))
            except Exception as error:
                self.filter.faults()
                faults.append((event, f"{type(error).__name__}: {error}"))
                parts.append(batch.with_events([event]))
        for event, reason in faults:
            self.filter.fault(event, reason)
        return joined(batch, parts)

    def _trace(self, error: Exception) -> None:
        if self._may_trace():
            log.error("filter %s: unexpected %s: %s", self.name, type(error).__name__, error, exc_info=error)

    def _settle(self, batch: Batch, faults: list[tuple[Event, str]], dead: list[tuple[str, Event, str]]) -> Batch:
        faults = list({id(event): (event, reason) for event, reason in reversed(faults)}.values())[::-1]  # once each
        self.flow.errors[self.name] += len(faults)
        if self.filter.on_error == "pass":
            if self.filter.needs != "copy":  # other pipelines may have the same events
                own = {id(event): event.copy() for event, _ in faults}
                batch.events = [own.get(id(event), event) for event in batch.events]
                faults = [(own[id(event)], reason) for event, reason in faults]
            for event, reason in faults:
                earlier = event.get(ERROR)
                event[ERROR] = f"{earlier}; {self.name}: {reason}" if earlier else f"{self.name}: {reason}"
            return batch
        gone = {id(event) for event, _ in faults}
        kept = [event for event in batch.events if id(event) not in gone]
        if self.filter.on_error == "drop":
            self.flow.drops[self.name, "error"] += len(batch) - len(kept)
        else:
            dead += [(self.name, merged(event, batch.attrs), reason) for event, reason in faults]
        return batch.with_events(kept)


def joined(batch: Batch, parts: list[Batch]) -> Batch:
    """Parts of one batch as one again; attributes that differ between them go into their events first."""
    if not parts:
        return batch.with_events([])
    attrs = parts[0].attrs
    if any(part.attrs is not attrs and part.attrs != attrs for part in parts):
        common = {
            key: value
            for key, value in attrs.items()
            if all(key in part.attrs and part.attrs[key] == value for part in parts)
        }
        for part in parts:
            own: Attrs = {key: value for key, value in part.attrs.items() if key not in common}
            if own:
                part.events = [merged(event, own) for event in part.events]
        attrs = common
    return Batch([event for part in parts for event in part.events], attrs=attrs, size=batch.size)
