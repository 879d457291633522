"""The Prometheus page (text format 0.0.4), written from the flows when somebody asks."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from shipper.component import Component, Scope
from shipper.config.walk import insecure
from shipper.pipeline.runner import Runner
from shipper.pipeline.stall import BOUNDS

Labels = dict[str, str]


class Page:
    """Families in the order in which they are added, each with its samples."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, name: str, kind: str, help_text: str, samples: Iterable[tuple[Labels, float]]) -> None:
        self.lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        self.lines += [f"{name}{labelled(labels)} {number(value)}" for labels, value in samples]

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def labelled(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())
    return "{" + inside + "}"


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def page(runner: Runner) -> str:
    """All metrics of a running process."""
    out = Page()
    topology = runner.topology
    inputs = {name: source.feed.flow for name, source in topology.sources.items()}
    pipelines = {name: pipeline.flow for name, pipeline in topology.pipelines.items()}
    outputs = {name: outlet.flow for name, outlet in topology.outlets.items()}
    for outlet in topology.leaving:
        outputs.setdefault(outlet.flow.name, outlet.flow)
    scopes = topology.scopes()

    out.add(
        "shipper_input_events_total",
        "counter",
        "Events received.",
        (({"input": n}, f.events) for n, f in inputs.items()),
    )
    out.add(
        "shipper_input_bytes_total",
        "counter",
        "Bytes of log received.",
        (({"input": n}, f.bytes) for n, f in inputs.items()),
    )
    out.add(
        "shipper_input_lag_bytes", "gauge", "Bytes that are there and not read yet.",
        (({"input": n}, s.input.scope.gauges["lag_bytes"]) for n, s in topology.sources.items() if "lag_bytes" in s.input.scope.gauges),
    )  # fmt: skip
    out.add(
        "shipper_filter_events_total", "counter", "Events that went into a filter.",
        (({"pipeline": n, "filter": name}, count) for n, f in pipelines.items() for name, count in f.filtered.items()),
    )  # fmt: skip
    out.add(
        "shipper_filter_errors_total", "counter", "Events that a filter could not treat.",
        (({"pipeline": n, "filter": name}, count) for n, f in pipelines.items() for name, count in f.errors.items()),
    )  # fmt: skip
    out.add("shipper_dropped_events_total", "counter", "Events left out, by rule or for want of room.", summed(
        [({"component": component, "reason": reason}, count) for f in pipelines.values() for (component, reason), count in f.drops.items()]
        + [({"component": n, "reason": reason}, count) for n, f in outputs.items() for reason, count in f.drops.items()]
        + [({"component": scope.name, **dict(labels)}, count) for _, scope in scopes
           for (what, labels), count in scope.counters.items() if what == "dropped_events"]
        + [({"component": f.name, "reason": "dead_letters_full"}, f.gave_way) for f in runner.dead_letters.flows if f.gave_way]
    ))  # fmt: skip
    out.add("shipper_dead_letter_events_total", "counter", "Events set aside with a reason.", summed(
        [({"component": component, "reason": reason}, count) for f in pipelines.values() for (component, reason), count in f.dead.items()]
        + [({"component": n, "reason": reason}, count) for n, f in outputs.items() for reason, count in f.dead.items()]
    ))  # fmt: skip
    out.add(
        "shipper_output_events_total",
        "counter",
        "Events delivered.",
        (({"output": n}, f.total_delivered) for n, f in outputs.items()),
    )
    out.add(
        "shipper_output_bytes_total",
        "counter",
        "Encoded bytes delivered.",
        (({"output": n}, f.bytes) for n, f in outputs.items()),
    )
    out.add(
        "shipper_output_requests_total", "counter", "Requests by what came of them.",
        (({"output": n, "outcome": outcome}, count) for n, f in outputs.items() for outcome, count in f.outcomes.items()),
    )  # fmt: skip
    out.add(
        "shipper_output_retries_total",
        "counter",
        "Requests sent again.",
        (({"output": n}, f.retries) for n, f in outputs.items()),
    )
    out.add(
        "shipper_buffer_events",
        "gauge",
        "Events in the disk buffer.",
        (({"output": n}, f.buffered) for n, f in outputs.items()),
    )
    out.add(
        "shipper_buffer_bytes",
        "gauge",
        "Bytes of the disk buffer.",
        (({"output": n}, f.buffer_bytes()) for n, f in outputs.items()),
    )
    out.add(
        "shipper_buffer_corrupt_records_total",
        "counter",
        "Damaged records found in the disk buffer.",
        (({"output": n}, f.corrupt) for n, f in outputs.items()),
    )
    either = [({"pipeline": n}, f) for n, f in pipelines.items()] + [({"output": n}, f) for n, f in outputs.items()]
    out.add(
        "shipper_in_flight_events",
        "gauge",
        "Events handed on and not safe yet.",
        ((labels, f.in_flight) for labels, f in either),
    )
    out.add(
        "shipper_unaccounted_events",
        "gauge",
        "Always 0: the two sums add up.",
        ((labels, f.unaccounted) for labels, f in either),
    )
    out.add("shipper_returned_events_total", "counter", "Events given back to their source.", [
        *(({"pipeline": n}, f.returned) for n, f in pipelines.items()),
        *(({"output": n}, f.total_returned) for n, f in outputs.items()),
    ])  # fmt: skip
    out.add(
        "shipper_reloads_total",
        "counter",
        "Reloads by outcome.",
        (({"outcome": o}, runner.reloads[o]) for o in ("ok", "failed")),
    )
    out.add(
        "shipper_memory_bytes", "gauge", "Log bytes held in memory, against memory_limit.", [({}, runner.budget.used)]
    )
    opt_outs(out, runner)
    own(out, scopes)
    stalls(out, runner)
    process(out, runner)
    return out.text()


def opt_outs(out: Page, runner: Runner) -> None:
    """What trusts anybody, so that it can be alerted on."""
    topology = runner.topology
    components: list[tuple[str, Component]] = [(name, source.input) for name, source in topology.sources.items()]
    components += [(name, step.filter) for (_, name), (_, step) in topology.steps.items()]
    components += [(name, outlet.output) for name, outlet in topology.outlets.items()]
    # a filter of two pipelines, or an input and an output of one name, are one series
    found = dict.fromkeys((name, option) for name, each in components for option in insecure(each))
    if found:
        samples = [({"component": name, "option": option}, 1) for name, option in found]
        out.add("shipper_insecure", "gauge", "Options that turn verification off.", samples)


def summed(samples: Iterable[tuple[Labels, float]]) -> list[tuple[Labels, float]]:
    """One sample for each set of labels."""
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, value in samples:
        key = tuple(labels.items())
        found[key] = found.get(key, 0) + value
    return [(dict(key), value) for key, value in found.items()]


def own(out: Page, scopes: list[tuple[str, Scope]]) -> None:
    """What components count themselves: `shipper_<what>_total{component, ...}`."""
    families: dict[str, list[tuple[Labels, float]]] = {}
    for _, scope in scopes:
        for (what, labels), count in scope.counters.items():
            if what != "dropped_events":
                families.setdefault(what, []).append(({"component": scope.name, **dict(labels)}, count))
    for what, samples in families.items():
        out.add(
            f"shipper_{what}_total", "counter", f"Counted by components: {what.replace('_', ' ')}.", summed(samples)
        )


def stalls(out: Page, runner: Runner) -> None:
    name = "shipper_loop_stall_seconds"
    out.lines += [f"# HELP {name} How late the event loop came to a timer.", f"# TYPE {name} histogram"]
    total = 0
    for bound, count in zip([*BOUNDS, "+Inf"], runner.stalls.counts, strict=True):
        total += count
        out.lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
    out.lines += [f"{name}_sum {runner.stalls.sum!r}", f"{name}_count {total}"]
    name = "shipper_component_stall_seconds"
    out.lines += [
        f"# HELP {name} Batches with which one component held the event loop for long.",
        f"# TYPE {name} summary",
    ]
    held = held_by(runner)
    for component, (count, seconds, _) in held.items():
        labels = labelled({"component": component})
        out.lines += [f"{name}_sum{labels} {seconds!r}", f"{name}_count{labels} {count}"]


def held_by(runner: Runner) -> dict[str, tuple[int, float, float]]:
    """Component -> with how many batches it held the loop for long, for how many seconds, and for how many at the longest."""
    topology = runner.topology
    all_held = [held for pipeline in topology.pipelines.values() for held in pipeline.flow.holds.values()]
    all_held += [outlet.flow.held for outlet in topology.outlets.values() if outlet.flow.held.count]
    found: dict[str, tuple[int, float, float]] = {}
    for held in all_held:
        count, seconds, longest = found.get(held.name, (0, 0.0, 0.0))
        found[held.name] = (count + held.count, seconds + held.sum, max(longest, held.longest))
    return found


def process(out: Page, runner: Runner) -> None:
    """The `process_*` metrics that Prometheus' client libraries agree on."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    out.add(
        "process_cpu_seconds_total", "counter", "User and system CPU time.", [({}, usage.ru_utime + usage.ru_stime)]
    )
    out.add("process_start_time_seconds", "gauge", "Start time since the epoch.", [({}, round(runner.started, 3))])
    out.add(
        "process_uptime_seconds", "gauge", "Seconds since the start.", [({}, round(time.time() - runner.started, 3))]
    )
    out.add("process_resident_memory_bytes", "gauge", "Resident memory.", [({}, resident_bytes())])
    try:
        out.add(
            "process_open_fds",
            "gauge",
            "Open file descriptors.",
            [({}, sum(1 for _ in Path("/proc/self/fd").iterdir()))],
        )
    except OSError:
        return  # not on this system


def resident_bytes() -> int:
    """Resident memory now, from /proc where there is one, else the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
