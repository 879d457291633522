"""What a person wants to know about a running process, as JSON."""

from __future__ import annotations

import time
from typing import Any

from shipper import __version__
from shipper.api.metrics import held_by, resident_bytes
from shipper.pipeline.runner import Runner


class Status:
    """Keeps what it saw last, so that it can say rates."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.last: dict[str, tuple[float, int]] = {}

    def __call__(self) -> dict[str, Any]:
        runner, topology = self.runner, self.runner.topology
        return {
            "version": __version__,
            "state": runner.state,
            "uptime_seconds": round(time.time() - runner.started, 1),
            "config": [str(file) for file in runner.config.files],
            "ready": {"ok": not (reasons := not_ready(runner)), "reasons": reasons},
            "memory": {
                "log_bytes": runner.budget.used,
                "limit_bytes": runner.budget.limit,
                "resident_bytes": resident_bytes(),
            },
            "inputs": {name: self._input(name, source) for name, source in topology.sources.items()},
            "pipelines": {name: self._pipeline(name, pipeline.flow) for name, pipeline in topology.pipelines.items()},
            "outputs": {name: self._output(name, outlet.flow) for name, outlet in topology.outlets.items()},
            "dead_letters": {
                flow.name: {"gave_way": flow.gave_way, "last_error": flow.trouble or None}
                for flow in runner.dead_letters.flows
            },
            "reload": runner.last_reload,
            "longest_stall_seconds": round(runner.stalls.longest, 4),
            "held_the_loop": {
                component: {"batches": count, "seconds": round(seconds, 4), "longest_seconds": round(longest, 4)}
                for component, (count, seconds, longest) in held_by(runner).items()
            },
        }

    def _rate(self, key: str, total: int) -> float:
        """Events a second since it was asked last."""
        now = time.monotonic()
        before, count = self.last.get(key, (now, total))
        self.last[key] = (now, total)
        return round((total - count) / (now - before), 1) if now - before > 0.001 else 0.0

    def _input(self, name: str, source: Any) -> dict[str, Any]:
        flow = source.feed.flow
        return {
            "type": source.spec.type_name,
            "state": flow.state,
            "address": source.input.scope.address,
            "events": flow.events,
            "bytes": flow.bytes,
            "events_per_second": self._rate(f"input {name}", flow.events),
            "in_flight": flow.in_flight,
            "lag_bytes": source.input.scope.gauges.get("lag_bytes"),
            "last_error": flow.last_error or None,
        }

    def _pipeline(self, name: str, flow: Any) -> dict[str, Any]:
        return {
            "received": flow.received,
            "made": flow.made,
            "dropped": {f"{component}: {reason}": count for (component, reason), count in flow.drops.items()},
            "dead_letters": {f"{component}: {reason}": count for (component, reason), count in flow.dead.items()},
            "delivered": flow.delivered,
            "returned": flow.returned,
            "in_flight": flow.in_flight,
            "unaccounted": flow.unaccounted,
            "total": self.runner.topology.ledger.total("pipeline", name),
        }

    def _output(self, name: str, flow: Any) -> dict[str, Any]:
        down = flow.down_since
        return {
            "state": "delivering" if down is None else "failing",
            "failing_for_seconds": None if down is None else round(time.monotonic() - down, 1),
            "handed": flow.total_handed,
            "delivered": flow.total_delivered,
            "bytes": flow.bytes,
            "events_per_second": self._rate(f"output {name}", flow.total_delivered),
            "dropped": dict(flow.drops),
            "dead_letters": dict(flow.dead),
            "returned": flow.total_returned,
            "in_flight": flow.in_flight,
            "buffer": {"events": flow.buffered, "bytes": flow.buffer_bytes(), "found_at_start": flow.found},
            "requests": dict(flow.outcomes),
            "retries": flow.retries,
            "unaccounted": flow.unaccounted,
            "total": self.runner.topology.ledger.total("output", name),
            "last_error": flow.last_error or None,
        }


def not_ready(runner: Runner) -> list[str]:
    """Why the process is not ready, or nothing."""
    if runner.state != "running":
        return [runner.state]
    reasons = [
        f"input {name} is {source.feed.flow.state}: {source.feed.flow.last_error}"
        for name, source in runner.topology.sources.items()
        if source.feed.flow.state == "failed"
    ]
    limit = runner.config.settings.stuck_after
    reasons += [
        f"output {name} is stuck: nothing delivered for {outlet.flow.stuck_for():.0f}s, {outlet.flow.last_error or 'no error'}"
        for name, outlet in runner.topology.outlets.items()
        if outlet.flow.stuck_for() > limit
    ]
    return reasons
